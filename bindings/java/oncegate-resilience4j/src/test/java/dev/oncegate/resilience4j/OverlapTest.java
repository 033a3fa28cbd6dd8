package dev.oncegate.resilience4j;

import static dev.oncegate.resilience4j.Given.await;
import static dev.oncegate.resilience4j.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.Request;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.timelimiter.TimeLimiter;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** An attempt never starts while another one of its request works. */
class OverlapTest {
    private static final Duration LIMIT = Duration.ofMillis(50);

    private final Engine engine = Given.engine();
    private final ExecutorService pool = Executors.newCachedThreadPool();
    private final TimeLimiter limiter = TimeLimiter.of(LIMIT);
    private final Given.Effects effects = new Given.Effects();
    private final Semaphore began = new Semaphore(0);

    @AfterEach
    void close() {
        pool.shutdownNow();
        engine.close();
    }

    /** A future that a time limiter may cancel, and whose work does not hear of that. */
    private <T> Callable<T> limited(Callable<T> attempt) {
        return limiter.decorateFutureSupplier(() -> inPool(attempt));
    }

    /** The same, whose time begins when the work has begun. */
    private <T> Callable<T> limitedWork(Callable<T> attempt) {
        return limiter.decorateFutureSupplier(() -> {
            CompletableFuture<T> future = inPool(attempt);
            began.acquireUninterruptibly();
            return future;
        });
    }

    private <T> CompletableFuture<T> inPool(Callable<T> attempt) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                return attempt.call();
            } catch (RuntimeException thrown) {
                throw thrown;
            } catch (Exception thrown) {
                throw new java.util.concurrent.CompletionException(thrown);
            }
        }, pool);
    }

    /**
     * Goal: Resilience4j alone overlaps attempts, which is what the next tests are about.
     * Method: the same work under its own decorators: a slow attempt and two more.
     */
    @Test
    void withoutTheEngineAttemptsOverlap() {
        CountDownLatch ended = new CountDownLatch(1);
        Callable<String> decorated = Retry.decorateCallable(Given.retry(3), limitedWork(() -> {
            effects.begin();
            began.release();
            await(ended);
            return "charged";
        }));
        assertThrows(TimeoutException.class, decorated::call);
        ended.countDown();
        assertEquals(3, effects.most.get());
    }

    /**
     * Goal: a slow attempt that a time limiter gave up on is never overlapped, and its result is
     * the answer of the next attempt.
     * Method: a retry of three attempts that wait for each other, the first two with less time than
     * the work takes, which ends while the third one waits.
     */
    @Test
    void aSlowAttemptIsWaitedFor() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3))
                .begin(BeginOptions.defaults().waitUpTo(Duration.ofSeconds(20)));
        List<AttemptEvent> events = Given.events(retry);
        CountDownLatch third = new CountDownLatch(1);
        AtomicInteger asked = new AtomicInteger();
        Callable<String> charge = retry.callable(fresh(), ResultCodec.text(), attempt -> {
            effects.begin();
            began.release();
            await(third);
            effects.end();
            return "charged by " + attempt.number();
        }, attempt -> {
            if (asked.incrementAndGet() == 3) {
                third.countDown();
                return attempt;
            }
            return asked.get() == 1 ? limitedWork(attempt) : limited(attempt);
        });
        assertEquals("charged by 1", charge.call());
        assertEquals(1, effects.ran.get());
        assertEquals(1, effects.most.get());
        assertTrue(events.stream().anyMatch(AttemptEvent.Replayed.class::isInstance));
    }

    /**
     * Goal: an attempt that does not wait is refused while an earlier one works; the call ends by
     * that, and the effect still happens once and is the answer of the next call.
     * Method: a slow attempt that ends only after its call has.
     */
    @Test
    void aSlowAttemptIsNotOverlappedByOneThatDoesNotWait() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        Request request = fresh();
        CountDownLatch ended = new CountDownLatch(1);
        AttemptWork<String> work = attempt -> {
            effects.begin();
            began.release();
            await(ended);
            effects.end();
            return "charged";
        };
        AtomicInteger asked = new AtomicInteger();
        Callable<String> charge = retry.callable(request, ResultCodec.text(), work,
                attempt -> asked.incrementAndGet() == 1 ? limitedWork(attempt) : attempt);
        AttemptRefusedException refused =
                assertThrows(AttemptRefusedException.class, charge::call);
        assertTrue(refused.isWorthRepeating());
        assertEquals(1, effects.running.get());
        ended.countDown();
        // With a wait, it gets the result as soon as it is there.
        assertEquals("charged", retry
                .begin(BeginOptions.defaults().waitUpTo(Duration.ofSeconds(20)))
                .callable(request, ResultCodec.text(), work).call());
        assertEquals(1, effects.ran.get());
    }

    /**
     * Goal: an attempt that was given up on while it waited does not run when its turn comes: the
     * caller has a newer one.
     * Method: the second of three attempts waits for the first, and is given up on; then the first
     * fails.
     */
    @Test
    void anAttemptThatWasGivenUpOnDoesNotRun() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3))
                .begin(BeginOptions.defaults().waitUpTo(Duration.ofSeconds(20)));
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch fails = new CountDownLatch(1);
        List<Integer> calls = new java.util.concurrent.CopyOnWriteArrayList<>();
        AttemptWork<String> work = attempt -> {
            calls.add(attempt.call());
            if (attempt.call() == 1) {
                entered.countDown();
                await(fails);
                throw new IOException("too late");
            }
            return "charged";
        };
        List<Future<String>> given = new java.util.ArrayList<>();
        assertEquals("charged", retry.callable(fresh(), ResultCodec.text(), work, attempt -> () -> {
            if (given.size() == 2) {
                fails.countDown();
                return attempt.call();
            }
            given.add(pool.submit(attempt));
            if (given.size() == 1) {
                await(entered);
            }
            while (engine.stats().waiters() < given.size() - 1) {
                Thread.onSpinWait();
            }
            throw new TimeoutException("given up");
        }).call());
        assertEquals(List.of(1, 3), calls);
    }

    /**
     * Goal: an attempt that was given up on when its answer was just coming does not end the call:
     * the next one gets that answer.
     * Method: a record that has its result; the first of three attempts gets it too late.
     */
    @Test
    void anAnswerThatComesTooLateIsAskedForAgain() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        Request request = fresh();
        AttemptWork<String> work = attempt -> "charged by " + attempt.call();
        assertEquals("charged by 1", retry.callable(request, ResultCodec.text(), work).call());
        AtomicInteger asked = new AtomicInteger();
        assertEquals("charged by 1", retry.callable(request, ResultCodec.text(), work,
                attempt -> () -> {
                    String answer = attempt.call();
                    if (asked.incrementAndGet() == 1) {
                        throw new TimeoutException("given up");
                    }
                    return answer;
                }).call());
        assertEquals(2, asked.get());
    }

    /**
     * Goal: attempts that fail one after the other, some later than their time limit, never overlap.
     * Method: many calls of one request from several threads, with waits, limits and failures; every
     * other attempt works on until somebody has been given up on.
     */
    @Test
    void failingAttemptsNeverOverlap() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(500))
                .onExhausted(Ending.released())
                .begin(BeginOptions.defaults().waitUpTo(Duration.ofMillis(200)));
        Request request = fresh();
        Semaphore givenUp = new Semaphore(0);
        Callable<String> charge = retry.callable(request, ResultCodec.text(), attempt -> {
            effects.begin();
            try {
                if (effects.ran.get() % 2 == 1) {
                    givenUp.drainPermits();
                    assertTrue(givenUp.tryAcquire(30, TimeUnit.SECONDS), "nobody gives up");
                }
                if (effects.ran.get() < 6) {
                    throw new IOException("attempt " + attempt.number());
                }
                return "charged";
            } finally {
                effects.end();
            }
        }, attempt -> () -> {
            try {
                return this.limited(attempt).call();
            } catch (TimeoutException limit) {
                givenUp.release();
                throw limit;
            }
        });
        CyclicBarrier start = new CyclicBarrier(4);
        List<Future<String>> calls = new java.util.ArrayList<>();
        for (int i = 0; i < 4; i++) {
            calls.add(pool.submit(() -> {
                start.await();
                return charge.call();
            }));
        }
        for (Future<String> call : calls) {
            assertEquals("charged", call.get());
        }
        assertEquals(6, effects.ran.get());
        assertEquals(1, effects.most.get());
    }

    /**
     * Goal: threads that race on one key have one effect, and all get its result.
     * Method: two threads at once, many keys.
     */
    @Test
    void racingThreadsHaveOneEffect() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3))
                .begin(BeginOptions.defaults().waitUpTo(Duration.ofSeconds(20)));
        CyclicBarrier start = new CyclicBarrier(2);
        int keys = 200;
        for (int i = 0; i < keys; i++) {
            Callable<String> charge = retry.callable(fresh(), ResultCodec.text(), attempt -> {
                effects.ran.incrementAndGet();
                return "charged by " + attempt.fencingToken();
            });
            Callable<String> racing = () -> {
                start.await();
                return charge.call();
            };
            Future<String> first = pool.submit(racing);
            Future<String> second = pool.submit(racing);
            assertEquals(first.get(), second.get());
        }
        assertEquals(keys, effects.ran.get());
    }
}
