package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Steps that later attempts find, and what identifies calls to services below. */
class StepTest {
    private final Engine engine = Engine.open(
            Given.options().retryPolicy(RetryPolicy.constant(Duration.ofSeconds(1))).build());

    @AfterEach
    void close() {
        engine.close();
    }

    /** The next attempt of a request, by a worker. */
    private Lease next(Lease lease) {
        lease.retryLater(AttemptError.transientError("503"), "charge", new byte[0]);
        engine.advanceClock(Duration.ofSeconds(1));
        return engine.nextAttempt(Duration.ZERO).orElseThrow().lease();
    }

    /**
     * Goal: a later attempt finds what the one before finished, and runs the rest.
     * Method: results of all sizes, also ones that do not fit the first frame.
     */
    @Test
    void laterAttemptsFindSteps() {
        try (Engine large = Engine.open(Given.options().stepsLimit(60_000).maxRetrying(1_000)
                .retryPolicy(RetryPolicy.constant(Duration.ofSeconds(1))).build())) {
            Lease first = admitted(large.begin(fresh()));
            byte[] result = new byte[30_000];
            result[29_999] = 9;
            assertEquals(Optional.empty(), first.steps().find("reserve"));
            first.steps().finish("reserve", result);
            first.steps().finish("reserve", new byte[] {1});
            first.steps().finish("nothing", new byte[0]);
            first.retryLater(AttemptError.transientError("503"), "charge", new byte[0]);
            large.advanceClock(Duration.ofSeconds(1));
            Lease second = large.nextAttempt(Duration.ZERO).orElseThrow().lease();
            assertArrayEquals(result, second.steps().find("reserve").orElseThrow());
            assertArrayEquals(new byte[0], second.steps().find("nothing").orElseThrow());
            assertEquals(Optional.empty(), second.steps().find("charge"));
            assertThrows(FencedException.class, () -> first.steps().find("reserve"));
            assertThrows(FencedException.class, () -> first.steps().finish("x", new byte[0]));
            assertThrows(FullException.class,
                    () -> second.steps().finish("too much", new byte[40_000]));
            second.complete(Outcome.of(200));
        }
    }

    /**
     * Goal: whoever compensates gets the finished steps from the last to the first, each once.
     * Method: three steps by two attempts.
     */
    @Test
    void stepsAreUndone() {
        Lease first = admitted(engine.begin(fresh()));
        first.steps().finish("reserve", new byte[] {1});
        first.steps().finish("charge", new byte[] {2});
        Lease lease = next(first);
        lease.steps().finish("ship", new byte[] {3});
        for (String name : List.of("ship", "charge", "reserve")) {
            Step last = lease.steps().last().orElseThrow();
            assertEquals(name, last.name());
            assertEquals(1, last.result().length);
            lease.steps().undone(name);
            assertThrows(NotFoundException.class, () -> lease.steps().undone(name));
            assertEquals(Optional.empty(), lease.steps().find(name));
        }
        assertEquals(Optional.empty(), lease.steps().last());
        lease.fail(Failure.terminal(Outcome.of(500)));
        assertThrows(FencedException.class, () -> lease.steps().last());
        assertThrows(FencedException.class, () -> lease.steps().undone("ship"));
    }

    /**
     * Goal: a call below has the same key in every attempt, and another one for every request,
     * service and step.
     * Method: all of them, of two attempts and two requests.
     */
    @Test
    void callsBelowHaveKeys() {
        Lease first = admitted(engine.begin(fresh()));
        String key = first.downstreamKey("bank");
        assertTrue(key.matches("[A-Za-z0-9_-]{43}"), key);
        Set<String> keys = new HashSet<>(List.of(key, first.downstreamKey("mail"),
                first.downstreamKey("bank", "debit"), first.downstreamKey("bank", "credit"),
                admitted(engine.begin(fresh())).downstreamKey("bank")));
        assertEquals(5, keys.size());
        Lease second = next(first);
        assertEquals(key, second.downstreamKey("bank"));
        assertTrue(keys.contains(second.downstreamKey("bank", "debit")));
        assertThrows(FencedException.class, () -> first.downstreamKey("bank"));

        List<Outcome.Pair> headers = second.attemptHeaders("bank");
        assertEquals(List.of(
                new Outcome.Pair("idempotency-key", '"' + key + '"'),
                new Outcome.Pair("idempotency-attempt", "2"),
                new Outcome.Pair("fencing-token", Long.toString(second.fencingToken()))), headers);
        assertThrows(FencedException.class, () -> first.attemptHeaders("bank"));
        assertNotEquals(headers, second.attemptHeaders("mail"));
    }

    /**
     * Goal: what breaks a rule is refused by its name, and the attempt runs on.
     * Method: names that are empty or too long; one step more than there may be.
     */
    @Test
    void badStepsAreRefusedByName() {
        Lease lease = admitted(engine.begin(fresh()));
        refused(Status.INVALID_OPTION, "step", () -> lease.steps().find(""));
        refused(Status.INVALID_OPTION, "step",
                () -> lease.steps().finish("é".repeat(128), new byte[0]));
        refused(Status.INVALID_OPTION, "service", () -> lease.downstreamKey(""));
        refused(Status.INVALID_OPTION, "service", () -> lease.attemptHeaders("x".repeat(256)));
        for (int i = 0; i < 64; i++) {
            lease.steps().finish("step " + i, new byte[0]);
        }
        assertThrows(InvalidInputException.class, () -> lease.steps().finish("65", new byte[0]));
        assertFalse(lease.isEnded());
        lease.complete(Outcome.of(200));
    }
}
