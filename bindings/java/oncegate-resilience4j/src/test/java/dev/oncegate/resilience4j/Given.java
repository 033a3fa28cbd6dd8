package dev.oncegate.resilience4j;

import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.Request;
import dev.oncegate.Scope;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.retry.RetryConfig;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** What tests begin with. */
final class Given {
    private static final AtomicLong KEYS = new AtomicLong();

    private Given() {}

    /** With the real clock: attempts wait for each other. */
    static Engine engine() {
        return Engine.open(EngineOptions.builder().capacity(1_000).build());
    }

    /** Its clock stands still until a test moves it. */
    static Engine manual() {
        return Engine.open(EngineOptions.builder()
                .capacity(1_000)
                .clock(EngineOptions.Clock.MANUAL)
                .build());
    }

    /** A request that no other test makes. */
    static Request fresh() {
        return Request.of(
                Scope.named("acme"), "POST /charges", "key-" + KEYS.incrementAndGet());
    }

    static RetryConfig.Builder<Object> config(int attempts) {
        return RetryConfig.custom().maxAttempts(attempts).waitDuration(Duration.ofMillis(1));
    }

    static Retry retry(int attempts) {
        return Retry.of("charges", config(attempts).build());
    }

    /** Collects the events of a retry. */
    static List<AttemptEvent> events(AdmittedRetry retry) {
        List<AttemptEvent> events = new CopyOnWriteArrayList<>();
        retry.getEventPublisher().onEvent(events::add);
        return events;
    }

    static void await(CountDownLatch latch) {
        try {
            if (!latch.await(30, TimeUnit.SECONDS)) {
                throw new AssertionError("nothing came");
            }
        } catch (InterruptedException interrupted) {
            throw new AssertionError(interrupted);
        }
    }

    /** Counts what runs, and how much of it at a time. */
    static final class Effects {
        final AtomicInteger ran = new AtomicInteger();
        final AtomicInteger running = new AtomicInteger();
        final AtomicInteger most = new AtomicInteger();

        void begin() {
            ran.incrementAndGet();
            most.accumulateAndGet(running.incrementAndGet(), Math::max);
        }

        void end() {
            running.decrementAndGet();
        }
    }
}
