package dev.oncegate.resilience4j;

import static dev.oncegate.resilience4j.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.oncegate.Admission;
import dev.oncegate.Engine;
import dev.oncegate.Lease;
import dev.oncegate.Outcome;
import dev.oncegate.Request;
import io.github.resilience4j.retry.MaxRetriesExceededException;
import io.github.resilience4j.retry.Retry;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** How attempts number, and what becomes of a record that is not tried again. */
class EndingTest {
    private final Engine engine = Given.manual();
    private final List<Integer> numbers = new ArrayList<>();

    @AfterEach
    void close() {
        engine.close();
    }

    /** Work that fails until an attempt of that number. */
    private AttemptWork<String> succeedingAt(int number) {
        return attempt -> {
            numbers.add(attempt.number());
            if (attempt.number() < number) {
                throw new IOException("attempt " + attempt.number());
            }
            return "charged by " + attempt.number();
        };
    }

    private Callable<String> charge(
            AdmittedRetry retry, Request request, AttemptWork<String> work) {
        return retry.callable(request, ResultCodec.text(), work);
    }

    /**
     * Goal: attempts number from 1 on, the engine's events and the retry's say the same, and a
     * duplicate gets the result without running.
     * Method: work that succeeds in its third attempt, and again.
     */
    @Test
    void attemptsNumberAndEvents() throws Exception {
        Retry plain = Given.retry(5);
        List<String> heard = new ArrayList<>();
        plain.getEventPublisher()
                .onRetry(event -> heard.add("retry " + event.getNumberOfRetryAttempts()))
                .onSuccess(event -> heard.add("success " + event.getNumberOfRetryAttempts()));
        AdmittedRetry retry = AdmittedRetry.of(engine, plain);
        retry.getEventPublisher().onEvent(event -> heard.add(told(event)));
        Request request = fresh();
        assertEquals("charged by 3", charge(retry, request, succeedingAt(3)).call());
        assertEquals(List.of(1, 2, 3), numbers);
        assertEquals(List.of(
                "admitted 1", "failed 1", "retry 1", "admitted 2", "failed 2", "retry 2",
                "admitted 3", "completed 3", "success 2"), heard);
        heard.clear();
        assertEquals("charged by 3", charge(retry, request, succeedingAt(3)).call());
        assertEquals(List.of("replayed false"), heard);
        assertEquals(3, numbers.size());
        assertEquals(1, plain.getMetrics().getNumberOfSuccessfulCallsWithRetryAttempt());
        assertEquals(1, plain.getMetrics().getNumberOfSuccessfulCallsWithoutRetryAttempt());
    }

    private static String told(AttemptEvent event) {
        if (event instanceof AttemptEvent.Admitted admitted) {
            return "admitted " + admitted.attempt();
        } else if (event instanceof AttemptEvent.Failed failed) {
            return "failed " + failed.attempt();
        } else if (event instanceof AttemptEvent.Completed completed) {
            return "completed " + completed.attempt();
        } else if (event instanceof AttemptEvent.Ended ended) {
            return "ended " + ended.attempt();
        } else if (event instanceof AttemptEvent.Replayed replayed) {
            return "replayed " + replayed.failed();
        }
        return event.toString();
    }

    /**
     * Goal: by default a request whose attempts are spent is a dead letter, and its duplicates are
     * told of the failure without running.
     * Method: work that always fails; then again.
     */
    @Test
    void exhaustedRequestsAreBuried() {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        List<AttemptEvent> events = Given.events(retry);
        Request request = fresh();
        Callable<String> charge = charge(retry, request, succeedingAt(9));
        assertEquals("attempt 3", assertThrows(IOException.class, charge::call).getMessage());
        assertEquals(List.of(1, 2, 3), numbers);
        assertEquals(1, engine.stats().deadLetters());
        assertInstanceOf(AttemptEvent.Ended.class, events.get(events.size() - 1));
        FailureReplayedException again =
                assertThrows(FailureReplayedException.class, charge::call);
        assertEquals(IOException.class.getName(), again.errorClass());
        assertEquals(3, numbers.size());
        assertEquals(1, retry.retry().getMetrics().getNumberOfFailedCallsWithRetryAttempt());
    }

    /**
     * Goal: the other endings do what they say.
     * Method: each, after two failed attempts.
     */
    @Test
    void exhaustedRequestsEndByPolicy() throws Exception {
        assertEquals(new Admission.Unresolved(), afterTwo(Ending.unknown()));
        assertEquals(new Admission.Replayed(Outcome.of(200, "none")),
                afterTwo(Ending.completed(Outcome.of(200, "none"))));
        Outcome failed = ((Admission.Replayed) afterTwo(Ending.failed())).outcome();
        assertEquals(500, failed.status());
        assertEquals(0, engine.stats().deadLetters());
        Admission free = afterTwo(Ending.released());
        assertEquals(3, ((Admission.Admitted) free).lease().attempt());
        afterTwo(Ending.buried("charge", "order 7".getBytes()));
        assertEquals(1, engine.stats().deadLetters());
    }

    private Admission afterTwo(Ending ending) {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(2)).onExhausted(ending);
        Request request = fresh();
        assertThrows(IOException.class, charge(retry, request, succeedingAt(9))::call);
        return engine.begin(request);
    }

    /**
     * Goal: what the retry ignores ends the record by its own policy, in the first attempt.
     * Method: an ignored exception under the default, and by exception; an error.
     */
    @Test
    void ignoredExceptionsEndByPolicy() throws Exception {
        Retry plain = Retry.of("charges", Given.config(3)
                .ignoreExceptions(IllegalArgumentException.class).build());
        AdmittedRetry retry = AdmittedRetry.of(engine, plain);
        Request request = fresh();
        AttemptWork<String> wrong = attempt -> {
            numbers.add(attempt.number());
            throw new IllegalArgumentException("no such account");
        };
        assertThrows(IllegalArgumentException.class, charge(retry, request, wrong)::call);
        assertThrows(FailureReplayedException.class, charge(retry, request, wrong)::call);
        assertEquals(List.of(1), numbers);
        assertEquals(1, plain.getMetrics().getNumberOfFailedCallsWithoutRetryAttempt());

        AdmittedRetry lenient = retry.onIgnored(thrown -> thrown instanceof RuntimeException
                ? Ending.completed(Outcome.of(200, "nothing to charge")) : Ending.unknown());
        Request other = fresh();
        assertThrows(IllegalArgumentException.class, charge(lenient, other, wrong)::call);
        assertEquals("nothing to charge", charge(lenient, other, wrong).call());

        Request third = fresh();
        assertThrows(StackOverflowError.class, charge(retry, third, attempt -> {
            throw new StackOverflowError();
        })::call);
        assertEquals("charged by 2", charge(retry, third, succeedingAt(2)).call());
    }

    /**
     * Goal: results that the retry takes for failures are retried and end like them; the last one
     * is the answer of duplicates.
     * Method: a result predicate, with and without an exception at the end.
     */
    @Test
    void unwantedResultsAreRetried() throws Exception {
        Retry plain = Retry.of("charges", Given.config(3)
                .retryOnResult(result -> result.equals("busy")).build());
        AdmittedRetry retry = AdmittedRetry.of(engine, plain);
        AttemptWork<String> busy = attempt -> {
            numbers.add(attempt.number());
            return "busy";
        };
        Request request = fresh();
        assertEquals("busy", charge(retry, request, busy).call());
        assertEquals("busy", charge(retry, request, busy).call());
        assertEquals(List.of(1, 2, 3), numbers);
        assertEquals(1, engine.stats().deadLetters());

        Retry failing = Retry.of("charges", Given.config(2).failAfterMaxAttempts(true)
                .retryOnResult(result -> result.equals("busy")).build());
        Callable<String> charge = charge(AdmittedRetry.of(engine, failing), fresh(), busy);
        assertThrows(MaxRetriesExceededException.class, charge::call);
    }

    /**
     * Goal: the limit of attempts holds for the request, not for each of its callers.
     * Method: two attempts by somebody else, then a call of a retry with a limit of three.
     */
    @Test
    void attemptsAreCountedOverAllCallers() {
        Request request = fresh();
        AdmittedRetry two = AdmittedRetry.of(engine, Given.retry(2))
                .onExhausted(Ending.released());
        assertThrows(IOException.class, charge(two, request, succeedingAt(9))::call);
        AdmittedRetry three = AdmittedRetry.of(engine, Given.retry(3));
        IOException last =
                assertThrows(IOException.class, charge(three, request, succeedingAt(9))::call);
        assertEquals("attempt 3", last.getMessage());
        assertEquals(List.of(1, 2, 3), numbers);
        assertEquals(1, engine.stats().deadLetters());
    }

    /**
     * Goal: what the engine refuses for good ends the call at once.
     * Method: another payload, a record in doubt, and a key that breaks a rule.
     */
    @Test
    void someRefusalsAreNotRetried() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        List<AttemptEvent> events = Given.events(retry);
        Request request = fresh();
        charge(retry, request.withPayload(dev.oncegate.Payload.json("{\"a\":1}")),
                succeedingAt(1)).call();
        events.clear();
        AttemptRefusedException refused = assertThrows(AttemptRefusedException.class,
                charge(retry, request.withPayload(dev.oncegate.Payload.json("{\"a\":2}")),
                        succeedingAt(1))::call);
        assertEquals(new Admission.Mismatched(), refused.admission());
        assertEquals(1, events.size());

        Request doubtful = fresh();
        assertThrows(IOException.class, charge(retry.onExhausted(Ending.unknown()), doubtful,
                succeedingAt(9))::call);
        events.clear();
        assertThrows(AttemptRefusedException.class, charge(retry, doubtful, succeedingAt(1))::call);
        assertEquals(1, events.size());

        Request invalid = Request.of(dev.oncegate.Scope.named("acme"), "POST /charges", "");
        assertThrows(dev.oncegate.InvalidInputException.class,
                charge(retry, invalid, succeedingAt(1))::call);
    }

    /**
     * Goal: the result of an attempt that lost its lease does not count, and is not repeated.
     * Method: work whose lease lapses while it runs, and during which somebody else takes over.
     */
    @Test
    void fencedResultsAreTold() {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        List<AttemptEvent> events = Given.events(retry);
        Request request = fresh();
        AttemptFencedException fenced = assertThrows(AttemptFencedException.class,
                charge(retry, request, attempt -> {
                    numbers.add(attempt.number());
                    engine.advanceClock(Duration.ofDays(1));
                    Admission other = engine.begin(request);
                    try (Lease lease = ((Admission.Admitted) other).lease()) {
                        lease.complete(Outcome.of(200, "theirs"));
                    }
                    return "mine";
                })::call);
        assertEquals("mine", fenced.result());
        assertEquals(List.of(1), numbers);
        assertInstanceOf(AttemptEvent.Fenced.class, events.get(events.size() - 1));
        assertEquals("theirs", assertInstanceOf(Admission.Replayed.class, engine.begin(request))
                .outcome().bodyText());
    }

    /**
     * Goal: a result that cannot be kept goes to its caller, and nothing runs again.
     * Method: a codec that throws.
     */
    @Test
    void resultsThatCannotBeKept() throws Exception {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(3));
        Request request = fresh();
        ResultCodec<String> broken = ResultCodec.of(text -> {
            throw new IllegalStateException("cannot be encoded");
        }, Outcome::bodyText);
        assertEquals("charged by 1", retry.callable(request, broken, succeedingAt(1)).call());
        AttemptRefusedException gone = assertThrows(AttemptRefusedException.class,
                retry.callable(request, broken, succeedingAt(1))::call);
        assertEquals(new Admission.OutcomeGone(), gone.admission());
    }

    /**
     * Goal: a supplier throws what its work throws, and gives what it leaves.
     * Method: work that fails once.
     */
    @Test
    void suppliers() {
        AdmittedRetry retry = AdmittedRetry.of(engine, Given.retry(2));
        IllegalStateException thrown = new IllegalStateException("busy");
        assertEquals("charged", retry.supplier(fresh(), ResultCodec.text(), attempt -> {
            if (attempt.call() == 1) {
                throw thrown;
            }
            return "charged";
        }).get());
        assertSame(thrown, assertThrows(IllegalStateException.class,
                retry.supplier(fresh(), ResultCodec.text(), attempt -> {
                    throw thrown;
                })::get));
    }
}
