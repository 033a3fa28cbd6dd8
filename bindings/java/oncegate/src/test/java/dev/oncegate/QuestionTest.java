package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Reconciliation: questions about requests of which nobody knows whether they took effect. */
class QuestionTest {
    private final Engine engine = Engine.open(Given.options().reconcile(true)
            .retryPolicy(RetryPolicy.constant(Duration.ofSeconds(1))).build());

    @AfterEach
    void close() {
        engine.close();
    }

    private Lease doubt(Request request) {
        Lease lease = admitted(engine.begin(request));
        lease.fail(Failure.unknown());
        return lease;
    }

    /** One look at the whole table, some time later. */
    private List<Question> asked() {
        engine.advanceClock(Duration.ofSeconds(1));
        return engine.questions(1_024);
    }

    /**
     * Goal: each request in doubt is asked about, and ends as it is answered, whatever other
     * requests are in doubt.
     * Method: several at once, some of which may have the same fencing token; every answer.
     */
    @Test
    void everyAnswerDecidesItsRequest() {
        Map<Integer, Request> requests = new HashMap<>();
        Set<Long> tokens = new HashSet<>();
        for (int i = 0; i < 4; i++) {
            Request request = fresh();
            tokens.add(doubt(request).fencingToken());
            requests.put(i, request);
        }
        List<Question> questions = asked();
        assertEquals(4, questions.size());
        assertEquals(4, questions.stream().map(Question::id).distinct().count());
        assertEquals(tokens, new HashSet<>(
                questions.stream().map(Question::fencingToken).toList()));
        engine.answer(questions.get(0), Resolution.succeeded(Outcome.of(201, "it did")));
        engine.answer(questions.get(1), Resolution.failed(Outcome.of(500, "it did not")));
        engine.answer(questions.get(2), Resolution.runAgain());
        engine.answer(questions.get(3), null);

        Map<String, Integer> answers = new HashMap<>();
        for (Request request : requests.values()) {
            Admission answer = engine.begin(request);
            String said = answer instanceof Admission.Replayed replayed
                    ? replayed.outcome().bodyText()
                    : answer.getClass().getSimpleName();
            answers.merge(said, 1, Integer::sum);
        }
        assertEquals(
                Map.of("it did", 1, "it did not", 1, "Admitted", 1, "Unresolved", 1), answers);
        for (int i = 0; i < 3; i++) {
            Question answered = questions.get(i);
            assertThrows(NotFoundException.class,
                    () -> engine.answer(answered, Resolution.runAgain()));
        }
    }

    /**
     * Goal: a question tells what is needed to find out, and comes again by the same number until
     * it is answered.
     * Method: an attempt with operation and context, in doubt; two looks.
     */
    @Test
    void aQuestionComesAgain() {
        Request request = fresh();
        Lease first = admitted(engine.begin(request));
        byte[] context = new byte[4_000];
        context[3_999] = 4;
        first.retryLater(AttemptError.timeout("timeout"), "charge", context);
        engine.advanceClock(Duration.ofSeconds(1));
        Lease second = engine.nextAttempt(Duration.ZERO).orElseThrow().lease();
        second.fail(Failure.unknown());
        Question question = asked().get(0);
        assertEquals(2, question.attempt());
        assertEquals(second.fencingToken(), question.fencingToken());
        assertEquals("charge", question.operation());
        assertArrayEquals(context, question.context());
        engine.advanceClock(Duration.ofMinutes(5));
        assertEquals(question.id(), engine.questions(1_024).get(0).id());
        engine.answer(question, Resolution.succeeded(Outcome.of(200)));
        assertEquals(200, replayed(engine.begin(request)).status());
        engine.advanceClock(Duration.ofMinutes(10));
        assertEquals(List.of(), engine.questions(1_024));
    }

    /**
     * Goal: an engine that does not reconcile says so, and what was never asked is not found.
     * Method: the calls on one that was opened without; a number of nobody's.
     */
    @Test
    void questionsHaveToBeAskedFor() {
        try (Engine without = Given.engine()) {
            assertEquals(Status.BAD_VALUE, assertThrows(InvalidInputException.class,
                    () -> without.questions(1)).status());
        }
        assertThrows(NotFoundException.class, () -> engine.answer(
                new Question(77, 1, 1, "", new byte[0]), Resolution.runAgain()));
        refused(Status.BAD_SIZE, "limit", () -> engine.questions(0));
    }
}
