package dev.oncegate.spring;

import jakarta.servlet.ServletOutputStream;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpServletResponseWrapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What a handler writes to: the body is held back until the handler has ended, or until that
 * cannot be waited for. Flushing does not pass it on, since message converters flush whatever they
 * write; an event stream, and a body beyond the limit, are passed on as they are made.
 */
final class HeldResponse extends HttpServletResponseWrapper {
    private static final String LENGTH = "Content-Length";

    private final HttpServletResponse client;
    private final int limit;
    private final Runnable onPass;
    private final ByteArrayOutputStream body = new ByteArrayOutputStream();
    private Mode mode = Mode.HOLDING;
    private ServletOutputStream stream;
    private PrintWriter writer;
    private long declared = -1;
    private boolean trailers;
    private boolean errorSent;

    private enum Mode { HOLDING, PASSING, DROPPING }

    HeldResponse(HttpServletResponse client, int limit, Runnable onPass) {
        super(client);
        this.client = client;
        this.limit = limit;
        this.onPass = onPass;
    }

    /** Whether what is written goes to the client as it comes. */
    boolean isPassing() {
        return mode == Mode.PASSING;
    }

    boolean isHolding() {
        return mode == Mode.HOLDING;
    }

    /** Whether the container was asked for an error page, which is still to come. */
    boolean awaitsErrorPage() {
        return errorSent;
    }

    /** The error page is written now. */
    void beginErrorPage() {
        errorSent = false;
        stream = null;
        writer = null;
    }

    /** The client has another answer, or gets one. */
    void drop() {
        mode = Mode.DROPPING;
    }

    /** What was held back. */
    byte[] body() {
        flushWriter();
        return body.toByteArray();
    }

    boolean hasTrailers() {
        return trailers;
    }

    /** Whether the body ends before it said that it would. */
    boolean isShort() {
        return mode == Mode.HOLDING && allowsBody() && body().length < declared;
    }

    boolean allowsBody() {
        return getStatus() >= 200 && getStatus() != SC_NO_CONTENT && getStatus() != SC_NOT_MODIFIED;
    }

    /** Passes on what was held back, and from now on what is written. */
    void pass() throws IOException {
        if (mode != Mode.HOLDING) {
            return;
        }
        onPass.run();
        if (mode == Mode.HOLDING) {
            mode = Mode.PASSING;
            if (declared >= 0) {
                client.setContentLengthLong(declared);
            }
            body.writeTo(client.getOutputStream());
            body.reset();
        }
    }

    /** The client's stream, once it is passed on. */
    ServletOutputStream passed() throws IOException {
        return mode == Mode.PASSING ? client.getOutputStream() : null;
    }

    /** Sends what was held back. */
    void send() throws IOException {
        byte[] whole = body();
        mode = Mode.PASSING;
        if (allowsBody() && whole.length != 0) {
            client.setContentLength(whole.length);
            client.getOutputStream().write(whole);
        }
    }

    void write(byte[] data, int from, int length) throws IOException {
        if (mode == Mode.HOLDING && (isEndless() || body.size() + length > limit)) {
            pass();
        }
        if (mode == Mode.PASSING) {
            client.getOutputStream().write(data, from, length);
        } else if (mode == Mode.HOLDING) {
            body.write(data, from, length);
        }
    }

    void flushStream() throws IOException {
        if (mode == Mode.HOLDING && isEndless()) {
            pass();
        }
        if (mode == Mode.PASSING) {
            client.getOutputStream().flush();
        }
    }

    /** A stream of events, for whose end nobody can wait. */
    private boolean isEndless() {
        String type = client.getContentType();
        return type != null && HttpPayload.essence(type).equals("text/event-stream");
    }

    private void flushWriter() {
        if (writer != null) {
            writer.flush();
        }
    }

    @Override
    public ServletOutputStream getOutputStream() {
        if (stream == null) {
            stream = new HeldStream(this);
        }
        return stream;
    }

    @Override
    public PrintWriter getWriter() throws IOException {
        if (writer == null) {
            // As containers do: the type says from now on which encoding it is.
            client.setCharacterEncoding(client.getCharacterEncoding());
            writer = new PrintWriter(
                    new OutputStreamWriter(getOutputStream(), client.getCharacterEncoding()));
        }
        return writer;
    }

    @Override
    public void flushBuffer() throws IOException {
        flushWriter();
        flushStream();
        if (mode == Mode.PASSING) {
            client.flushBuffer();
        }
    }

    @Override
    public void reset() {
        super.reset();
        forget();
    }

    @Override
    public void resetBuffer() {
        super.resetBuffer();
        body.reset();
    }

    private void forget() {
        body.reset();
        declared = -1;
        stream = null;
        writer = null;
    }

    @Override
    public void setBufferSize(int size) {
        // What is held back needs none.
    }

    @Override
    public void sendError(int status) throws IOException {
        super.sendError(status);
        errorSent = true;
        forget();
    }

    @Override
    public void sendError(int status, String message) throws IOException {
        super.sendError(status, message);
        errorSent = true;
        forget();
    }

    @Override
    public void setTrailerFields(Supplier<Map<String, String>> supplier) {
        trailers = true;
        super.setTrailerFields(supplier);
    }

    @Override
    public void setContentLength(int length) {
        setContentLengthLong(length);
    }

    @Override
    public void setContentLengthLong(long length) {
        if (mode == Mode.PASSING) {
            super.setContentLengthLong(length);
        }
        declared = length;
    }

    @Override
    public void setHeader(String name, String value) {
        if (LENGTH.equalsIgnoreCase(name) && value != null) {
            setContentLengthLong(Long.parseLong(value));
        } else {
            super.setHeader(name, value);
        }
    }

    @Override
    public void addHeader(String name, String value) {
        if (LENGTH.equalsIgnoreCase(name)) {
            setHeader(name, value);
        } else {
            super.addHeader(name, value);
        }
    }

    @Override
    public void setIntHeader(String name, int value) {
        setHeader(name, Integer.toString(value));
    }

    @Override
    public void addIntHeader(String name, int value) {
        addHeader(name, Integer.toString(value));
    }
}
