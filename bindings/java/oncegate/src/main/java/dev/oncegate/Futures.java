package dev.oncegate;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.function.Supplier;

/** Futures, for those who wait for them here. */
final class Futures {
    private Futures() {}

    /**
     * What the future brings; what it failed with is thrown as it is. An interrupt cancels it:
     * then it is {@code otherwise}, and the thread stays interrupted.
     */
    static <T> T join(CompletableFuture<T> future, Supplier<T> otherwise) {
        boolean interrupted = false;
        try {
            return future.get();
        } catch (InterruptedException ended) {
            interrupted = true;
            return future.cancel(true) ? otherwise.get() : joined(future);
        } catch (ExecutionException failed) {
            throw unchecked(failed.getCause());
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** The same without an end before. */
    static <T> T joined(CompletableFuture<T> future) {
        try {
            return future.join();
        } catch (CompletionException failed) {
            throw unchecked(failed.getCause());
        }
    }

    private static RuntimeException unchecked(Throwable cause) {
        if (cause instanceof Error error) {
            throw error;
        }
        return cause instanceof RuntimeException thrown ? thrown : new CompletionException(cause);
    }
}
