package dev.oncegate;

import java.time.Duration;

/** Run: admit, execute, and end the attempt by the outcome policy, in one call. */
final class Runs {
    private Runs() {}

    static <X extends Exception> Ran run(
            Engine engine, Request request, RunOptions options, Work<X> work) throws X {
        Admission admission = engine.begin(request, options.begin);
        if (admission instanceof Admission.Admitted admitted) {
            return execute(admitted.lease(), options.policy, work);
        }
        return admission instanceof Admission.Replayed replayed
                ? new Ran.Replayed(replayed.outcome())
                : new Ran.Declined(admission);
    }

    private static <X extends Exception> Ran execute(
            Lease lease, OutcomePolicy policy, Work<X> work) throws X {
        // Closing gives the attempt back, should ending it be refused.
        try (lease) {
            Outcome outcome;
            try {
                outcome = work.run(lease);
                if (outcome == null) {
                    throw new NullPointerException("the work left no outcome");
                }
            } catch (Throwable thrown) {
                settle(lease, policy.judgeException(), thrown);
                throw thrown;
            }
            try {
                end(lease, policy.judge(outcome.status()), outcome);
            } catch (FencedException fenced) {
                return new Ran.Fenced(outcome);
            }
            return new Ran.Executed(outcome);
        }
    }

    /** What the work threw is what the caller gets, whatever comes of ending the attempt. */
    private static void settle(Lease lease, Judgement judgement, Throwable thrown) {
        try {
            end(lease, judgement, null);
        } catch (OncegateException refused) {
            thrown.addSuppressed(refused);
        }
    }

    private static void end(Lease lease, Judgement judgement, Outcome outcome) {
        switch (judgement) {
            case FINAL -> lease.complete(outcome);
            case RETRYABLE -> lease.fail(Failure.retryable(Duration.ZERO));
            case UNKNOWN -> lease.fail(Failure.unknown());
            default -> throw new AssertionError(judgement);
        }
    }
}
