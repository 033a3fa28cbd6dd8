package dev.oncegate.resilience4j;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.oncegate.Engine;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.retry.RetryConfig;
import io.github.resilience4j.retry.RetryRegistry;
import java.util.NoSuchElementException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The retries of a registry. */
class RegistryTest {
    private final Engine engine = Given.manual();
    private final AdmittedRetries retries =
            new AdmittedRetries(retry -> AdmittedRetry.of(engine, retry));

    @AfterEach
    void close() {
        engine.close();
    }

    /**
     * Goal: each retry of a registry has the engine in front, under its name and its settings.
     * Method: a consumer that was there from the start; one retry is added, replaced, removed.
     */
    @Test
    void aConsumerFollowsTheRegistry() throws Exception {
        RetryConfig config = Given.config(2).build();
        RetryRegistry registry = RetryRegistry.of(config, retries);
        Retry first = registry.retry("charges");
        assertSame(first, retries.get("charges").retry());
        int[] ran = {0};
        assertThrows(IllegalStateException.class, () -> retries.get("charges").callable(
                Given.fresh(), ResultCodec.none(), attempt -> {
                    ran[0]++;
                    throw new IllegalStateException(attempt.retryName());
                }).call());
        assertEquals(2, ran[0]);
        Retry second = Given.retry(3);
        registry.replace("charges", second);
        assertSame(second, retries.get("charges").retry());
        registry.remove("charges");
        assertThrows(NoSuchElementException.class, () -> retries.get("charges"));
    }

    /**
     * Goal: a registry that has retries already is followed as well.
     * Method: one retry before, and one after.
     */
    @Test
    void aConsumerIsAttachedLater() {
        RetryRegistry registry = RetryRegistry.ofDefaults();
        Retry before = registry.retry("before");
        retries.attach(registry);
        Retry after = registry.retry("after");
        assertSame(before, retries.get("before").retry());
        assertSame(after, retries.get("after").retry());
    }
}
