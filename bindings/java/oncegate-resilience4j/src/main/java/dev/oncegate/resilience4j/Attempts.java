package dev.oncegate.resilience4j;

import dev.oncegate.Admission;
import dev.oncegate.BeginOptions;
import dev.oncegate.Failure;
import dev.oncegate.FencedException;
import dev.oncegate.FullException;
import dev.oncegate.InvalidInputException;
import dev.oncegate.Lease;
import dev.oncegate.OncegateException;
import dev.oncegate.Outcome;
import dev.oncegate.Request;
import dev.oncegate.Stored;
import io.github.resilience4j.retry.RetryConfig;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Predicate;

/**
 * The attempts of one call: which of them is the newest, how they end, and what the loop has to
 * know of that. Attempts that the loop has given up on work on in their threads, beside newer ones
 * that wait.
 */
final class Attempts<T> {
    /** Marks an outcome that is a failure; its value is the class of the exception. */
    static final String FAILURE = "oncegate-failure";

    private static final int FAILED = 500;

    final AdmittedRetry by;
    final Request request;
    private final ResultCodec<T> codec;
    private final RetryConfig config;

    /** Held while a record is ended, so that giving up and ending see each other. */
    private final ReentrantLock lock = new ReentrantLock();

    /** How often the loop has asked. Volatile: attempts read it in their threads. */
    private volatile int newest;

    /** The attempt whose answer came from the record, and the one that nothing may follow. */
    private volatile int replayed;
    private volatile int last;

    /** Under the lock: the loop has given up. */
    private boolean gaveUp;

    /** Under the lock: the last attempt failed when the loop was past it, and nobody followed. */
    private boolean orphaned;

    Attempts(AdmittedRetry by, Request request, ResultCodec<T> codec) {
        this.by = by;
        this.request = Objects.requireNonNull(request, "request");
        this.codec = Objects.requireNonNull(codec, "codec");
        config = by.retry.getRetryConfig();
    }

    /** The number of the next attempt. Called by one thread at a time. */
    int next() {
        int number = newest + 1;
        newest = number;
        return number;
    }

    boolean wasReplayed(int number) {
        return replayed == number;
    }

    /** Whether the retry is not to be asked about what came of an attempt. */
    boolean isLast(int number) {
        return last == number;
    }

    String retryName() {
        return by.retry.getName();
    }

    /** The result of a record, or the exception that says why there is none. */
    T answer(int number, Admission admission) {
        if (!(admission instanceof Admission.Replayed finished)) {
            AttemptRefusedException refused = new AttemptRefusedException(admission);
            if (!refused.isWorthRepeating()) {
                last = number;
            }
            by.publish(new AttemptEvent.Refused(retryName(), number, admission));
            throw refused;
        }
        Outcome outcome = finished.outcome();
        var failure = outcome.metadata(FAILURE);
        replayed = number;
        if (failure.isPresent()) {
            last = number;
        }
        // A result is not the last word: the loop may have given up on this attempt at this moment,
        // and then the next one gets it.
        by.publish(new AttemptEvent.Replayed(retryName(), number, failure.isPresent()));
        if (failure.isPresent()) {
            throw new FailureReplayedException(failure.get(), outcome);
        }
        return codec.decode(outcome);
    }

    /** The engine did not answer. */
    void refused(int number, Throwable thrown) {
        if (thrown instanceof OncegateException error && !error.isTransient()) {
            last = number;
        }
    }

    /** What the work of an attempt sees; null: the loop is past it, and it is given back. */
    AdmittedAttempt admitted(int number, Lease lease) {
        lock.lock();
        try {
            if (gaveUp || number != newest) {
                lease.close();
                return null;
            }
            orphaned = false;
        } finally {
            lock.unlock();
        }
        by.publish(new AttemptEvent.Admitted(
                retryName(), number, lease.attempt(), lease.fencingToken(), lease.how()));
        return new AdmittedAttempt(lease, retryName(), number);
    }

    /** Ends an attempt whose work left a result. */
    void left(int number, Lease lease, T result) {
        Predicate<T> unwanted = config.getResultPredicate();
        if (unwanted != null && unwanted.test(result)) {
            Ending ending = isSpent(number, lease) ? by.exhausted : null;
            try {
                end(number, lease, ending, "", encoded(result));
            } catch (FencedException fenced) {
                throw fenced(number, lease, fenced, result);
            }
            return;
        }
        Outcome outcome = encoded(result);
        Stored stored;
        try {
            stored = complete(lease, outcome);
        } catch (FencedException fenced) {
            throw fenced(number, lease, fenced, result);
        }
        by.publish(new AttemptEvent.Completed(
                retryName(), number, lease.attempt(), stored == Stored.WITH_BYTES));
    }

    /** The work had its effect: whatever is wrong with its outcome, it never runs again. */
    private static Stored complete(Lease lease, Outcome outcome) {
        try {
            return lease.complete(outcome);
        } catch (InvalidInputException | FullException refused) {
            return lease.complete(Outcome.withheld(outcome.status()));
        }
    }

    private Outcome encoded(T result) {
        try {
            return codec.encode(result);
        } catch (RuntimeException thrown) {
            System.getLogger(Attempts.class.getName()).log(
                    System.Logger.Level.WARNING, "a result could not be kept", thrown);
            return Outcome.withheld(ResultCodec.SUCCESS);
        }
    }

    /** Ends an attempt whose work threw something, which stays what the caller gets. */
    void threw(int number, Lease lease, Throwable thrown) {
        String errorClass = thrown.getClass().getName();
        Outcome outcome = Outcome.of(FAILED).with(FAILURE, errorClass);
        try {
            end(number, lease, endingOf(number, lease, thrown), errorClass, outcome);
        } catch (FencedException fenced) {
            by.publish(new AttemptEvent.Fenced(retryName(), number, lease.attempt()));
            thrown.addSuppressed(fenced);
        } catch (RuntimeException refused) {
            // Also what the predicates of the retry throw. Closing the lease gives it back.
            thrown.addSuppressed(refused);
        }
    }

    /** How a failed attempt ends; null: another one may follow. */
    private Ending endingOf(int number, Lease lease, Throwable thrown) {
        if (!(thrown instanceof Exception)) {
            // A retry does not catch errors, and they say nothing of the request.
            return Ending.released();
        }
        if (!config.getExceptionPredicate().test(thrown)) {
            return by.ignored.apply(thrown);
        }
        return isSpent(number, lease) ? by.exhausted : null;
    }

    private boolean isSpent(int number, Lease lease) {
        boolean byEngine = lease.attempt() >= config.getMaxAttempts();
        if (byEngine && number < config.getMaxAttempts()) {
            // The retry would go on: it has not seen the attempts of others.
            last = number;
        }
        return byEngine || number >= config.getMaxAttempts();
    }

    private void end(int number, Lease lease, Ending ending, String errorClass, Outcome outcome) {
        Ending how = ending;
        lock.lock();
        try {
            if (how == null && gaveUp) {
                how = by.exhausted;
            }
            if (how == null) {
                lease.fail(Failure.retryable(Duration.ZERO));
                orphaned = number != newest;
            } else {
                how.end(lease, errorClass, outcome, request.operation());
            }
        } finally {
            lock.unlock();
        }
        by.publish(how == null
                ? new AttemptEvent.Failed(retryName(), number, lease.attempt(), errorClass)
                : new AttemptEvent.Ended(
                        retryName(), number, lease.attempt(), errorClass, how));
    }

    private AttemptFencedException fenced(
            int number, Lease lease, FencedException fenced, T result) {
        last = number;
        by.publish(new AttemptEvent.Fenced(retryName(), number, lease.attempt()));
        return new AttemptFencedException(fenced, result);
    }

    /**
     * The loop has ended without a result. An attempt that still works ends the record when it
     * fails; if it failed in the meantime, and nobody followed, the record is ended here.
     */
    void giveUp(Throwable thrown) {
        lock.lock();
        try {
            gaveUp = true;
            if (!orphaned) {
                return;
            }
            orphaned = false;
            BeginOptions now = by.begin.waitUpTo(Duration.ZERO);
            if (by.engine.begin(request, now) instanceof Admission.Admitted free) {
                String errorClass = thrown.getClass().getName();
                Outcome outcome = Outcome.of(FAILED).with(FAILURE, errorClass);
                try (Lease lease = free.lease()) {
                    by.exhausted.end(lease, errorClass, outcome, request.operation());
                }
            }
        } catch (OncegateException refused) {
            // The record stays as it is: the next caller may try again.
            thrown.addSuppressed(refused);
        } finally {
            lock.unlock();
        }
    }
}
