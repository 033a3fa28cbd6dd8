package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Run: admit, execute, and end the attempt by the outcome policy. */
class RunTest {
    private final Engine engine = Given.engine();

    @AfterEach
    void close() {
        engine.close();
    }

    /**
     * Goal: work runs once, and its duplicates get what it left.
     * Method: the same request twice, with work that counts.
     */
    @Test
    void workRunsOnce() {
        Request request = fresh();
        int[] runs = {0};
        Work<RuntimeException> work = lease -> {
            assertEquals(1, lease.attempt());
            runs[0]++;
            return Outcome.of(201, "charged");
        };
        assertEquals(new Ran.Executed(Outcome.of(201, "charged")), engine.run(request, work));
        Ran again = engine.run(request, work);
        assertEquals(new Ran.Replayed(Outcome.of(201, "charged")), again);
        assertEquals(Optional.of(Outcome.of(201, "charged")), again.outcome());
        assertEquals(1, runs[0]);
    }

    /**
     * Goal: the policy decides how an attempt ends.
     * Method: a status that the policy takes for retryable, one that was changed to unknown, and
     * one that is final.
     */
    @Test
    void thePolicyDecides() {
        Request request = fresh();
        assertInstanceOf(Ran.Executed.class, engine.run(request, lease -> Outcome.of(503)));
        Ran second = engine.run(request, lease -> Outcome.of(lease.attempt()));
        assertEquals(new Ran.Executed(Outcome.of(2)), second);

        Request doubtful = fresh();
        RunOptions options = RunOptions.defaults()
                .policy(OutcomePolicy.IETF.status(504, Judgement.UNKNOWN));
        engine.run(doubtful, options, lease -> Outcome.of(504));
        Ran declined = engine.run(doubtful, options, lease -> Outcome.of(200));
        assertEquals(new Ran.Declined(new Admission.Unresolved()), declined);
        assertEquals(Optional.empty(), declined.outcome());
    }

    /**
     * Goal: an exception lets the next attempt start, or leaves the request in doubt, by the
     * policy, and reaches the caller as it is.
     * Method: a checked exception, an error, and no outcome at all.
     */
    @Test
    void exceptionsEndTheAttempt() {
        Request request = fresh();
        IOException thrown = new IOException("broken pipe");
        Work<IOException> throwing = lease -> {
            throw thrown;
        };
        assertSame(thrown, assertThrows(IOException.class, () -> engine.run(request, throwing)));
        assertThrows(NullPointerException.class, () -> engine.run(request, lease -> null));
        assertThrows(StackOverflowError.class, () -> engine.run(request, lease -> {
            throw new StackOverflowError();
        }));
        assertEquals(new Ran.Executed(Outcome.of(4)),
                engine.run(request, lease -> Outcome.of(lease.attempt())));

        Request doubtful = fresh();
        RunOptions options = RunOptions.defaults()
                .policy(OutcomePolicy.STRIPE_V1.onException(Judgement.UNKNOWN));
        assertThrows(IOException.class, () -> engine.run(doubtful, options, throwing));
        assertEquals(new Admission.Unresolved(), engine.begin(doubtful));
        assertThrows(InvalidInputException.class,
                () -> OutcomePolicy.IETF.onException(Judgement.FINAL));
    }

    /**
     * Goal: work that lost its lease says so, and its outcome is not stored.
     * Method: the lease lapses while the work runs, and another attempt takes over.
     */
    @Test
    void lateWorkIsFenced() {
        Request request = fresh();
        Lease[] other = new Lease[1];
        Ran ran = engine.run(request, lease -> {
            engine.advanceClock(Duration.ofSeconds(31));
            other[0] = admitted(engine.begin(request));
            return Outcome.of(200, "late");
        });
        assertEquals(new Ran.Fenced(Outcome.of(200, "late")), ran);
        assertEquals(Optional.empty(), ran.outcome());
        other[0].complete(Outcome.of(200, "in time"));

        Request second = fresh();
        IOException late = assertThrows(IOException.class, () -> engine.run(second, lease -> {
            engine.advanceClock(Duration.ofSeconds(31));
            admitted(engine.begin(second)).detach();
            throw new IOException("late");
        }));
        assertInstanceOf(FencedException.class, late.getSuppressed()[0]);
    }

    /**
     * Goal: an outcome that is refused gives the attempt back.
     * Method: work whose outcome breaks a rule, then work that does not.
     */
    @Test
    void aRefusedOutcomeGivesTheAttemptBack() {
        Request request = fresh();
        assertThrows(InvalidInputException.class,
                () -> engine.run(request, lease -> Outcome.of(200).with("", "")));
        assertInstanceOf(Ran.Executed.class, engine.run(request, lease -> Outcome.of(200)));
    }

    /**
     * Goal: work may end its own attempt.
     * Method: it completes the lease, and returns another outcome, which comes too late.
     */
    @Test
    void workMayEndItsAttempt() {
        Request request = fresh();
        Ran ran = engine.run(request, lease -> {
            lease.complete(Outcome.of(200, "own"));
            return Outcome.of(201);
        });
        assertEquals(new Ran.Fenced(Outcome.of(201)), ran);
        assertEquals(new Ran.Replayed(Outcome.of(200, "own")),
                engine.run(request, lease -> Outcome.of(202)));
    }

    /**
     * Goal: the presets and classes of methods are the engine's.
     * Method: values that tell the presets apart, and methods of each class.
     */
    @Test
    void statusesAndMethodsAreJudged() {
        assertEquals(Judgement.FINAL, OutcomePolicy.IETF.judge(201));
        assertEquals(Judgement.RETRYABLE, OutcomePolicy.IETF.judge(503));
        assertEquals(Judgement.FINAL, OutcomePolicy.STRIPE_V1.judge(500));
        assertEquals(Judgement.RETRYABLE, OutcomePolicy.STRIPE_V2.judge(402));
        assertEquals(Judgement.RETRYABLE, OutcomePolicy.IETF.judgeException());
        Given.refused(Status.BAD_VALUE, "http_status", () -> OutcomePolicy.OASIS.judge(65_536));
        assertEquals(Judgement.FINAL, OutcomePolicy.ICEBERG.judge(200));
        assertEquals(MethodClass.SAFE, MethodClass.of("GET"));
        assertEquals(MethodClass.SAFE, MethodClass.of("QUERY"));
        assertEquals(MethodClass.PAYLOAD_DEDUP, MethodClass.of("PUT"));
        assertEquals(MethodClass.KEY_REQUIRED, MethodClass.of("POST"));
        assertEquals(MethodClass.KEY_REQUIRED, MethodClass.of("get"));
    }
}
