package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.lang.reflect.RecordComponent;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** What an engine tells of itself: statistics, events, sweeps. */
class StatsTest {
    /**
     * Goal: each statistic is the field of the header that has its name.
     * Method: a structure in which every 8 bytes are a number of their own, read back by name.
     */
    @Test
    void everyStatisticIsTheFieldOfItsName() throws Exception {
        ByteBuffer memory = ByteBuffer.allocate(Layout.Stats.SIZE).order(ByteOrder.nativeOrder());
        for (int at = 0; at < Layout.Stats.SIZE; at += 8) {
            memory.putLong(at, 1_000 + at);
        }
        Stats stats = Stats.read(memory, 0);
        int compared = 0;
        for (RecordComponent component : Stats.class.getRecordComponents()) {
            String field = component.getName().replaceAll("([A-Z])", "_$1")
                    .toUpperCase(Locale.ROOT);
            int at = Layout.Stats.class.getDeclaredField(field).getInt(null);
            Object value = component.getAccessor().invoke(stats);
            if (value instanceof Double number) {
                assertEquals(1_000 + at, Double.doubleToRawLongBits(number), field);
            } else if (value instanceof Stats.Latency latency) {
                assertEquals(new Stats.Latency(1_000 + at, 1_008 + at, 1_016 + at), latency);
            } else {
                assertEquals(1_000L + at, value, field);
            }
            compared++;
        }
        assertEquals(Layout.Stats.class.getDeclaredFields().length - 2, compared);
    }

    /**
     * Goal: each statistic of a tier is the field of the header that has its name.
     * Method: as above; the two of 4 bytes are told from each other by their bits.
     */
    @Test
    void everyStatisticOfATierIsTheFieldOfItsName() throws Exception {
        ByteBuffer memory =
                ByteBuffer.allocate(RetryLayout.TierStats.SIZE).order(ByteOrder.nativeOrder());
        for (int at = 0; at < RetryLayout.TierStats.BREAKER_OPEN; at += 8) {
            memory.putLong(at, 1_000 + at);
        }
        for (int at = RetryLayout.TierStats.LETTERS_LOGGED; at < memory.capacity(); at += 8) {
            memory.putLong(at, 1_000 + at);
        }
        memory.putInt(RetryLayout.TierStats.BREAKER_OPEN, 0);
        memory.putInt(RetryLayout.TierStats.HAZARDS, 1 << 3);
        TierStats stats = TierStats.read(memory, 0);
        assertFalse(stats.breakerOpen());
        assertEquals(Set.of(Hazard.CLOCK_BEHIND), stats.hazards());
        memory.putInt(RetryLayout.TierStats.BREAKER_OPEN, 1);
        assertTrue(TierStats.read(memory, 0).breakerOpen());
        int compared = 2;
        for (RecordComponent component : TierStats.class.getRecordComponents()) {
            if (component.getType() == long.class) {
                String field = component.getName().replaceAll("([A-Z])", "_$1")
                        .toUpperCase(Locale.ROOT);
                int at = RetryLayout.TierStats.class.getDeclaredField(field).getInt(null);
                assertEquals(1_000L + at, component.getAccessor().invoke(stats), field);
                compared++;
            }
        }
        assertEquals(RetryLayout.TierStats.class.getDeclaredFields().length - 2, compared);
    }

    /**
     * Goal: what happened is counted.
     * Method: one of each answer and end, and the counts of an engine that has seen no more.
     */
    @Test
    void whatHappenedIsCounted() {
        try (Engine engine = Given.engine()) {
            Request request = fresh().withPayload(Payload.raw(new byte[] {1}));
            Lease lease = admitted(engine.begin(request));
            engine.begin(request);
            engine.begin(request.withPayload(Payload.raw(new byte[] {2})));
            CompletableFuture<Admission> waiter = engine.beginAsync(request);
            assertEquals(1, engine.stats().waiters());
            lease.complete(Outcome.of(200, new byte[40]));
            waiter.join();
            engine.begin(request);
            assertThrows(FencedException.class, () -> lease.complete(Outcome.of(200)));
            admitted(engine.begin(fresh())).fail(Failure.unknown());
            admitted(engine.begin(fresh())).fail(Failure.retryable(Duration.ofSeconds(9)));
            admitted(engine.begin(fresh())).fail(Failure.terminal(Outcome.of(500)));
            admitted(engine.begin(fresh())).detach();
            Stats stats = engine.stats();
            assertEquals(5, stats.created());
            assertEquals(2, stats.completed(), "a failure for good is an end, too");
            assertEquals(1, stats.mismatched());
            assertEquals(1, stats.fenced());
            assertTrue(stats.inProgress() >= 1);
            assertTrue(stats.replayed() >= 2);
            assertEquals(List.of(1L, 1L, 1L, 1L, 1L), List.of(stats.liveRunning(),
                    stats.liveWaiting(), stats.liveSucceeded(), stats.liveFailed(),
                    stats.liveUnknown()));
            assertTrue(stats.bytes() > 100_000);
            assertEquals(0, stats.backoffFactor());
        }
    }

    /**
     * Goal: what the engine notices by itself is told once, in its order.
     * Method: a table with two levels is filled beyond both.
     */
    @Test
    void levelsAreTold() {
        EngineOptions options = Given.options().fillLevels(0.1, 0.25).build();
        try (Engine engine = Engine.open(options)) {
            assertEquals(new Events(List.of(), 0), engine.events());
            for (int i = 0; i < 400; i++) {
                admitted(engine.begin(fresh())).complete(Outcome.of(200));
            }
            engine.sweep(100_000);
            List<Event> events = engine.events().events();
            assertEquals(List.of(0.1, 0.25), events.stream().map(Event::level).toList());
            for (Event event : events) {
                assertEquals(Event.Kind.FILL, event.kind());
                assertTrue(event.fill() >= event.level());
                assertTrue(event.text().length() > 10, event.text());
            }
            assertEquals(List.of(), engine.events().events());
        }
    }

    /**
     * Goal: a sweep finds what is over, and says how much that was.
     * Method: windows that are over, and a lease that lapsed.
     */
    @Test
    void sweepsFindWhatIsOver() {
        try (Engine engine = Engine.open(
                Given.options().dedupWindow(Duration.ofSeconds(10)).build())) {
            for (int i = 0; i < 5; i++) {
                admitted(engine.begin(fresh())).complete(Outcome.of(200));
            }
            admitted(engine.begin(fresh())).detach();
            assertEquals(0, engine.sweep(100_000).cleared());
            engine.advanceClock(Duration.ofSeconds(31));
            Swept swept = engine.sweep(100_000);
            assertEquals(5, swept.cleared());
            assertEquals(1, swept.lapsed());
            assertTrue(swept.visited() >= 1_000);
            assertEquals(0, engine.buryDead());
            assertTrue(Engine.requiredBytes(Given.options().build()) > 100_000);
        }
    }
}
