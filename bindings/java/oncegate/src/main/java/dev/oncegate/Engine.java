package dev.oncegate;

import java.lang.ref.Cleaner;
import java.time.Duration;

/**
 * The engine: one table of records, in this process or shared by a host.
 *
 * <p>Open one for a process and keep it. See the package for threads and lifetime.
 */
public final class Engine implements AutoCloseable {
    static final Cleaner CLEANER = Cleaner.create();

    /** Payloads up to this size are digested in a few microseconds. */
    private static final int QUICK_BYTES = 4 * 1024;

    private static final Admission MISMATCHED = new Admission.Mismatched();
    private static final Admission UNRESOLVED = new Admission.Unresolved();
    private static final Admission OUTCOME_GONE = new Admission.OutcomeGone();

    private final Handle handle;
    private final Cleaner.Cleanable cleanable;
    private final boolean waits;

    private Engine(long handle, EngineOptions options) {
        this.handle = new Handle(handle);
        waits = options.waits();
        cleanable = CLEANER.register(this, this.handle);
    }

    /**
     * Opens an engine with every default.
     *
     * @return the engine, to be closed
     */
    public static Engine open() {
        return open(EngineOptions.defaults());
    }

    /**
     * Opens an engine.
     *
     * @param options how
     * @return the engine, to be closed
     * @throws InvalidInputException an option breaks a rule
     * @throws TableException the file of a shared table cannot be used
     * @throws LibraryException the native library was not loaded
     */
    public static Engine open(EngineOptions options) {
        Library.require();
        Frame frame = Frames.take(options.frameBytes());
        try {
            int at = options.write(frame);
            frame.check(Library.BINDING.engineOpen(
                    frame.pointer(at), frame.pointer(Frame.OUT), frame.pointer(Frame.ERROR)));
            return new Engine(frame.memory.getLong(Frame.OUT), options);
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Asks to run a request.
     *
     * @param request which
     * @return whether to run it, and if not, why
     */
    public Admission begin(Request request) {
        return begin(request, BeginOptions.defaults());
    }

    /**
     * Asks to run a request.
     *
     * @param request which
     * @param options how; with a wait, the call waits for a running attempt
     * @return whether to run it, and if not, why
     */
    public Admission begin(Request request, BeginOptions options) {
        boolean quick = !options.waits(waits) && request.payload.bytes.length <= QUICK_BYTES;
        int capacity = Requests.frameBytes(request);
        Frame frame = Frames.take(capacity);
        try {
            while (true) {
                int at = frame.room(Layout.Request.SIZE);
                Requests.write(frame, at, request);
                long how = Requests.options(frame, options);
                int rest = frame.offerRest();
                int status = quick
                        ? Library.BINDING.beginQuick(handle(), frame.pointer(at), how,
                                frame.pointer(Frame.BUFFER), frame.pointer(Frame.ADMISSION),
                                frame.pointer(Frame.ERROR))
                        : Library.BINDING.begin(handle(), frame.pointer(at), how,
                                frame.pointer(Frame.BUFFER), frame.pointer(Frame.ADMISSION),
                                frame.pointer(Frame.ERROR));
                if (status == 0) {
                    return admission(frame, Frame.ADMISSION, rest);
                }
                if (status != Status.BUFFER_TOO_SMALL.number()) {
                    check(frame, status);
                }
                long needed = capacity + frame.needed();
                Frames.give(frame);
                frame = Frames.take(Math.toIntExact(needed));
            }
        } finally {
            Frames.give(frame);
        }
    }

    /** Reads {@code oncegate_admission}. */
    private Admission admission(Frame frame, int at, int rest) {
        var memory = frame.memory;
        int attempt = memory.getInt(at + Layout.Admission.ATTEMPT);
        long ms = memory.getLong(at + Layout.Admission.TIME_MS);
        return switch (memory.getInt(at + Layout.Admission.VERDICT)) {
            case 1 -> new Admission.Admitted(new Lease(this, frame, at + Layout.Admission.LEASE,
                    memory.getLong(at + Layout.Admission.FENCING_TOKEN), attempt,
                    memory.getInt(at + Layout.Admission.HOW), ms));
            case 2 -> new Admission.Replayed(
                    Outcomes.read(frame, at + Layout.Admission.OUTCOME, rest));
            case 3 -> new Admission.InProgress(attempt, Millis.duration(ms));
            case 4 -> new Admission.Scheduled(attempt, Millis.duration(ms));
            case 5 -> MISMATCHED;
            case 6 -> UNRESOLVED;
            case 7 -> OUTCOME_GONE;
            default -> throw new AssertionError("a verdict that this version does not know");
        };
    }

    /**
     * Takes up an attempt whose lease came from elsewhere.
     *
     * @param token of {@link Lease#token}
     * @return the lease
     * @throws FencedException it has been followed by another or has ended: do not start it
     */
    public Lease takeUp(byte[] token) {
        if (token.length != Lease.TOKEN_BYTES) {
            throw Refusal.of(Status.INVALID_TOKEN, "lease",
                    "found " + token.length + " bytes; limit: " + Lease.TOKEN_BYTES).exception();
        }
        Frame frame = Frames.take(Frames.SMALL);
        try {
            int at = frame.copy(token);
            int info = Frame.OUT;
            check(frame, Library.BINDING.leaseTakeUp(
                    handle(), frame.pointer(at), frame.pointer(info), frame.pointer(Frame.ERROR)));
            return new Lease(this, frame, at,
                    frame.memory.getLong(info + Layout.LeaseInfo.FENCING_TOKEN),
                    frame.memory.getInt(info + Layout.LeaseInfo.ATTEMPT),
                    frame.memory.getInt(info + Layout.LeaseInfo.HOW),
                    frame.memory.getLong(info + Layout.LeaseInfo.REMAINING_MS));
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Moves the clock of an engine that was opened with a manual one, for tests.
     *
     * @param by how far
     */
    public void advanceClock(Duration by) {
        Frame frame = Frames.take(Frames.SMALL);
        try {
            check(frame, Library.BINDING.engineAdvanceClock(
                    handle(), Millis.of("by_ms", by), frame.pointer(Frame.ERROR)));
        } finally {
            Frames.give(frame);
        }
    }

    /**
     * Closes the engine; a second time does nothing. Leases that are held stay as they are: they
     * lapse, unless another process ends them.
     */
    @Override
    public void close() {
        cleanable.clean();
    }

    long handle() {
        return handle.address;
    }

    void check(Frame frame, int status) {
        if (status != 0) {
            throw frame.refusal(status).exception();
        }
    }

    /** What closing needs. It does not keep the engine. */
    private static final class Handle implements Runnable {
        final long address;

        Handle(long address) {
            this.address = address;
        }

        @Override
        public void run() {
            Frame frame = Frames.take(Frames.SMALL);
            try {
                Library.BINDING.engineClose(address, frame.pointer(Frame.ERROR));
            } finally {
                Frames.give(frame);
            }
        }
    }
}
