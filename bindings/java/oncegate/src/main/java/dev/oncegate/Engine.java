package dev.oncegate;

import java.lang.ref.Cleaner;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.function.BiFunction;
import java.util.function.Supplier;

/**
 * The engine: one table of records, in this process or shared by a host.
 *
 * <p>Open one for a process and keep it. See the package for threads and lifetime.
 */
public final class Engine implements AutoCloseable {
    static final Cleaner CLEANER = Cleaner.create();

    /** {@code UINT64_MAX}: nothing is due. */
    private static final long NEVER = -1;

    /** {@code ONCEGATE_RESOLVED_UNKNOWN}. */
    private static final int STILL_UNKNOWN = 3;

    private final Handle handle;
    private final Cleaner.Cleanable cleanable;
    private final Begins begins;
    private final boolean asks;

    private Engine(long handle, EngineOptions options) {
        asks = options.set.tier != null;
        this.handle = new Handle(handle, options.set.executor, asks);
        begins = new Begins(this, options.set.waitMs);
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
        return Frames.use(RawOptions.frameBytes(options), frame -> {
            int at = RawOptions.write(frame, options);
            frame.call(Export.ENGINE_OPEN, frame.pointer(at), frame.pointer(Frame.OUT));
            return new Engine(frame.memory.getLong(Frame.OUT), options);
        });
    }

    /**
     * How much memory an engine with these options takes. Nothing is opened.
     *
     * @param options how
     * @return bytes
     */
    public static long requiredBytes(EngineOptions options) {
        Library.require();
        return Frames.use(RawOptions.frameBytes(options), frame -> {
            int at = RawOptions.write(frame, options);
            frame.call(Export.REQUIRED_BYTES, frame.pointer(at), frame.pointer(Frame.OUT));
            return frame.memory.getLong(Frame.OUT);
        });
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
     * <p>An interrupt ends a wait: the answer is what holds then, and the thread stays interrupted.
     *
     * @param request which
     * @param options how; with a wait, the call waits for a running attempt
     * @return whether to run it, and if not, why
     */
    public Admission begin(Request request, BeginOptions options) {
        return begins.one(request, options);
    }

    /**
     * Asks to run many requests, in one call: answer {@code i} belongs to request {@code i}.
     *
     * @param requests at most 65,536
     * @return an answer for each; a request that was refused is one of them
     */
    public List<Answer> beginAll(List<Request> requests) {
        return beginAll(requests, BeginOptions.defaults());
    }

    /**
     * The same, with options for all of them.
     *
     * @param requests at most 65,536
     * @param options how; a batch never waits
     * @return an answer for each; a request that was refused is one of them
     */
    public List<Answer> beginAll(List<Request> requests, BeginOptions options) {
        return begins.all(requests, options);
    }

    /**
     * Asks to run a request, and waits for the running attempt without a thread: platform threads
     * do not block, and virtual ones hold no carrier. If that attempt fails, exactly one of those
     * who wait gets the next one.
     *
     * <p>Cancelling the future, or completing it otherwise, ends the wait. An attempt that was
     * admitted for it is given back then.
     *
     * @param request which
     * @return the answer, however long it takes
     */
    public CompletableFuture<Admission> beginAsync(Request request) {
        return beginAsync(request, BeginOptions.defaults());
    }

    /**
     * The same with options.
     *
     * @param request which
     * @param options how; {@link BeginOptions#waitUpTo} limits the wait, by the engine's clock
     * @return the answer; failed where the request was refused
     */
    public CompletableFuture<Admission> beginAsync(Request request, BeginOptions options) {
        return begins.async(request, options, handle.executor);
    }

    /**
     * Runs work if its request has not run, and gives duplicates the stored outcome, by the rules
     * of the IETF draft: a final result is stored, a retryable one or an exception lets the next
     * attempt start.
     *
     * @param request which
     * @param work what it runs
     * @param <X> what the work may throw
     * @return what came of it
     * @throws X the work failed
     */
    public <X extends Exception> Ran run(Request request, Work<X> work) throws X {
        return run(request, RunOptions.defaults(), work);
    }

    /**
     * The same with options.
     *
     * @param request which
     * @param options how it begins and ends
     * @param work what it runs
     * @param <X> what the work may throw
     * @return what came of it
     * @throws X the work failed
     */
    public <X extends Exception> Ran run(Request request, RunOptions options, Work<X> work)
            throws X {
        return Runs.run(this, request, options, work);
    }

    /**
     * Asks to run a request that is known by its digests. Interrupts do not end a wait here.
     *
     * @param request which
     * @param options how; with a wait, the call waits for a running attempt
     * @return whether to run it, and if not, why
     */
    public Admission beginHashed(Hashed request, BeginOptions options) {
        return begins.one(request, options);
    }

    /**
     * Asks to run many requests that are known by their digests, in one call.
     *
     * @param requests at most 65,536
     * @param options how; a batch never waits
     * @return an answer for each; a request that was refused is one of them
     */
    public List<Answer> beginAllHashed(List<Hashed> requests, BeginOptions options) {
        return begins.all(requests, options);
    }

    /**
     * The fingerprint of a request under the engine's secret, for logs and tests.
     *
     * @param request its payload plays no part, unless it stands in for the key
     * @return 32 bytes, the same for the same scope, operation and key
     */
    public byte[] fingerprint(Request request) {
        return with(request, (frame, at) -> {
            int bytes = frame.room(Hashed.FINGERPRINT_BYTES);
            frame.call(Export.FINGERPRINT, handle(), frame.pointer(at), frame.pointer(bytes));
            return frame.read(bytes, Hashed.FINGERPRINT_BYTES);
        });
    }

    /**
     * Ends the uncertainty about a request of which nobody knows whether it took effect.
     *
     * @param request which; its payload plays no part
     * @param resolution what is known now
     * @throws NotFoundException there is no such record, or it is not in doubt
     */
    public void resolve(Request request, Resolution resolution) {
        int bytes = Outcomes.frameBytes(resolution.outcome);
        Frames.use(Frames.size(bytes + request.extraBytes()), frame -> {
            int at = frame.room(request.size());
            request.write(frame, at);
            long outcome = Outcomes.pointer(frame, resolution.outcome);
            asking(() -> {
                frame.call(Export.ENGINE_RESOLVE, handle(), frame.pointer(at), resolution.kind,
                        outcome);
                return null;
            });
            return null;
        });
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
        return Frames.use(Frames.SMALL, frame -> {
            int at = frame.copy(token);
            int info = Frame.OUT;
            frame.check(Library.BINDING.leaseTakeUp(
                    handle(), frame.pointer(at), frame.pointer(info), frame.pointer(Frame.ERROR)));
            return new Lease(this, frame, at,
                    frame.memory.getLong(info + Layout.LeaseInfo.FENCING_TOKEN),
                    frame.memory.getInt(info + Layout.LeaseInfo.ATTEMPT),
                    frame.memory.getInt(info + Layout.LeaseInfo.HOW),
                    frame.memory.getLong(info + Layout.LeaseInfo.REMAINING_MS));
        });
    }

    /**
     * Waits for an attempt that is due, of any operation: for workers.
     *
     * @param timeout how long, by the engine's clock; zero: not at all. An interrupt ends it within
     *     a quarter of a second, and the thread stays interrupted
     * @return the attempt; empty where none was due in time
     */
    public Optional<Attempt> nextAttempt(Duration timeout) {
        return Workers.next(this, timeout);
    }

    /**
     * The same for several at once.
     *
     * @param most how many at most, at least 1; a call takes up to 1,024
     * @param timeout how long to wait for the first, as {@link #nextAttempt}
     * @return the attempts
     */
    public List<Attempt> nextAttempts(int most, Duration timeout) {
        return Workers.next(this, most, timeout);
    }

    /**
     * Sees to retries that are due, for whoever has neither a driver nor workers that wait.
     *
     * @param limit how many records are looked at, at most
     * @return what it did, and when to call it again
     */
    public Driven advance(long limit) {
        return Frames.use(Frames.SMALL, frame -> {
            int at = frame.room(RetryLayout.Driven.SIZE);
            frame.call(Export.ADVANCE, handle(), limit, frame.pointer(at));
            var memory = frame.memory;
            long due = memory.getLong(at + RetryLayout.Driven.DUE_IN_MS);
            return new Driven(
                    memory.getLong(at + RetryLayout.Driven.LOOKED_AT),
                    memory.getLong(at + RetryLayout.Driven.READY),
                    due == NEVER ? Optional.empty() : Optional.of(Millis.duration(due)),
                    memory.getInt(at + RetryLayout.Driven.MORE) != 0);
        });
    }

    /**
     * Runs a task after a time, by the engine's timing wheel: a million of them cost no more each
     * than one. By real time, whatever the engine's clock is; by the executor of the options.
     *
     * <p>Cancelling the future ends the timer. Closing the engine does so too: then the future
     * fails with a {@link ClosedException}.
     *
     * @param delay how long, at least
     * @param task what it runs, if it was not cancelled
     * @return completed when the task has run; failed by what it threw
     * @throws FullException 1,048,576 timers are pending
     */
    public CompletableFuture<Void> schedule(Duration delay, Runnable task) {
        return handle.timers().start(this, delay, Objects.requireNonNull(task, "task"));
    }

    /**
     * Sets how attempts of an operation are retried, in this process.
     *
     * @param operation that of {@link Lease#retryLater}
     * @param policy null: the engine's own
     * @param maxInFlight how many of them are handed out at a time; zero: no limit
     * @throws QuotaExceededException 1,024 operations have settings
     */
    public void setOperation(String operation, RetryPolicy policy, long maxInFlight) {
        byte[] name = operation.getBytes(StandardCharsets.UTF_8);
        long bytes = name.length + (policy == null ? 0 : policy.bytes());
        Frames.use(Frames.size(Frames.SMALL + bytes), frame -> {
            frame.call(Export.SET_OPERATION, handle(), frame.argument(name),
                    policy == null ? 0 : policy.write(frame), maxInFlight);
            return null;
        });
    }

    /**
     * The retry budgets.
     *
     * @return a view
     */
    public Budgets budgets() {
        return new Budgets(this);
    }

    /**
     * Tells the adaptive backoff how loaded this process is, or what it calls. Tell it at least as
     * often as its quiet time.
     *
     * @param load 0 to 1
     */
    public void setLoad(double load) {
        call(Export.SET_LOAD, Double.doubleToRawLongBits(load));
    }

    /**
     * The dead letters.
     *
     * @return a view
     */
    public DeadLetters deadLetters() {
        return new DeadLetters(this);
    }

    /**
     * Requests of which nobody knows whether they took effect, for a reconciler; the engine has to
     * be opened with {@link EngineOptions.Builder#reconcile}.
     *
     * @param most how many at most, at least 1
     * @return questions, to be answered by {@link #answer}
     */
    public List<Question> questions(int most) {
        return Workers.questions(this, most);
    }

    /**
     * Answers a question.
     *
     * @param question which
     * @param resolution what is known now; null: still nothing, ask again later
     * @throws NotFoundException it is not in doubt any more, or this engine has not asked it
     */
    public void answer(Question question, Resolution resolution) {
        Outcome outcome = resolution == null ? null : resolution.outcome;
        Frames.use(Outcomes.frameBytes(outcome), frame -> {
            long known = Outcomes.pointer(frame, outcome);
            asking(() -> {
                frame.call(Export.RECONCILE_ANSWER, handle(), question.id(),
                        resolution == null ? STILL_UNKNOWN : resolution.kind, known);
                return null;
            });
            return null;
        });
    }

    /**
     * Gives a scope a quota of its own.
     *
     * @param scope whose
     * @param quota the limits
     */
    public void setQuota(Scope scope, Quota quota) {
        Frames.use(Frames.SMALL, frame -> {
            int at = frame.zeros(Layout.Quota.SIZE);
            quota.write(frame, at);
            frame.call(Export.ENGINE_SET_QUOTA, handle(), scope.kind, frame.argument(scope.name),
                    frame.pointer(at));
            return null;
        });
    }

    /**
     * Takes the quota of a scope back: the default one holds again.
     *
     * @param scope whose
     */
    public void removeQuota(Scope scope) {
        Frames.use(Frames.SMALL, frame -> {
            frame.call(
                    Export.ENGINE_REMOVE_QUOTA, handle(), scope.kind, frame.argument(scope.name));
            return null;
        });
    }

    /**
     * Begins to rotate the secret of the fingerprints: records under the old one are still found.
     *
     * @param secret the new one, at least 32 bytes
     */
    public void rotateSecret(byte[] secret) {
        Frames.use(Frames.SMALL + secret.length, frame -> {
            frame.call(Export.ENGINE_ROTATE_SECRET, handle(), frame.argument(secret));
            return null;
        });
    }

    /** Ends the rotation: records under the old secret are no longer found. */
    public void finishRotation() {
        call(Export.ENGINE_FINISH_ROTATION);
    }

    /**
     * Looks at the next slots of the table for what is over. Needed only without a ticker, and
     * only for memory and for waiters: every call looks at what it meets anyway.
     *
     * @param slots how many
     * @return what it did
     */
    public Swept sweep(long slots) {
        return Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.ENGINE_SWEEP, handle(), slots, frame.pointer(Frame.OUT));
            return new Swept(
                    frame.memory.getLong(Frame.OUT + Layout.Swept.VISITED),
                    frame.memory.getLong(Frame.OUT + Layout.Swept.CLEARED),
                    frame.memory.getLong(Frame.OUT + Layout.Swept.LAPSED));
        });
    }

    /**
     * Sees to what processes left that died.
     *
     * @return how many there were
     */
    public long buryDead() {
        return Frames.use(Frames.SMALL, frame -> {
            frame.call(Export.ENGINE_BURY_DEAD, handle(), frame.pointer(Frame.OUT));
            return frame.memory.getLong(Frame.OUT);
        });
    }

    /**
     * Takes what the engine noticed by itself.
     *
     * @return the events since the last call
     */
    public Events events() {
        return Events.take(this);
    }

    /**
     * Sums over all threads of the process: some microseconds, and a look at every slot now and
     * then.
     *
     * @return the statistics
     */
    public Stats stats() {
        return Frames.use(Frames.SMALL, frame -> {
            int at = frame.zeros(Layout.Stats.SIZE);
            frame.memory.putLong(at + Layout.Stats.STRUCT_SIZE, Layout.Stats.SIZE);
            frame.call(Export.ENGINE_STATS, handle(), frame.pointer(at));
            return Stats.read(frame.memory, at);
        });
    }

    /**
     * Whether the engine shares its records with other hosts.
     *
     * @return true with {@link EngineOptions.Builder#tier}
     */
    public boolean hasTier() {
        return asks;
    }

    /**
     * What the engine and its tier have done. Asks nothing of the server.
     *
     * @return the counts
     * @throws NotFoundException the engine has no tier
     */
    public TierStats tierStats() {
        return Frames.use(Frames.SMALL, frame -> {
            int at = frame.zeros(RetryLayout.TierStats.SIZE);
            frame.memory.putLong(
                    at + RetryLayout.TierStats.STRUCT_SIZE, RetryLayout.TierStats.SIZE);
            frame.call(Export.ENGINE_TIER_STATS, handle(), frame.pointer(at));
            return TierStats.read(frame.memory, at);
        });
    }

    /**
     * Waits until the tier has been told of every attempt that ended here, for a process that is
     * about to go. An engine without a tier has told all.
     *
     * @param timeout how long, and a call of the server that is under way
     * @throws TierException something is left; it is told while the process lives
     * @throws ClosedException the engine is closed, or was closed meanwhile
     */
    public void flushTier(Duration timeout) {
        long ms = Millis.of("timeout_ms", timeout);
        asking(() -> {
            call(Export.ENGINE_FLUSH_TIER, ms);
            return null;
        });
    }

    /**
     * Moves the clock of an engine that was opened with a manual one, for tests.
     *
     * @param by how far
     */
    public void advanceClock(Duration by) {
        call(Export.ENGINE_ADVANCE_CLOCK, Millis.of("by_ms", by));
    }

    /**
     * Closes the engine; a second time does nothing. Leases that are held stay as they are: they
     * lapse, unless another process ends them. A tier is told of what it has not heard yet: call
     * {@link #flushTier} before, where it has to hear of it.
     */
    @Override
    public void close() {
        handle.askFor();
        asking(() -> {
            cleanable.clean();
            return null;
        });
    }

    /** Has a call ask the tier, if there is one: it takes a round trip, or a deadline. */
    <T> T asking(Supplier<T> call) {
        return asks ? Workers.blocking(call) : call.get();
    }

    /** Calls a function with the handle and numbers. */
    private void call(Export export, long... numbers) {
        Frames.use(Frames.SMALL, frame -> {
            long[] all = new long[numbers.length + 1];
            all[0] = handle();
            System.arraycopy(numbers, 0, all, 1, numbers.length);
            frame.call(export, all);
            return null;
        });
    }

    private static <T> T with(Request request, BiFunction<Frame, Integer, T> body) {
        return Frames.use(Frames.size(Frames.SMALL + request.extraBytes()), frame -> {
            int at = frame.room(request.size());
            request.write(frame, at);
            return body.apply(frame, at);
        });
    }

    long handle() {
        return handle.address;
    }

    Waits waits() {
        return handle.waits();
    }

    Timers timers() {
        return handle.timers();
    }
}
