package dev.oncegate.resilience4j;

import dev.oncegate.Admission;
import dev.oncegate.Lease;
import io.github.resilience4j.retry.MaxRetriesExceededException;
import io.github.resilience4j.retry.Retry;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/** One call of decorated work whose result comes later. */
final class AsyncCall<T> {
    private final Attempts<T> attempts;
    private final ScheduledExecutorService scheduler;
    private final AttemptWork<? extends CompletionStage<T>> work;
    private final UnaryOperator<Supplier<CompletionStage<T>>> around;
    private final Retry.AsyncContext<T> context;
    private final CompletableFuture<T> promise = new CompletableFuture<>();

    AsyncCall(
            Attempts<T> attempts,
            ScheduledExecutorService scheduler,
            AttemptWork<? extends CompletionStage<T>> work,
            UnaryOperator<Supplier<CompletionStage<T>>> around) {
        this.attempts = attempts;
        this.scheduler = scheduler;
        this.work = work;
        this.around = around;
        context = attempts.by.retry.asyncContext();
    }

    CompletionStage<T> start() {
        next();
        return promise;
    }

    private void next() {
        if (promise.isDone()) {
            // Cancelled by whoever waited for it.
            attempts.giveUp(new CancellationException("nobody waits for the result"));
            return;
        }
        int number = attempts.next();
        CompletionStage<T> stage;
        try {
            stage = around.apply(() -> attempt(number)).get();
        } catch (Throwable thrown) {
            stage = CompletableFuture.failedFuture(thrown);
        }
        stage.whenComplete((result, thrown) -> {
            try {
                if (thrown == null) {
                    onResult(number, result);
                } else {
                    onError(number, thrown);
                }
            } catch (Throwable unexpected) {
                // A consumer or a predicate of the retry, or a scheduler that takes nothing more.
                giveUp(unexpected);
            }
        });
    }

    private void onResult(int number, T result) {
        if (attempts.isLast(number) && !attempts.wasReplayed(number)) {
            Retry retry = attempts.by.retry;
            if (retry.getRetryConfig().isFailAfterMaxAttempts()) {
                throw MaxRetriesExceededException.createMaxRetriesExceededException(retry);
            }
            promise.complete(result);
            return;
        }
        long delay = attempts.wasReplayed(number) ? -1 : context.onResult(result);
        if (delay < 0) {
            context.onComplete();
            promise.complete(result);
        } else {
            scheduler.schedule(this::next, delay, TimeUnit.MILLISECONDS);
        }
    }

    private void onError(int number, Throwable thrown) {
        // As in the retry's own loop, errors are not repeated.
        if (attempts.isLast(number) || !(unwrapped(thrown) instanceof Exception)) {
            giveUp(thrown);
            return;
        }
        long delay = context.onError(thrown);
        if (delay < 0) {
            giveUp(thrown);
        } else {
            scheduler.schedule(this::next, delay, TimeUnit.MILLISECONDS);
        }
    }

    private void giveUp(Throwable thrown) {
        attempts.giveUp(unwrapped(thrown));
        promise.completeExceptionally(unwrapped(thrown));
    }

    /** One attempt. What it returns may be completed by others: the lease hangs on the work. */
    private CompletionStage<T> attempt(int number) {
        CompletableFuture<T> answer = new CompletableFuture<>();
        CompletableFuture<Admission> asked =
                attempts.by.engine.beginAsync(attempts.request, attempts.by.begin);
        // Whoever gave up on the answer no longer waits; if it was admitted, this does nothing.
        answer.whenComplete((result, thrown) -> asked.cancel(false));
        asked.whenComplete((admission, refused) -> {
            if (refused != null) {
                attempts.refused(number, unwrapped(refused));
                answer.completeExceptionally(unwrapped(refused));
            } else if (admission instanceof Admission.Admitted admitted) {
                run(number, admitted.lease(), answer);
            } else {
                complete(answer, () -> attempts.answer(number, admission));
            }
        });
        return answer;
    }

    private void run(int number, Lease lease, CompletableFuture<T> answer) {
        AdmittedAttempt attempt = attempts.admitted(number, lease);
        if (attempt == null) {
            answer.completeExceptionally(
                    new CancellationException("the caller has given up on this attempt"));
            return;
        }
        CompletionStage<T> stage;
        try {
            stage = Objects.requireNonNull(work.run(attempt), "the work gave no stage");
        } catch (Throwable thrown) {
            stage = CompletableFuture.failedFuture(thrown);
        }
        stage.whenComplete((result, wrapped) -> complete(answer, () -> {
            // Closing gives the attempt back, should ending it be refused.
            try (lease) {
                if (wrapped == null) {
                    attempts.left(number, lease, result);
                    return result;
                }
                Throwable thrown = unwrapped(wrapped);
                attempts.threw(number, lease, thrown);
                throw new CompletionException(thrown);
            }
        }));
    }

    private static <T> void complete(CompletableFuture<T> answer, Supplier<T> result) {
        try {
            answer.complete(result.get());
        } catch (Throwable thrown) {
            answer.completeExceptionally(unwrapped(thrown));
        }
    }

    private static Throwable unwrapped(Throwable thrown) {
        return thrown instanceof CompletionException && thrown.getCause() != null
                ? thrown.getCause() : thrown;
    }
}
