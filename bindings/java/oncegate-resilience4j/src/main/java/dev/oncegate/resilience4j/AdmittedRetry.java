package dev.oncegate.resilience4j;

import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.Request;
import io.github.resilience4j.core.EventProcessor;
import io.github.resilience4j.core.EventPublisher;
import io.github.resilience4j.retry.Retry;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ScheduledExecutorService;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * A {@link Retry} that asks the engine before each attempt, in the thread that runs it.
 *
 * <p>The retry decides how often and after which time; its events and metrics are as ever. The
 * engine decides whether an attempt may start: never while an earlier one of the same request
 * works, whoever began it, and never after one has succeeded; then what that one left is the
 * answer. What stands between the two, such as a {@code TimeLimiter} or a {@code CircuitBreaker},
 * is given as {@code around}: it may give up on an attempt, and the attempt keeps its lease until
 * its work has ended.
 *
 * <p>{@code maxAttempts} of the retry holds for the request, over all callers: an attempt with that
 * number that fails is the last one, even if its caller asked for the first time.
 *
 * <p>Immutable; each method that sets something gives a changed copy, with the same events.
 */
public final class AdmittedRetry {
    final Engine engine;
    final Retry retry;
    final BeginOptions begin;
    final Ending exhausted;
    final Function<Throwable, Ending> ignored;
    private final EventProcessor<AttemptEvent> events;

    private AdmittedRetry(
            Engine engine,
            Retry retry,
            BeginOptions begin,
            Ending exhausted,
            Function<Throwable, Ending> ignored,
            EventProcessor<AttemptEvent> events) {
        this.engine = Objects.requireNonNull(engine, "engine");
        this.retry = Objects.requireNonNull(retry, "retry");
        this.begin = Objects.requireNonNull(begin, "begin");
        this.exhausted = Objects.requireNonNull(exhausted, "exhausted");
        this.ignored = Objects.requireNonNull(ignored, "ignored");
        this.events = events;
    }

    /**
     * Has an engine admit the attempts of a retry.
     *
     * @param engine which; it stays the caller's
     * @param retry how often, and after which time
     * @return a retry whose exhausted requests are buried, and whose ignored exceptions are final
     */
    public static AdmittedRetry of(Engine engine, Retry retry) {
        return new AdmittedRetry(engine, retry, BeginOptions.defaults(), Ending.buried(),
                thrown -> Ending.failed(), new EventProcessor<>());
    }

    /**
     * How attempts begin. With {@link BeginOptions#waitUpTo} an attempt waits for an earlier one,
     * and is refused after that, which the retry counts as a failure and repeats. Without, one
     * that blocks is refused at once, and one that answers by a stage, which holds no thread, waits
     * for as long as it takes.
     *
     * @param begin lease, dedup window and wait
     * @return a changed copy
     */
    public AdmittedRetry begin(BeginOptions begin) {
        return new AdmittedRetry(engine, retry, begin, exhausted, ignored, events);
    }

    /**
     * What becomes of a request whose attempts are spent; by default it is buried.
     *
     * @param exhausted the ending
     * @return a changed copy
     */
    public AdmittedRetry onExhausted(Ending exhausted) {
        return new AdmittedRetry(engine, retry, begin, exhausted, ignored, events);
    }

    /**
     * What becomes of a request whose work threw what the retry ignores; by default it has failed
     * for good.
     *
     * @param ignored the ending
     * @return a changed copy
     */
    public AdmittedRetry onIgnored(Ending ignored) {
        return onIgnored(thrown -> ignored);
    }

    /**
     * The same, by exception.
     *
     * @param ignored gives the ending of an exception
     * @return a changed copy
     */
    public AdmittedRetry onIgnored(Function<Throwable, Ending> ignored) {
        return new AdmittedRetry(engine, retry, begin, exhausted, ignored, events);
    }

    /**
     * The retry.
     *
     * @return as it was given
     */
    public Retry retry() {
        return retry;
    }

    /**
     * What the engine does for the retry.
     *
     * @return to register consumers; what they throw is logged
     */
    public EventPublisher<AttemptEvent> getEventPublisher() {
        return events;
    }

    /**
     * Decorates work.
     *
     * @param request which request it is for
     * @param codec how its result is kept
     * @param work what an attempt does
     * @param <T> the result
     * @return the decorated work
     */
    public <T> Callable<T> callable(Request request, ResultCodec<T> codec, AttemptWork<T> work) {
        return callable(request, codec, work, UnaryOperator.identity());
    }

    /**
     * Decorates work, with something between the retry and the attempt:
     * {@code attempt -> timeLimiter.decorateFutureSupplier(() -> pool.submit(attempt))}.
     *
     * @param request which request it is for
     * @param codec how its result is kept
     * @param work what an attempt does
     * @param around decorates each attempt; what it is given asks the engine, and then works
     * @param <T> the result
     * @return the decorated work
     */
    public <T> Callable<T> callable(
            Request request,
            ResultCodec<T> codec,
            AttemptWork<T> work,
            UnaryOperator<Callable<T>> around) {
        Objects.requireNonNull(around, "around");
        return () -> new SyncCall<>(new Attempts<>(this, request, codec), work, around).run();
    }

    /**
     * Decorates work that throws nothing that has to be caught.
     *
     * @param request which request it is for
     * @param codec how its result is kept
     * @param work what an attempt does
     * @param <T> the result
     * @return the decorated work
     */
    public <T> Supplier<T> supplier(
            Request request, ResultCodec<T> codec, Function<AdmittedAttempt, T> work) {
        Callable<T> callable = callable(request, codec, work::apply);
        return () -> {
            try {
                return callable.call();
            } catch (RuntimeException thrown) {
                throw thrown;
            } catch (Exception impossible) {
                throw new AssertionError("neither the work nor a retry throws it", impossible);
            }
        };
    }

    /**
     * Decorates work whose result comes later.
     *
     * @param request which request it is for
     * @param codec how its result is kept
     * @param scheduler where attempts begin, but the first
     * @param work what an attempt does; its stage is done when the work has ended, not before
     * @param <T> the result
     * @return the decorated work
     */
    public <T> Supplier<CompletionStage<T>> completionStage(
            Request request,
            ResultCodec<T> codec,
            ScheduledExecutorService scheduler,
            AttemptWork<? extends CompletionStage<T>> work) {
        return completionStage(request, codec, scheduler, work, UnaryOperator.identity());
    }

    /**
     * The same, with something between the retry and the attempt:
     * {@code attempt -> timeLimiter.decorateCompletionStage(scheduler, attempt)}.
     *
     * @param request which request it is for
     * @param codec how its result is kept
     * @param scheduler where attempts begin, but the first
     * @param work what an attempt does; its stage is done when the work has ended, not before
     * @param around decorates each attempt; what it is given asks the engine, and then works
     * @param <T> the result
     * @return the decorated work
     */
    public <T> Supplier<CompletionStage<T>> completionStage(
            Request request,
            ResultCodec<T> codec,
            ScheduledExecutorService scheduler,
            AttemptWork<? extends CompletionStage<T>> work,
            UnaryOperator<Supplier<CompletionStage<T>>> around) {
        Objects.requireNonNull(around, "around");
        Objects.requireNonNull(scheduler, "scheduler");
        return () -> new AsyncCall<>(
                new Attempts<>(this, request, codec), scheduler, work, around).start();
    }

    /** Tells the consumers, who cannot disturb an attempt. */
    void publish(AttemptEvent event) {
        try {
            events.processEvent(event);
        } catch (RuntimeException thrown) {
            System.getLogger(AdmittedRetry.class.getName()).log(
                    System.Logger.Level.WARNING, "a consumer of attempt events failed", thrown);
        }
    }

    @Override
    public String toString() {
        return "AdmittedRetry[" + retry.getName() + "]";
    }
}
