package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What retries may spend, when they come, and how load draws them out. */
class BudgetTest {
    private static final AttemptError BROKEN = AttemptError.transientError("503");
    private static final Duration SECOND = Duration.ofSeconds(1);

    private final Engine engine = Engine.open(Given.options()
            .retryPolicy(RetryPolicy.constant(SECOND))
            .adaptive(Adaptive.defaults().pace(Duration.ofMillis(1), Duration.ofMinutes(1)))
            .build());

    @AfterEach
    void close() {
        engine.close();
    }

    private Later later(Request request, String operation, AttemptError error) {
        return admitted(engine.begin(request)).retryLater(error, operation, new byte[0]);
    }

    /** How many retries are allowed before one is refused for the budget. */
    private int allowed(AttemptError error, String operation) {
        for (int count = 0; count < 13; count++) {
            Later later = later(fresh(), operation, error);
            if (later instanceof Later.Ended ended) {
                assertEquals(Buried.BUDGET, ended.why());
                return count;
            }
        }
        return 13;
    }

    private static RetryBudget bucket(double tokens) {
        return RetryBudget.bucket(RetryBudget.Bucket.PLAIN).capacity(tokens);
    }

    /**
     * Goal: a bucket allows as many retries as its tokens pay for, each error by its own cost.
     * Method: the same tokens with errors of each kind.
     */
    @Test
    void aBucketIsSpent() {
        RetryBudget budget = bucket(12).costs(2, 3, 6).charge(RetryBudget.Charge.RETRY);
        engine.budgets().set(budget);
        assertEquals(6, allowed(BROKEN, "charge"));
        engine.budgets().set(budget.named("engine"));
        assertEquals(4, allowed(AttemptError.throttled("429"), "charge"));
    }

    /**
     * Goal: time brings tokens back, as many as were asked for.
     * Method: an empty bucket, and three seconds of the test's clock.
     */
    @Test
    void timeRefills() {
        engine.budgets().set(bucket(2).costs(1, 1, 1).refill(0, 1));
        assertEquals(2, allowed(AttemptError.timeout("timeout"), "charge"));
        engine.advanceClock(SECOND);
        assertEquals(1, allowed(AttemptError.timeout("timeout"), "charge"));
    }

    /**
     * Goal: operations and scopes have budgets of their own, and only they spend them.
     * Method: each is spent beside another; the one of the scope is taken back.
     */
    @Test
    void operationsAndScopesHaveBudgets() {
        engine.budgets().setOperation("refund", bucket(1).costs(1, 1, 1));
        assertEquals(1, allowed(BROKEN, "refund"));
        assertEquals(new Later.Scheduled(2, SECOND), later(fresh(), "charge", BROKEN));

        Scope scope = Scope.named("spender");
        engine.budgets().setScope(scope, bucket(1).costs(1, 1, 1));
        assertEquals(new Later.Scheduled(2, SECOND),
                later(Request.of(scope, "op", "first"), "charge", BROKEN));
        assertEquals(new Later.Ended(Buried.BUDGET),
                later(Request.of(scope, "op", "second"), "charge", BROKEN));
        engine.budgets().removeScope(scope);
        assertEquals(new Later.Scheduled(2, SECOND),
                later(Request.of(scope, "op", "third"), "charge", BROKEN));
    }

    /**
     * Goal: ratio and concurrency budgets allow what their least says, and a share beyond.
     * Method: with no share at all, one by one.
     */
    @Test
    void sharesAreKept() {
        engine.budgets().set(RetryBudget.ratio().ratio(0, 3).window(SECOND, 2));
        assertEquals(3, allowed(BROKEN, "charge"));
        engine.budgets().set(RetryBudget.concurrency().share(0, 2));
        assertEquals(2, allowed(BROKEN, "charge"));
    }

    /**
     * Goal: what a budget cannot be is refused by its name.
     * Method: a value out of range; one that is for another kind.
     */
    @Test
    void badBudgetsAreRefusedByName() {
        refused(Status.INVALID_CONFIG, "retry_budget.capacity",
                () -> engine.budgets().set(bucket(20_000)));
        refused(Status.INVALID_CONFIG, "retry_budget.threshold",
                () -> engine.budgets().set(bucket(10).threshold(10)));
        assertThrows(InvalidInputException.class,
                () -> engine.budgets().set(RetryBudget.ratio().capacity(10)));
        assertThrows(InvalidInputException.class,
                () -> engine.budgets().setScope(Scope.named(""), bucket(10)));
    }

    /**
     * Goal: a load above its target draws delays out, and is refused where there is none.
     * Method: the factor in the statistics, with a load of 1 over some looks at what is due.
     */
    @Test
    void loadDrawsDelaysOut() {
        assertEquals(1.0, engine.stats().backoffFactor());
        for (int i = 0; i < 20; i++) {
            engine.setLoad(1);
            engine.advanceClock(Duration.ofMillis(10));
            engine.advance(10);
        }
        assertEquals(16.0, engine.stats().backoffFactor(), 0.001);
        refused(Status.INVALID_OPTION, "adaptive.load", () -> engine.setLoad(1.5));
        refused(Status.INVALID_OPTION, "adaptive.load", () -> engine.setLoad(Double.NaN));
        try (Engine without = Given.engine()) {
            refused(Status.INVALID_CONFIG, "adaptive_backoff", () -> without.setLoad(0.5));
        }
    }

    /**
     * Goal: a policy tells its delays beforehand, the same ones for the same seed.
     * Method: each shape of delays, with what ends them; a jittered one twice.
     */
    @Test
    void policiesTellTheirDelays() {
        assertEquals(
                new RetryPolicy.Preview(List.of(ms(100), ms(300), ms(500)), Optional.empty()),
                RetryPolicy.exponential(ms(100)).multiplier(3).ceiling(ms(500)).maxAttempts(9)
                        .preview(1, 3));
        assertEquals(
                new RetryPolicy.Preview(List.of(ms(10), ms(15)), Optional.of(Buried.ATTEMPTS)),
                RetryPolicy.linear(ms(10), ms(5)).preview(1, 9));
        assertEquals(
                new RetryPolicy.Preview(List.of(ms(0), ms(7), ms(7)), Optional.of(Buried.DEADLINE)),
                RetryPolicy.delays(Duration.ZERO, ms(7)).maxAttempts(9).deadline(ms(20))
                        .preview(1, 9));
        RetryPolicy jittered = RetryPolicy.exponential(SECOND).jitter(RetryPolicy.Jitter.FULL)
                .maxAttempts(50);
        assertEquals(jittered.preview(7, 49), jittered.preview(7, 49));
        assertEquals(49, jittered.preview(7, 49).delays().size());
        assertEquals(false, jittered.preview(7, 49).equals(jittered.preview(8, 49)));
        for (RetryPolicy.Preset preset : RetryPolicy.Preset.values()) {
            RetryPolicy policy = RetryPolicy.preset(preset);
            if (preset == RetryPolicy.Preset.GRPC) {
                policy = policy.initial(SECOND).multiplier(2).ceiling(SECOND).maxAttempts(3);
            }
            assertEquals(Optional.of(Buried.ATTEMPTS), policy.preview(1, 9).ended(), preset.name());
        }
    }

    private static Duration ms(long ms) {
        return Duration.ofMillis(ms);
    }
}
