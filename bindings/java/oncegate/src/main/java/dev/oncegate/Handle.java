package dev.oncegate;

import java.util.concurrent.Executor;

/** What closing an engine needs. It does not keep the engine. */
final class Handle implements Runnable {
    final long address;
    final Executor executor;
    private final boolean asks;
    private volatile boolean askedFor;
    private Waits waits;
    private Timers timers;
    private boolean closed;

    /** With {@code asks}, a tier is told of the rest when it is closed. */
    Handle(long address, Executor executor, boolean asks) {
        this.address = address;
        this.executor = executor;
        this.asks = asks;
    }

    /** The set of waits, made when it is first needed. */
    synchronized Waits waits() {
        if (waits == null) {
            if (closed) {
                throw Refusal.of(Status.BAD_HANDLE).exception();
            }
            waits = new Waits(address);
        }
        return waits;
    }

    /** The timers, made when the first one is started. */
    synchronized Timers timers() {
        if (timers == null) {
            if (closed) {
                throw Refusal.of(Status.BAD_HANDLE).exception();
            }
            timers = new Timers(executor);
        }
        return timers;
    }

    /** Somebody closes it, and waits until it is done. */
    void askFor() {
        askedFor = true;
    }

    @Override
    public void run() {
        if (asks && !askedFor) {
            // The cleaner is all engines' and leases': it is not to wait for a server.
            Threads.daemon("oncegate-close", this::end).start();
        } else {
            end();
        }
    }

    private void end() {
        synchronized (this) {
            closed = true;
            if (waits != null) {
                waits.close();
            }
            if (timers != null) {
                timers.close();
            }
        }
        Frames.use(Frames.SMALL, frame -> frame.status(Export.ENGINE_CLOSE, address));
    }
}
