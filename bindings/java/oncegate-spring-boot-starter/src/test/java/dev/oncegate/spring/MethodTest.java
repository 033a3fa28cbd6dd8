package dev.oncegate.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.Admission;
import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.Lease;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.jackson.autoconfigure.JacksonAutoConfiguration;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;

/** Methods that run once for each key. */
class MethodTest {
    private final ApplicationContextRunner runner = new ApplicationContextRunner()
            .withConfiguration(AutoConfigurations.of(OncegateAutoConfiguration.class,
                    OncegateMethodAutoConfiguration.class, JacksonAutoConfiguration.class))
            .withBean(EngineOptionsCustomizer.class,
                    () -> options -> options.clock(EngineOptions.Clock.MANUAL))
            .withBean(Charges.class);

    record Order(String id, long amount) {}

    record Receipt(String order, long amount, int run, List<String> lines) {}

    /** A service whose methods are advised. */
    static class Charges {
        final AtomicInteger ran = new AtomicInteger();
        final CompletableFuture<String> later = new CompletableFuture<>();

        @Idempotent(key = "#order.id", scope = "#tenant", payload = "#order")
        Receipt charge(String tenant, Order order) {
            return new Receipt(order.id(), order.amount(), ran.incrementAndGet(), List.of("paid"));
        }

        @Idempotent(key = "#key", scope = "'acme'")
        void nothing(String key) {
            ran.incrementAndGet();
        }

        @Idempotent(key = "#key", scope = "'acme'")
        Map<String, List<Order>> generic(String key) {
            return Map.of("all", List.of(new Order("o", ran.incrementAndGet())));
        }

        @Idempotent(key = "#key", scope = "'acme'", finalFor = FileNotFoundException.class,
                unknownFor = IllegalStateException.class)
        String failing(String key, Throwable thrown) throws Throwable {
            if (ran.incrementAndGet() > 0 && thrown != null) {
                throw thrown;
            }
            return "attempt " + IdempotentAdvisor.attempt().map(Lease::attempt).orElse(0);
        }

        @Idempotent(key = "#key", scope = "'acme'")
        CompletableFuture<String> later(String key) {
            ran.incrementAndGet();
            return later;
        }

        @Idempotent(key = "#key", scope = "'acme'", window = "1h", lease = "1m",
                operation = "charge")
        String timed(String key, Runnable during) {
            int run = ran.incrementAndGet();
            during.run();
            return "run " + run;
        }

        @Idempotent(key = "#key", scope = "'acme'")
        Object cyclic(String key) {
            ran.incrementAndGet();
            return new Object[] {Thread.currentThread()};
        }
    }

    private void with(Consumer<Charges> test) {
        runner.run(context -> {
            assertNull(context.getStartupFailure());
            test.accept(context.getBean(Charges.class));
        });
    }

    /** The fields of a proxy are not those of its bean. */
    private static Charges bean(Charges proxy) {
        return (Charges) org.springframework.test.util.AopTestUtils.getTargetObject(proxy);
    }

    /**
     * Goal: a method runs once for each key and scope, and its duplicates get the result.
     * Method: a record as a result, other orders, other tenants, another amount; generics; void.
     */
    @Test
    void duplicatesGetTheResult() {
        with(charges -> {
            Receipt first = charges.charge("acme", new Order("o-1", 100));
            assertEquals(new Receipt("o-1", 100, 1, List.of("paid")), first);
            assertEquals(first, charges.charge("acme", new Order("o-1", 100)));
            assertEquals(2, charges.charge("acme", new Order("o-2", 100)).run());
            assertEquals(3, charges.charge("other", new Order("o-1", 100)).run());
            IdempotentCallRefusedException other = assertThrows(
                    IdempotentCallRefusedException.class,
                    () -> charges.charge("acme", new Order("o-1", 200)));
            assertEquals(new Admission.Mismatched(), other.admission());
            assertEquals(charges.generic("g"), charges.generic("g"));
            charges.nothing("n");
            charges.nothing("n");
            assertEquals(5, bean(charges).ran.get());
        });
    }

    /**
     * Goal: exceptions end the attempt as the annotation and the properties say.
     * Method: each kind, and another call with the same key.
     */
    @Test
    void failuresEndByPolicy() {
        with(charges -> {
            assertThrows(IOException.class, () -> charges.failing("k", new IOException()));
            assertThrows(UnsupportedOperationException.class,
                    () -> charges.failing("k", new UnsupportedOperationException()));
            assertThrows(StackOverflowError.class,
                    () -> charges.failing("k", new StackOverflowError()));
            assertEquals("attempt 4", quietly(charges, "k"));
            assertThrows(FileNotFoundException.class,
                    () -> charges.failing("final", new FileNotFoundException()));
            IdempotentFailureReplayedException again = assertThrows(
                    IdempotentFailureReplayedException.class, () -> charges.failing("final", null));
            assertEquals(FileNotFoundException.class.getName(), again.errorClass());
            assertThrows(IllegalStateException.class,
                    () -> charges.failing("doubt", new IllegalStateException()));
            IdempotentCallRefusedException doubt = assertThrows(
                    IdempotentCallRefusedException.class, () -> charges.failing("doubt", null));
            assertEquals(new Admission.Unresolved(), doubt.admission());
            assertEquals(Optional.empty(), IdempotentAdvisor.attempt());
        });
        runner.withPropertyValues("oncegate.methods.checked=final",
                "oncegate.methods.unchecked=unknown").run(context -> {
                    Charges charges = context.getBean(Charges.class);
                    assertThrows(IOException.class, () -> charges.failing("c", new IOException()));
                    assertThrows(IdempotentFailureReplayedException.class,
                            () -> charges.failing("c", null));
                    assertThrows(UnsupportedOperationException.class,
                            () -> charges.failing("u", new UnsupportedOperationException()));
                    assertThrows(IdempotentCallRefusedException.class,
                            () -> charges.failing("u", null));
                });
    }

    private static String quietly(Charges charges, String key) {
        try {
            return charges.failing(key, null);
        } catch (Throwable thrown) {
            throw new AssertionError(thrown);
        }
    }

    /**
     * Goal: a method whose result comes later has ended when its stage is done.
     * Method: a duplicate before and after that; a stage that fails; a wait that is cancelled.
     */
    @Test
    void stages() {
        with(charges -> {
            CompletableFuture<String> first = charges.later("s");
            CompletionException running =
                    assertThrows(CompletionException.class, () -> charges.later("s").join());
            assertInstanceOf(Admission.InProgress.class, assertInstanceOf(
                    IdempotentCallRefusedException.class, running.getCause()).admission());
            bean(charges).later.complete("done");
            assertEquals("done", first.join());
            assertEquals("done", charges.later("s").join());
            assertEquals(1, bean(charges).ran.get());
        });
        with(charges -> {
            bean(charges).later.completeExceptionally(new IOException("broken"));
            for (int i = 0; i < 2; i++) {
                assertInstanceOf(IOException.class, assertThrows(CompletionException.class,
                        () -> charges.later("s").join()).getCause());
            }
            assertEquals(2, bean(charges).ran.get());
        });
    }

    /**
     * Goal: window and lease hold, and a result that comes too late does not count.
     * Method: a clock that is moved beyond the window, and beyond the lease of a call that runs.
     */
    @Test
    void windowsAndLeases() {
        runner.run(context -> {
            Charges charges = context.getBean(Charges.class);
            Engine engine = context.getBean(Engine.class);
            assertEquals("run 1", charges.timed("w", () -> {}));
            engine.advanceClock(Duration.ofMinutes(59));
            assertEquals("run 1", charges.timed("w", () -> {}));
            engine.advanceClock(Duration.ofMinutes(2));
            assertEquals("run 2", charges.timed("w", () -> {}));
            IdempotentCallFencedException fenced = assertThrows(
                    IdempotentCallFencedException.class, () -> charges.timed("f", () -> {
                        engine.advanceClock(Duration.ofMinutes(2));
                        assertEquals("run 4", charges.timed("f", () -> {}));
                    }));
            assertEquals("run 3", fenced.result());
            assertEquals("run 4", charges.timed("f", () -> {}));
        });
    }

    /**
     * Goal: a result that is no JSON goes to its caller, and the method does not run again.
     * Method: a result that cannot be written.
     */
    @Test
    void resultsThatCannotBeKept() {
        with(charges -> {
            assertNotNull(charges.cyclic("c"));
            IdempotentCallRefusedException gone = assertThrows(
                    IdempotentCallRefusedException.class, () -> charges.cyclic("c"));
            assertEquals(new Admission.OutcomeGone(), gone.admission());
            assertEquals(1, bean(charges).ran.get());
        });
    }

    static class NoScope {
        @Idempotent(key = "#key")
        String run(String key) {
            return "ran";
        }
    }

    static class NoKey {
        @Idempotent(key = "", scope = "'acme'")
        void run() {}
    }

    static class WrongExpression {
        @Idempotent(key = "#order.", scope = "'acme'")
        void run() {}
    }

    static class WrongResult {
        @Idempotent(key = "#key", scope = "'acme'")
        Future<String> run(String key) {
            return CompletableFuture.completedFuture("ran");
        }
    }

    /**
     * Goal: a mistake in an annotation keeps the application from starting.
     * Method: one mistake each; no scope, with one tenant alone; a key that is null.
     */
    @Test
    void mistakesRefuseToStart() {
        for (Class<?> wrong : List.of(
                NoScope.class, NoKey.class, WrongExpression.class, WrongResult.class)) {
            runner.withBean(wrong).run(context ->
                    assertNotNull(context.getStartupFailure(), wrong.getSimpleName()));
        }
        runner.withBean(NoScope.class).withPropertyValues("oncegate.single-tenant=true")
                .run(context -> {
                    NoScope bean = context.getBean(NoScope.class);
                    assertEquals("ran", bean.run("k"));
                    assertTrue(assertThrows(IllegalArgumentException.class, () -> bean.run(null))
                            .getMessage().contains("is null"));
                });
    }
}
