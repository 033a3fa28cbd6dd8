package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Attempts that are left to the engine: policies, hints, budgets, and what workers get. */
class RetryTest {
    private static final AttemptError BROKEN = AttemptError.transientError("503");
    private static final byte[] CONTEXT = {1, 2, 3};

    private final Engine engine = Engine.open(
            Given.options().retryPolicy(RetryPolicy.exponential(Duration.ofSeconds(1))).build());

    @AfterEach
    void close() {
        engine.close();
    }

    private static Later later(Lease lease, AttemptError error) {
        return lease.retryLater(error, "charge", CONTEXT);
    }

    private Later laterFresh(AttemptError error) {
        return later(admitted(engine.begin(fresh())), error);
    }

    private static Later scheduled(int attempt, long ms) {
        return new Later.Scheduled(attempt, Duration.ofMillis(ms));
    }

    private static Later ended(Buried why) {
        return new Later.Ended(why);
    }

    /** What is due after a time, for one worker. */
    private static Attempt due(Engine engine, long ms) {
        engine.advanceClock(Duration.ofMillis(ms));
        return engine.nextAttempt(Duration.ZERO).orElseThrow();
    }

    /**
     * Goal: an attempt that is put off comes to a worker when it is due, and not before, with what
     * it needs, and its end is the request's.
     * Method: three attempts by the clock of the test, to the millisecond; the last one completes.
     */
    @Test
    void aWorkerGetsWhatIsDue() {
        Request request = fresh();
        Lease first = admitted(engine.begin(request));
        assertEquals(scheduled(2, 1_000), later(first, BROKEN));
        assertTrue(first.isEnded());
        assertEquals(new Admission.Scheduled(2, Duration.ofSeconds(1)), engine.begin(request));
        engine.advanceClock(Duration.ofMillis(999));
        assertEquals(Optional.empty(), engine.nextAttempt(Duration.ZERO));
        Attempt second = due(engine, 1);
        assertEquals(2, second.number());
        assertEquals("charge", second.operation());
        assertArrayEquals(CONTEXT, second.context());
        assertEquals(How.RETRIED, second.lease().how());
        assertEquals(Duration.ofSeconds(30), second.lease().duration());
        assertTrue(second.lease().fencingToken() > first.fencingToken());
        assertInstanceOf(Admission.InProgress.class, engine.begin(request));

        assertEquals(scheduled(3, 2_000), later(second.lease(), BROKEN));
        Attempt third = due(engine, 2_000);
        third.lease().complete(Outcome.of(201, "done"));
        assertEquals("done", replayed(engine.begin(request)).bodyText());
        assertThrows(FencedException.class, () -> later(second.lease(), BROKEN));
    }

    /**
     * Goal: several attempts are taken at once, each with its own context, whatever their sizes.
     * Method: more than fit the first frame; those left over come with the next call.
     */
    @Test
    void severalAttemptsAreTakenAtOnce() {
        for (int i = 0; i < 12; i++) {
            byte[] context = new byte[1_000 + i];
            context[0] = (byte) i;
            admitted(engine.begin(fresh())).retryLater(BROKEN, "operation " + i, context);
        }
        engine.advanceClock(Duration.ofSeconds(1));
        boolean[] seen = new boolean[12];
        int calls = 0;
        for (int taken = 0; taken < 12; calls++) {
            List<Attempt> attempts = engine.nextAttempts(12, Duration.ZERO);
            assertTrue(attempts.size() > 0);
            for (Attempt attempt : attempts) {
                int number = attempt.context()[0];
                assertEquals(1_000 + number, attempt.context().length);
                assertEquals("operation " + number, attempt.operation());
                assertEquals(false, seen[number]);
                seen[number] = true;
                attempt.lease().complete(Outcome.of(200));
                taken++;
            }
        }
        assertTrue(calls < 12, "one at a time");
        assertEquals(List.of(), engine.nextAttempts(1, Duration.ZERO));
        refused(Status.BAD_SIZE, "most", () -> engine.nextAttempts(0, Duration.ZERO));
        refused(Status.BAD_VALUE, "timeout_ms", () -> engine.nextAttempt(Duration.ofMillis(-1)));
        refused(Status.INVALID_OPTION, "timeout",
                () -> engine.nextAttempt(Duration.ofDays(400)));
    }

    /**
     * Goal: an attempt that is closed without an end is given back, and comes again.
     * Method: a block that leaves it.
     */
    @Test
    void anAttemptIsGivenBack() {
        laterFresh(BROKEN);
        long token;
        try (Attempt attempt = due(engine, 1_000)) {
            token = attempt.lease().fencingToken();
        }
        Attempt again = due(engine, 60_000);
        assertTrue(again.lease().fencingToken() > token);
        again.lease().complete(Outcome.of(200));
    }

    /**
     * Goal: what was found for a worker who has left meanwhile is given back.
     * Method: one attempt, several and none, for futures that are cancelled.
     */
    @Test
    void whatNobodyWaitsForIsGivenBack() {
        laterFresh(BROKEN);
        Attempt one = due(engine, 1_000);
        CompletableFuture<Optional<Attempt>> left = new CompletableFuture<>();
        left.cancel(true);
        Workers.deliver(left, Optional.of(one));
        Workers.deliver(left, Optional.empty());
        assertTrue(one.lease().isEnded());
        engine.advanceClock(Duration.ofMinutes(1));
        List<Attempt> again = engine.nextAttempts(2, Duration.ZERO);
        assertEquals(1, again.size());
        CompletableFuture<List<Attempt>> gone = new CompletableFuture<>();
        gone.cancel(true);
        Workers.deliver(gone, again);
        assertTrue(again.get(0).lease().isEnded());
        CompletableFuture<List<Attempt>> stays = new CompletableFuture<>();
        Workers.deliver(stays, List.of(due(engine, 60_000)));
        assertEquals(false, stays.join().get(0).lease().isEnded());
    }

    /**
     * Goal: whoever has no worker that waits sees to what is due by a call.
     * Method: one look before, with the time until there is something, and one after.
     */
    @Test
    void dueAttemptsAreSeenTo() {
        engine.setOperation("charge", RetryPolicy.constant(Duration.ofMillis(400)), 0);
        laterFresh(BROKEN);
        Driven before = engine.advance(100);
        assertEquals(0, before.ready());
        assertEquals(Optional.of(Duration.ofMillis(400)), before.dueIn());
        engine.advanceClock(Duration.ofMillis(400));
        Driven after = engine.advance(100);
        assertEquals(1, after.lookedAt());
        assertEquals(1, after.ready());
        assertEquals(false, after.more());
    }

    /**
     * Goal: the policy of an operation takes the place of the engine's, with a limit of its own to
     * what is handed out at a time, until it is taken back.
     * Method: one attempt, then none; two are due, one is handed out.
     */
    @Test
    void anOperationHasItsPolicy() {
        engine.setOperation("charge",
                RetryPolicy.constant(Duration.ofMillis(70)).maxAttempts(2), 1);
        assertEquals(scheduled(2, 70), laterFresh(BROKEN));
        assertEquals(scheduled(2, 70), laterFresh(BROKEN));
        Attempt only = due(engine, 70);
        assertEquals(Optional.empty(), engine.nextAttempt(Duration.ZERO));
        assertEquals(ended(Buried.ATTEMPTS), later(only.lease(), BROKEN));
        due(engine, 0).lease().complete(Outcome.of(200));
        engine.setOperation("charge", null, 0);
        assertEquals(scheduled(2, 1_000), laterFresh(BROKEN));
        refused(Status.BAD_VALUE, "max_attempts", () -> engine.setOperation(
                "charge", RetryPolicy.exponential(Duration.ofSeconds(1)).maxAttempts(-1), 0));
    }

    /**
     * Goal: what the service says about retrying counts, as far as the policy lets it.
     * Method: each hint and kind of error, with and without bounds.
     */
    @Test
    void hintsCount() {
        assertEquals(scheduled(2, 9_000),
                laterFresh(AttemptError.throttled("429").hintAfter(Duration.ofSeconds(9))));
        Instant now = Instant.parse("2026-01-01T00:00:00Z");
        assertEquals(Optional.of(Duration.ofSeconds(120)),
                RetryHint.ofRetryAfter("120", now).delay());
        assertEquals(Optional.of(Duration.ofSeconds(30)),
                RetryHint.ofRetryAfter("Thu, 01 Jan 2026 00:00:30 GMT", now).delay());
        assertEquals(Optional.empty(), RetryHint.ofRetryAfter("soon", now).delay());
        assertEquals(ended(Buried.FINAL_ERROR), laterFresh(BROKEN.refused()));
        assertEquals(ended(Buried.FINAL_ERROR), laterFresh(BROKEN.terminal()));
        RetryPolicy bounded = RetryPolicy.constant(Duration.ofSeconds(1))
                .hintBounds(Duration.ofSeconds(2), Duration.ofSeconds(3));
        engine.setOperation("charge", bounded, 0);
        assertEquals(scheduled(2, 2_000), laterFresh(BROKEN.hintAfter(Duration.ofMillis(1))));
        assertEquals(scheduled(2, 3_000), laterFresh(BROKEN.hintAfter(Duration.ofHours(1))));
        engine.setOperation("charge", RetryPolicy.constant(Duration.ofSeconds(1)).ignoreHints(), 0);
        assertEquals(scheduled(2, 1_000), laterFresh(BROKEN.hintAfter(Duration.ofHours(1))));
    }

    /**
     * Goal: duplicates of a request that failed for good get what its last attempt left for them.
     * Method: an outcome in the error, and none.
     */
    @Test
    void duplicatesGetTheLastError() {
        Request request = fresh();
        later(admitted(engine.begin(request)), BROKEN.terminal().outcome(Outcome.of(422, "no")));
        assertEquals("no", replayed(engine.begin(request)).bodyText());
        Request without = fresh();
        later(admitted(engine.begin(without)), BROKEN.terminal());
        assertEquals(Outcome.of(500), replayed(engine.begin(without)));
    }

    /**
     * Goal: what breaks a rule is refused by its name, and the attempt runs on.
     * Method: each argument; then a good call.
     */
    @Test
    void badRetriesAreRefusedByName() {
        Lease lease = admitted(engine.begin(fresh()));
        refused(Status.INVALID_OPTION, "operation", () -> lease.retryLater(BROKEN, "", CONTEXT));
        refused(Status.INVALID_OPTION, "context",
                () -> lease.retryLater(BROKEN, "charge", new byte[1_000_000]));
        refused(Status.INVALID_OPTION, "class",
                () -> later(lease, AttemptError.timeout("x".repeat(33))));
        assertEquals(false, lease.isEnded());
        assertEquals(scheduled(2, 1_000), later(lease, AttemptError.timeout("timeout")));
    }
}
