package dev.oncegate.resilience4j;

import dev.oncegate.Admission;
import dev.oncegate.Lease;
import dev.oncegate.OncegateException;
import io.github.resilience4j.retry.MaxRetriesExceededException;
import io.github.resilience4j.retry.Retry;
import java.util.concurrent.Callable;
import java.util.concurrent.CancellationException;
import java.util.function.UnaryOperator;

/** One call of decorated work: the loop of the retry, and an admission in each round. */
final class SyncCall<T> {
    private final Attempts<T> attempts;
    private final AttemptWork<T> work;
    private final UnaryOperator<Callable<T>> around;

    SyncCall(Attempts<T> attempts, AttemptWork<T> work, UnaryOperator<Callable<T>> around) {
        this.attempts = attempts;
        this.work = work;
        this.around = around;
    }

    T run() throws Exception {
        Retry.Context<T> context = attempts.by.retry.context();
        try {
            while (true) {
                int number = attempts.next();
                T result;
                try {
                    result = around.apply(() -> attempt(number)).call();
                } catch (Exception thrown) {
                    if (attempts.isLast(number)) {
                        throw thrown;
                    }
                    // Throws it, or returns when the next attempt is due.
                    context.onError(thrown);
                    continue;
                }
                if (attempts.isLast(number) || attempts.wasReplayed(number)
                        || !context.onResult(result)) {
                    return finished(context, number, result);
                }
            }
        } catch (Throwable thrown) {
            attempts.giveUp(thrown);
            throw thrown;
        }
    }

    private T finished(Retry.Context<T> context, int number, T result) {
        if (attempts.isLast(number) && !attempts.wasReplayed(number)) {
            // A result that is to be retried, of an attempt that is the last one for all callers.
            Retry retry = attempts.by.retry;
            if (retry.getRetryConfig().isFailAfterMaxAttempts()) {
                throw MaxRetriesExceededException.createMaxRetriesExceededException(retry);
            }
            return result;
        }
        context.onComplete();
        return result;
    }

    /** One attempt, in the thread that works. */
    private T attempt(int number) throws Exception {
        Admission admission;
        try {
            admission = attempts.by.engine.begin(attempts.request, attempts.by.begin);
        } catch (OncegateException refused) {
            attempts.refused(number, refused);
            throw refused;
        }
        if (!(admission instanceof Admission.Admitted admitted)) {
            return attempts.answer(number, admission);
        }
        // Closing gives the attempt back, should ending it be refused.
        try (Lease lease = admitted.lease()) {
            AdmittedAttempt attempt = attempts.admitted(number, lease);
            if (attempt == null) {
                throw new CancellationException("the caller has given up on this attempt");
            }
            T result;
            try {
                result = work.run(attempt);
            } catch (Throwable thrown) {
                attempts.threw(number, lease, thrown);
                throw thrown;
            }
            attempts.left(number, lease, result);
            return result;
        }
    }
}
