package dev.oncegate;

import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.Function;

/**
 * Frames that are not in use. Not one for each thread: a million virtual threads would each keep
 * one. A thread looks at few slots, beginning where its number says, and makes a frame where none
 * is there; what finds no slot is left to the garbage collector.
 */
final class Frames {
    /** Enough for a request with a small payload and an answer of the default limit. */
    static final int SMALL = 8 * 1024;

    /** Larger ones are not kept. */
    private static final int LARGEST_KEPT = 256 * 1024;

    private static final int SLOTS = 64;

    /** References in one line of 64 bytes, at least: neighbours would slow each other. */
    private static final int STRIDE = 16;

    private static final int PROBES = 4;

    private static final AtomicReferenceArray<Frame> IDLE =
            new AtomicReferenceArray<>((SLOTS + 1) * STRIDE);

    private Frames() {}

    /** A frame of at least so many bytes. */
    static Frame take(int capacity) {
        int home = home();
        for (int probe = 0; probe < PROBES; probe++) {
            int slot = slot(home + probe);
            if (IDLE.getPlain(slot) != null) {
                Frame frame = IDLE.getAndSet(slot, null);
                if (frame != null) {
                    if (frame.capacity() >= capacity) {
                        return frame.clear();
                    }
                    break;
                }
            }
        }
        return new Frame(Math.max(capacity, SMALL), Library.BINDING);
    }

    static void give(Frame frame) {
        if (frame.capacity() > LARGEST_KEPT) {
            return;
        }
        int home = home();
        for (int probe = 0; probe < PROBES; probe++) {
            int slot = slot(home + probe);
            if (IDLE.getPlain(slot) == null && IDLE.compareAndSet(slot, null, frame)) {
                return;
            }
        }
    }

    /** Has {@code body} use a frame of at least so many bytes. */
    static <T> T use(int capacity, Function<Frame, T> body) {
        Frame frame = take(capacity);
        try {
            return body.apply(frame);
        } finally {
            give(frame);
        }
    }

    /**
     * The same, for an answer of unknown size, for which {@code body} offers the rest of the
     * frame. Where it gives null it did not fit: then it is called again with as much as needed.
     */
    static <T> T filled(int capacity, Function<Frame, T> body) {
        Frame frame = take(capacity);
        try {
            while (true) {
                T answer = body.apply(frame);
                if (answer != null) {
                    return answer;
                }
                long needed = capacity + frame.needed();
                give(frame);
                frame = take(size(needed));
            }
        } finally {
            give(frame);
        }
    }

    /** A size that a frame can have. */
    static int size(long bytes) {
        if (bytes > Integer.MAX_VALUE - 8) {
            throw Refusal.of(Status.BAD_SIZE, "arguments",
                    "found " + bytes + " bytes in one call; limit: 2 GiB").exception();
        }
        return (int) bytes;
    }

    private static int home() {
        return Threads.number() * 0x9E3779B9 >>> 26;
    }

    private static int slot(int number) {
        return ((number & SLOTS - 1) + 1) * STRIDE;
    }
}
