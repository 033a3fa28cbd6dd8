package dev.oncegate;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Futures, for those who wait for them here. */
final class Futures {
    private Futures() {}

    /** What the future brings; what it failed with is thrown as it is. */
    static <T> T join(CompletableFuture<T> future) {
        try {
            return future.join();
        } catch (CompletionException failed) {
            if (failed.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            if (failed.getCause() instanceof Error cause) {
                throw cause;
            }
            throw failed;
        }
    }
}
