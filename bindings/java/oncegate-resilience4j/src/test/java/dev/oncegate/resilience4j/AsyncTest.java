package dev.oncegate.resilience4j;

import static dev.oncegate.resilience4j.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.Admission;
import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.Request;
import io.github.resilience4j.retry.MaxRetriesExceededException;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.timelimiter.TimeLimiter;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Work whose result comes later. */
class AsyncTest {
    private final Engine engine = Given.engine();
    private final ScheduledExecutorService scheduler = Executors.newScheduledThreadPool(2);
    private final TimeLimiter limiter = TimeLimiter.of(Duration.ofMillis(50));
    private final Given.Effects effects = new Given.Effects();
    private final CompletableFuture<String> slow = new CompletableFuture<>();

    @AfterEach
    void close() {
        scheduler.shutdownNow();
        engine.close();
    }

    private static <T> T get(Supplier<CompletionStage<T>> call) throws Exception {
        return get(call.get());
    }

    private static <T> T get(CompletionStage<T> stage) throws Exception {
        return stage.toCompletableFuture().get(30, TimeUnit.SECONDS);
    }

    private static Throwable thrown(Supplier<CompletionStage<String>> call) {
        return assertThrows(ExecutionException.class, () -> get(call)).getCause();
    }

    private Supplier<CompletionStage<String>> limited(Supplier<CompletionStage<String>> attempt) {
        return limiter.decorateCompletionStage(scheduler, attempt);
    }

    /** Work that ends when the test says so. */
    private CompletionStage<String> slow(AdmittedAttempt attempt) {
        effects.begin();
        return slow.whenComplete((result, failure) -> effects.end());
    }

    /**
     * Goal: attempts follow each other, with numbers and events as those of a call that blocks.
     * Method: stages that fail twice, one by throwing; then a duplicate.
     */
    @Test
    void stagesAreRetried() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        List<AttemptEvent> events = Given.events(retry);
        Request request = fresh();
        List<Integer> numbers = new ArrayList<>();
        Supplier<CompletionStage<String>> charge = retry.completionStage(
                request, ResultCodec.text(), scheduler, attempt -> {
                    numbers.add(attempt.number());
                    if (attempt.number() == 1) {
                        throw new IOException("before the stage");
                    }
                    return attempt.number() == 2
                            ? CompletableFuture.failedFuture(new IOException("in the stage"))
                            : CompletableFuture.completedFuture("charged");
                });
        assertEquals("charged", get(charge));
        assertEquals(List.of(1, 2, 3), numbers);
        assertEquals("charged", get(charge));
        assertEquals(3, numbers.size());
        assertEquals(7, events.size(), events::toString);
        assertEquals(1, retry.retry().getMetrics().getNumberOfSuccessfulCallsWithRetryAttempt());
    }

    /**
     * Goal: an attempt that a time limiter gave up on is not overlapped: the next ones wait, and
     * are given up on, too; the effect happens once, and is the answer of the next call.
     * Method: a stage that is completed only after the call has ended.
     */
    @Test
    void aSlowStageIsNotOverlapped() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        Request request = fresh();
        assertInstanceOf(TimeoutException.class, thrown(retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow, this::limited)));
        assertEquals(1, effects.running.get());
        while (engine.stats().waiters() != 0) {
            // Who gave up no longer waits: the thread of the limiter is about to end that.
            Thread.onSpinWait();
        }
        Supplier<CompletionStage<String>> next =
                retry.completionStage(request, ResultCodec.text(), scheduler, this::slow);
        CompletionStage<String> waiting = next.get();
        slow.complete("charged");
        assertEquals("charged", get(waiting));
        assertEquals(1, effects.ran.get());
        assertEquals(1, effects.most.get());
    }

    /**
     * Goal: an attempt that is told not to wait is refused while an earlier one works.
     * Method: the same, with a wait of zero.
     */
    @Test
    void withoutAWaitItIsRefused() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3))
                .begin(BeginOptions.defaults().waitUpTo(Duration.ZERO));
        Request request = fresh();
        CompletionStage<String> first = retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow).get();
        AttemptRefusedException refused = assertInstanceOf(AttemptRefusedException.class, thrown(
                retry.completionStage(request, ResultCodec.text(), scheduler, this::slow)));
        assertInstanceOf(Admission.InProgress.class, refused.admission());
        slow.complete("charged");
        assertEquals("charged", get(first));
        assertEquals(1, effects.ran.get());
    }

    /**
     * Goal: an attempt that fails after its call has given up ends the record by the policy.
     * Method: a slow stage that fails when nobody is left; then a duplicate.
     */
    @Test
    void anOrphanEndsItsRecord() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(2));
        Request request = fresh();
        Supplier<CompletionStage<String>> charge = retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow, this::limited);
        assertInstanceOf(TimeoutException.class, thrown(charge));
        slow.completeExceptionally(new IOException("too late"));
        assertEquals(1, engine.stats().deadLetters());
        FailureReplayedException replayed =
                assertInstanceOf(FailureReplayedException.class, thrown(charge));
        assertEquals(IOException.class.getName(), replayed.errorClass());
        assertEquals(1, effects.ran.get());
    }

    /**
     * Goal: an attempt that failed when its call was past it, and that nobody followed, ends the
     * record when the call gives up.
     * Method: the second attempt of two is broken off before it asks, and the first fails then.
     */
    @Test
    void aFailureThatNobodyFollowedEndsTheRecord() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(2));
        Request request = fresh();
        int[] asked = {0};
        Throwable thrown = thrown(retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow, attempt -> () -> {
                    if (++asked[0] == 1) {
                        attempt.get();
                        return CompletableFuture.failedFuture(new TimeoutException("given up"));
                    }
                    slow.completeExceptionally(new IOException("meanwhile"));
                    return CompletableFuture.failedFuture(new IOException("never asked"));
                }));
        assertEquals("never asked", thrown.getMessage());
        assertEquals(1, engine.stats().deadLetters());
        assertInstanceOf(Admission.Replayed.class, engine.begin(request));
        assertEquals(1, effects.ran.get());
    }

    /**
     * Goal: an attempt that was given up on when its answer was just coming does not end the call.
     * Method: a record that has its result; the first of three attempts gets it too late.
     */
    @Test
    void anAnswerThatComesTooLateIsAskedForAgain() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        Request request = fresh();
        slow.complete("charged");
        get(retry.completionStage(request, ResultCodec.text(), scheduler, this::slow).get());
        int[] asked = {0};
        assertEquals("charged", get(retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow, attempt -> () -> {
                    CompletionStage<String> answer = attempt.get();
                    return ++asked[0] > 1 ? answer : answer.thenCompose(late ->
                            CompletableFuture.failedFuture(new TimeoutException("given up")));
                }).get()));
        assertEquals(2, asked[0]);
        assertEquals(1, effects.ran.get());
    }

    /**
     * Goal: a caller who leaves stops the retries, and not the attempt that runs.
     * Method: a promise that is cancelled while an attempt works.
     */
    @Test
    void aCallerWhoLeaves() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        Request request = fresh();
        CompletionStage<String> left = retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow).get();
        assertTrue(left.toCompletableFuture().cancel(false));
        slow.complete("charged");
        assertEquals("charged", get(retry.completionStage(
                request, ResultCodec.text(), scheduler, this::slow)));
        assertEquals(1, effects.ran.get());
    }

    /**
     * Goal: unwanted results, errors and what nobody foresaw end a stage as they end a call.
     * Method: a result predicate that throws at the end; an error; a stage that is null.
     */
    @Test
    void otherEndings() throws Exception {
        Retry unwanted = Retry.of("charges", Given.config(2).failAfterMaxAttempts(true)
                .retryOnResult("busy"::equals).build());
        assertInstanceOf(MaxRetriesExceededException.class,
                thrown(AdmittedRetry.of(engine, unwanted).completionStage(
                        fresh(), ResultCodec.text(), scheduler,
                        attempt -> CompletableFuture.completedFuture("busy"))));
        assertEquals(1, engine.stats().deadLetters());
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(2));
        Request request = fresh();
        assertInstanceOf(StackOverflowError.class, thrown(retry.completionStage(
                request, ResultCodec.text(), scheduler,
                attempt -> CompletableFuture.failedFuture(new StackOverflowError()))));
        assertInstanceOf(NullPointerException.class, thrown(retry.completionStage(
                request, ResultCodec.text(), scheduler, attempt -> null)));
    }
}
