package dev.oncegate.spring;

import jakarta.servlet.AsyncContext;
import jakarta.servlet.ReadListener;
import jakarta.servlet.ServletInputStream;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletRequestWrapper;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URLDecoder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A request whose body was read, for a handler that reads it again. */
final class ReadRequest extends HttpServletRequestWrapper {
    /** Null: the container has taken it apart. */
    private final byte[] body;

    private final Exchange exchange;
    private ServletInputStream stream;
    private BufferedReader reader;
    private Map<String, String[]> parameters;

    ReadRequest(HttpServletRequest request, byte[] body, Exchange exchange) {
        super(request);
        this.body = body;
        this.exchange = exchange;
    }

    @Override
    public ServletInputStream getInputStream() throws IOException {
        if (body == null) {
            return super.getInputStream();
        }
        if (stream == null) {
            stream = new Bytes(body);
        }
        return stream;
    }

    @Override
    public BufferedReader getReader() throws IOException {
        if (body == null) {
            return super.getReader();
        }
        if (reader == null) {
            reader = new BufferedReader(new InputStreamReader(getInputStream(), charset()));
        }
        return reader;
    }

    private Charset charset() {
        String name = getCharacterEncoding();
        return name == null ? StandardCharsets.UTF_8 : Charset.forName(name);
    }

    @Override
    public Map<String, String[]> getParameterMap() {
        String type = getContentType();
        if (body == null || type == null
                || !HttpPayload.essence(type).equals("application/x-www-form-urlencoded")) {
            return super.getParameterMap();
        }
        if (parameters == null) {
            // Those of the query come first, as the container has them.
            Map<String, String[]> all = new LinkedHashMap<>(super.getParameterMap());
            for (String pair : new String(body, StandardCharsets.ISO_8859_1).split("&")) {
                if (!pair.isEmpty()) {
                    int end = pair.indexOf('=');
                    add(all, end < 0 ? pair : pair.substring(0, end),
                            end < 0 ? "" : pair.substring(end + 1));
                }
            }
            parameters = Collections.unmodifiableMap(all);
        }
        return parameters;
    }

    private void add(Map<String, String[]> all, String name, String value) {
        String decoded = URLDecoder.decode(value, charset());
        all.merge(URLDecoder.decode(name, charset()), new String[] {decoded}, (first, more) -> {
            List<String> values = new ArrayList<>(Arrays.asList(first));
            values.addAll(Arrays.asList(more));
            return values.toArray(String[]::new);
        });
    }

    @Override
    public String getParameter(String name) {
        String[] values = getParameterMap().get(name);
        return values == null ? null : values[0];
    }

    @Override
    public String[] getParameterValues(String name) {
        return getParameterMap().get(name);
    }

    @Override
    public Enumeration<String> getParameterNames() {
        return Collections.enumeration(getParameterMap().keySet());
    }

    @Override
    public AsyncContext startAsync() {
        return startAsync(this, exchange.response);
    }

    @Override
    public AsyncContext startAsync(ServletRequest request, ServletResponse response) {
        AsyncContext context = super.startAsync(request, response);
        context.addListener(new HeldAsync.Ending(exchange));
        return new HeldAsync(context, exchange);
    }

    @Override
    public AsyncContext getAsyncContext() {
        return new HeldAsync(super.getAsyncContext(), exchange);
    }

    /** Bytes that are there. */
    private static final class Bytes extends ServletInputStream {
        private final ByteArrayInputStream bytes;

        Bytes(byte[] body) {
            bytes = new ByteArrayInputStream(body);
        }

        @Override
        public int read() {
            return bytes.read();
        }

        @Override
        public int read(byte[] into, int from, int length) {
            return bytes.read(into, from, length);
        }

        @Override
        public int available() {
            return bytes.available();
        }

        @Override
        public boolean isFinished() {
            return bytes.available() == 0;
        }

        @Override
        public boolean isReady() {
            return true;
        }

        @Override
        public void setReadListener(ReadListener listener) {
            try {
                if (!isFinished()) {
                    listener.onDataAvailable();
                }
                if (isFinished()) {
                    listener.onAllDataRead();
                }
            } catch (IOException thrown) {
                listener.onError(thrown);
            }
        }
    }
}
