package dev.oncegate;

import java.nio.ByteBuffer;

/**
 * An attempt that is due, for a worker: run it, and end its lease.
 *
 * @param lease the right to run it
 * @param operation which code runs it, as {@link Lease#retryLater} was given it
 * @param context what that code needs
 */
public record Attempt(Lease lease, String operation, byte[] context) implements AutoCloseable {
    /**
     * The number of the attempt.
     *
     * @return from 1 on
     */
    public int number() {
        return lease.attempt();
    }

    /** Gives the attempt back, unless its lease was ended. */
    @Override
    public void close() {
        lease.close();
    }

    static Attempt read(Engine engine, Frame frame, int at, int rest) {
        ByteBuffer memory = frame.memory;
        int attempt = memory.getInt(at + RetryLayout.Attempt.ATTEMPT);
        Lease lease = new Lease(engine, frame, at + RetryLayout.Attempt.LEASE,
                memory.getLong(at + RetryLayout.Attempt.FENCING_TOKEN), attempt,
                How.RETRIED.ordinal() + 1, memory.getLong(at + RetryLayout.Attempt.REMAINING_MS));
        return new Attempt(lease,
                frame.text(
                        rest + frame.size(at + RetryLayout.Attempt.OPERATION_OFFSET),
                        frame.size(at + RetryLayout.Attempt.OPERATION_LEN)),
                frame.read(
                        rest + frame.size(at + RetryLayout.Attempt.CONTEXT_OFFSET),
                        frame.size(at + RetryLayout.Attempt.CONTEXT_LEN)));
    }
}
