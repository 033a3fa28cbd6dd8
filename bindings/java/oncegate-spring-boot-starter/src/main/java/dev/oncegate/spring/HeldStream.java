package dev.oncegate.spring;

import jakarta.servlet.ServletOutputStream;
import jakarta.servlet.WriteListener;
import java.io.IOException;
import java.io.UncheckedIOException;

/** The stream of a response that is held back. */
final class HeldStream extends ServletOutputStream {
    private final HeldResponse response;

    HeldStream(HeldResponse response) {
        this.response = response;
    }

    @Override
    public void write(int value) throws IOException {
        response.write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] data, int from, int length) throws IOException {
        response.write(data, from, length);
    }

    @Override
    public void flush() throws IOException {
        response.flushStream();
    }

    @Override
    public void close() throws IOException {
        // The response ends when the handler does.
        flush();
    }

    @Override
    public boolean isReady() {
        try {
            return response.passed() == null || response.passed().isReady();
        } catch (IOException thrown) {
            throw new UncheckedIOException(thrown);
        }
    }

    /** Who writes when the client can take more is passed through. */
    @Override
    public void setWriteListener(WriteListener listener) {
        try {
            response.pass();
            response.passed().setWriteListener(listener);
        } catch (IOException thrown) {
            throw new UncheckedIOException(thrown);
        }
    }
}
