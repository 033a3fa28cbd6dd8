package dev.oncegate;

import java.util.concurrent.atomic.AtomicInteger;
import jdk.jfr.consumer.RecordingStream;

/** Counts virtual threads that parked and held their carrier, as the JVM reports them. */
final class PinnedThreads implements AutoCloseable {
    private final RecordingStream stream = new RecordingStream();
    private final AtomicInteger count = new AtomicInteger();

    private PinnedThreads() {
        stream.enable("jdk.VirtualThreadPinned").withoutThreshold().withStackTrace();
        stream.onEvent("jdk.VirtualThreadPinned", event -> {
            if (String.valueOf(event.getStackTrace()).contains("dev.oncegate")) {
                count.incrementAndGet();
            }
        });
        stream.startAsync();
    }

    static PinnedThreads watch() {
        return new PinnedThreads();
    }

    /** Ends the recording, and tells how many there were. */
    int count() {
        stream.close();
        return count.get();
    }

    @Override
    public void close() {
        stream.close();
    }
}
