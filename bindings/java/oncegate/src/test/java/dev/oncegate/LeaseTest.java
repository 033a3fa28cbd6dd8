package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Leases: how an attempt ends, and that it ends once. */
class LeaseTest {
    private final Engine engine = Given.engine();

    @AfterEach
    void close() {
        engine.close();
    }

    /**
     * Goal: an attempt ends once; whoever comes later is told, and changes nothing.
     * Method: every way to end it, each after each.
     */
    @Test
    void anAttemptEndsOnce() {
        List<java.util.function.Consumer<Lease>> ends = List.of(
                lease -> lease.complete(Outcome.of(200, "first")),
                lease -> lease.fail(Failure.terminal(Outcome.of(500, "first"))),
                lease -> lease.fail(Failure.retryable(Duration.ofSeconds(1))),
                Lease::abandon);
        for (int i = 0; i < ends.size(); i++) {
            for (int j = 0; j < ends.size(); j++) {
                var first = ends.get(i);
                var second = ends.get(j);
                String pair = i + " then " + j;
                Request request = fresh();
                Lease lease = admitted(engine.begin(request));
                assertFalse(lease.isEnded());
                first.accept(lease);
                assertTrue(lease.isEnded());
                OncegateException fenced =
                        assertThrows(FencedException.class, () -> second.accept(lease), pair);
                assertEquals(Status.FENCED, fenced.status());
                assertFalse(fenced.isTransient());
                lease.close();
            }
        }
        assertThrows(FencedException.class, () -> {
            Lease lease = admitted(engine.begin(fresh()));
            lease.complete(Outcome.of(200));
            lease.renew(Duration.ofSeconds(1));
        });
    }

    /**
     * Goal: a holder that did not know may still find out, and closing gives nothing back before.
     * Method: an attempt in doubt is closed, looked at, and then completed by its holder.
     */
    @Test
    void aHolderMayFindOut() {
        Request request = fresh();
        Lease lease = admitted(engine.begin(request));
        lease.fail(Failure.unknown());
        assertTrue(lease.isEnded());
        lease.close();
        assertEquals(new Admission.Unresolved(), engine.begin(request));
        lease.complete(Outcome.of(200, "it did"));
        assertEquals("it did", replayed(engine.begin(request)).bodyText());
        assertThrows(FencedException.class, () -> lease.complete(Outcome.of(200)));
    }

    /**
     * Goal: a failure ends as its kind says.
     * Method: each kind, and what a duplicate gets after it.
     */
    @Test
    void failuresEndByTheirKind() {
        Request terminal = fresh();
        Outcome outcome = Outcome.of(422, "no").with("a", "b");
        admitted(engine.begin(terminal)).fail(Failure.terminal(outcome));
        assertEquals(outcome, replayed(engine.begin(terminal)));

        Request retryable = fresh();
        admitted(engine.begin(retryable)).fail(Failure.retryable(Duration.ZERO));
        assertEquals(2, admitted(engine.begin(retryable)).attempt());

        Request abandoned = fresh();
        admitted(engine.begin(abandoned)).abandon();
        admitted(engine.begin(abandoned));

        refused(Status.BAD_VALUE, "delay_ms", () -> Failure.retryable(Duration.ofSeconds(-1)));
        assertThrows(NullPointerException.class, () -> Failure.terminal(null));
    }

    /**
     * Goal: a lease lasts as long as it was renewed for, and not longer.
     * Method: renewals under the clock of the test, to the millisecond.
     */
    @Test
    void aLeaseIsRenewed() {
        Request request = fresh();
        Lease lease = admitted(engine.begin(request));
        engine.advanceClock(Duration.ofSeconds(29));
        assertEquals(Duration.ofSeconds(60), lease.renew(Duration.ofSeconds(60)));
        engine.advanceClock(Duration.ofMillis(59_999));
        assertInstanceOf(Admission.InProgress.class, engine.begin(request));
        engine.advanceClock(Duration.ofMillis(1));
        Lease next = admitted(engine.begin(request));
        assertTrue(next.fencingToken() > lease.fencingToken());
        assertThrows(FencedException.class, () -> lease.renew(Duration.ofSeconds(1)));
        assertThrows(FencedException.class, () -> lease.complete(Outcome.of(200)));
        next.complete(Outcome.of(201));
        assertEquals(201, replayed(engine.begin(request)).status());

        refused(Status.INVALID_OPTION, "lease_duration", () -> admitted(engine.begin(fresh()))
                .renew(Duration.ofDays(400)));
    }

    /**
     * Goal: a lease that was not ended is given back when it is closed, and one that was is not.
     * Method: a block that leaves it, and a block that ends it.
     */
    @Test
    void closingGivesBack() {
        Request request = fresh();
        try (Lease lease = admitted(engine.begin(request))) {
            assertInstanceOf(Admission.InProgress.class, engine.begin(request));
            assertFalse(lease.isEnded());
        }
        try (Lease lease = admitted(engine.begin(request))) {
            lease.complete(Outcome.of(200));
        }
        replayed(engine.begin(request));
        Lease lapsed = admitted(engine.begin(fresh()));
        engine.advanceClock(Duration.ofSeconds(31));
        lapsed.close();
        lapsed.close();
    }

    /**
     * Goal: a refused outcome leaves the attempt running, to be ended otherwise.
     * Method: outcomes that break a rule, by their fields; then a good one.
     */
    @Test
    void aRefusedOutcomeEndsNothing() {
        Request request = fresh();
        Lease lease = admitted(engine.begin(request));
        refused(Status.BAD_VALUE, "outcome.status", () -> lease.complete(Outcome.of(65_536)));
        refused(Status.BAD_VALUE, "outcome.status", () -> lease.complete(Outcome.of(-1)));
        refused(Status.INVALID_OUTCOME, "outcome.metadata.name",
                () -> lease.complete(Outcome.of(200).with("", "v")));
        refused(Status.INVALID_OUTCOME, "outcome.metadata.value",
                () -> lease.complete(Outcome.of(200).with("n", "v".repeat(8_193))));
        assertFalse(lease.isEnded());
        assertEquals(Stored.WITHOUT_BYTES,
                lease.complete(Outcome.of(200, new byte[100_000])), "over the limit");
        assertEquals(new Admission.OutcomeGone(), engine.begin(request));
    }

    /**
     * Goal: a lease crosses to whoever has its bytes, and is then his.
     * Method: it is taken up by another engine object of the same process, and ended there.
     */
    @Test
    void aLeaseIsTakenUp() {
        Request request = fresh();
        Lease lease = admitted(engine.begin(request));
        byte[] token = lease.token();
        lease.detach();
        lease.close();
        assertTrue(lease.isEnded());
        assertInstanceOf(Admission.InProgress.class, engine.begin(request));

        Lease taken = engine.takeUp(token);
        assertEquals(lease.fencingToken(), taken.fencingToken());
        assertEquals(lease.attempt(), taken.attempt());
        assertEquals(lease.how(), taken.how());
        assertEquals(Duration.ofSeconds(30), taken.duration());
        taken.complete(Outcome.of(200));
        assertThrows(FencedException.class, () -> engine.takeUp(token));

        refused(Status.INVALID_TOKEN, "lease", () -> engine.takeUp(new byte[31]));
        refused(Status.INVALID_TOKEN, "lease_token", () -> engine.takeUp(new byte[32]));
    }
}
