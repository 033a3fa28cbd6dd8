package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Dead letters: requests that failed for good, until somebody sees to them. */
class LetterTest {
    private static final DeadLetter.Filter ALL = DeadLetter.Filter.all();

    private final Engine engine = Engine.open(Given.options().maxRetrying(1_000)
            .retryPolicy(RetryPolicy.constant(Duration.ofSeconds(1)).maxAttempts(3)).build());

    @AfterEach
    void close() {
        engine.close();
    }

    private void bury(Request request, String operation, String errorClass, byte[] context) {
        admitted(engine.begin(request)).retryLater(
                AttemptError.transientError(errorClass).terminal(), operation, context);
    }

    /** All letters, by pages. */
    private List<DeadLetter> list(DeadLetter.Filter filter, int each) {
        List<DeadLetter> letters = new ArrayList<>();
        DeadLetters.Page page = engine.deadLetters().list(filter, each);
        letters.addAll(page.letters());
        for (int pages = 1; page.next().isPresent(); pages++) {
            assertTrue(pages < 100, "pages without an end");
            assertTrue(page.letters().size() <= each);
            page = engine.deadLetters().list(filter, page.next().get(), each);
            letters.addAll(page.letters());
        }
        return letters;
    }

    /**
     * Goal: a request that failed for good is there with all that was kept of it.
     * Method: three attempts, one of which lapses, with a step; each field of the letter.
     */
    @Test
    void aLetterTellsWhatHappened() {
        Request request = fresh();
        Lease first = admitted(engine.begin(request));
        first.steps().finish("reserve", new byte[] {1});
        first.retryLater(AttemptError.timeout("timeout"), "charge", new byte[] {7});
        engine.advanceClock(Duration.ofSeconds(1));
        Lease second = engine.nextAttempt(Duration.ZERO).orElseThrow().lease();
        second.detach();
        engine.advanceClock(Duration.ofSeconds(31));
        engine.advance(100);
        engine.advanceClock(Duration.ofSeconds(1));
        Lease third = engine.nextAttempt(Duration.ZERO).orElseThrow().lease();
        assertEquals(3, third.attempt());
        assertEquals(new Later.Ended(Buried.ATTEMPTS), third.retryLater(
                AttemptError.transientError("503"), "charge", new byte[] {8}));

        DeadLetter listed = list(ALL, 10).get(0);
        assertEquals(List.of(), listed.history());
        DeadLetter letter = engine.deadLetters().show(listed.id());
        assertEquals(Buried.ATTEMPTS, letter.reason());
        assertEquals(3, letter.attempts());
        assertEquals(0, letter.leftOut());
        assertEquals("charge", letter.operation());
        assertArrayEquals(new byte[] {8}, letter.context());
        assertEquals("503", letter.errorClass());
        assertEquals(List.of("reserve"), letter.steps());
        assertEquals(Duration.ofSeconds(33),
                Duration.between(letter.history().get(0).ended(), letter.buried()));
        assertEquals(List.of("1 FAILED timeout", "2 LAPSED ", "3 FAILED 503"),
                letter.history().stream().map(past ->
                        past.attempt() + " " + past.end() + " " + past.errorClass()).toList());
        assertEquals(
                List.of(first.fencingToken(), second.fencingToken(), third.fencingToken()),
                letter.history().stream().map(DeadLetter.Past::fencingToken).toList());
        assertEquals(Optional.empty(), letter.history().get(0).began());
        assertTrue(letter.history().get(2).began().isPresent());
        assertEquals(1, engine.stats().deadLetters());
    }

    /**
     * Goal: of many attempts the first and the last ones are told, and how many were left out.
     * Method: eleven attempts, each with an error of its own.
     */
    @Test
    void aLongHistoryIsCut() {
        engine.setOperation("charge",
                RetryPolicy.constant(Duration.ofSeconds(1)).maxAttempts(11), 0);
        Lease lease = admitted(engine.begin(fresh()));
        for (int attempt = 1; attempt < 11; attempt++) {
            lease.retryLater(AttemptError.transientError("e" + attempt), "charge", new byte[0]);
            engine.advanceClock(Duration.ofSeconds(1));
            lease = engine.nextAttempt(Duration.ZERO).orElseThrow().lease();
        }
        lease.retryLater(AttemptError.transientError("last"), "charge", new byte[0]);
        DeadLetter letter = engine.deadLetters().show(list(ALL, 1).get(0).id());
        assertEquals(11, letter.attempts());
        assertEquals(11, letter.leftOut() + letter.history().size());
        assertTrue(letter.leftOut() > 0);
        assertEquals("e1", letter.history().get(0).errorClass());
        assertEquals("last", letter.history().get(letter.history().size() - 1).errorClass());
    }

    /**
     * Goal: letters come by pages, each once, as far as a filter lets them.
     * Method: forty letters whose contexts do not fit the first frame; each filter.
     */
    @Test
    void lettersComeByPages() {
        for (int i = 0; i < 40; i++) {
            bury(fresh(), i % 4 == 0 ? "refund" : "charge", i % 5 == 0 ? "503" : "429",
                    new byte[1_000]);
        }
        for (int each : new int[] {1, 7, 40, 5_000}) {
            Set<DeadLetter.Id> ids = new HashSet<>();
            list(ALL, each).forEach(letter -> assertTrue(ids.add(letter.id())));
            assertEquals(40, ids.size());
        }
        assertEquals(10, list(ALL.operation("refund"), 3).size());
        assertEquals(8, list(ALL.errorClass("503"), 3).size());
        assertEquals(2, list(ALL.errorClass("503").operation("refund"), 3).size());
        assertEquals(40, list(ALL.reason(Buried.FINAL_ERROR), 30).size());
        assertEquals(0, list(ALL.reason(Buried.BUDGET), 30).size());
        Instant day = Instant.now().plus(Duration.ofDays(1));
        assertEquals(40, list(ALL.buried(Instant.EPOCH, day), 30).size());
        assertEquals(0, list(ALL.buried(day, day.plusSeconds(9)), 30).size());
        refused(Status.BAD_SIZE, "most", () -> engine.deadLetters().list(ALL, 0));
    }

    /**
     * Goal: a letter that is redriven runs again with its context, and one that is discarded
     * answers duplicates; each happens once.
     * Method: one of each; their names afterwards.
     */
    @Test
    void lettersAreRedrivenAndDiscarded() {
        Request again = fresh();
        bury(again, "charge", "503", new byte[] {5});
        DeadLetter.Id id = list(ALL, 9).get(0).id();
        assertEquals(id.place() + "-" + id.generation(), id.toString());
        engine.deadLetters().redrive(id);
        Attempt attempt = engine.nextAttempt(Duration.ZERO).orElseThrow();
        assertEquals(2, attempt.number());
        assertArrayEquals(new byte[] {5}, attempt.context());
        attempt.lease().complete(Outcome.of(200));
        assertThrows(NotFoundException.class, () -> engine.deadLetters().redrive(id));
        assertThrows(NotFoundException.class, () -> engine.deadLetters().discard(id));
        assertThrows(NotFoundException.class, () -> engine.deadLetters().show(id));

        Request given = fresh();
        bury(given, "charge", "503", new byte[0]);
        engine.deadLetters().discard(list(ALL, 9).get(0).id());
        assertEquals(500, replayed(engine.begin(given)).status());
        assertEquals(1, engine.stats().discarded());
        assertEquals(1, engine.stats().redriven());
    }

    /**
     * Goal: many are seen to by one call, as far as the filter and the limit let it.
     * Method: eight letters; both calls with both bounds.
     */
    @Test
    void manyAreSeenToAtOnce() {
        for (int i = 0; i < 8; i++) {
            bury(fresh(), i % 2 == 0 ? "refund" : "charge", "503", new byte[0]);
        }
        assertEquals(1, engine.deadLetters().redriveAll(ALL.operation("refund"), 1));
        assertEquals(3, engine.deadLetters().redriveAll(ALL.operation("refund"), 100));
        assertEquals(2, engine.deadLetters().discardAll(ALL, 2));
        assertEquals(2, engine.deadLetters().discardAll(ALL.errorClass("503"), 100));
        assertEquals(List.of(), list(ALL, 9));
        assertEquals(4, engine.nextAttempts(9, Duration.ZERO).size());
        refused(Status.BAD_SIZE, "limit", () -> engine.deadLetters().redriveAll(ALL, -1));
    }
}
