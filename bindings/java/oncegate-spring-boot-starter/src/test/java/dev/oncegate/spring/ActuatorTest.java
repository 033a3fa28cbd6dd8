package dev.oncegate.spring;

import static dev.oncegate.spring.Client.ran;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.Hazard;
import dev.oncegate.TierStats;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.lang.ref.Reference;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.Status;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.SpringBootTest.WebEnvironment;
import org.springframework.boot.test.web.server.LocalServerPort;

/** Health and meters, in a service with the actuator. */
@SpringBootTest(webEnvironment = WebEnvironment.RANDOM_PORT, classes = Site.class, properties = {
    "oncegate.http.paths=/charges",
    "management.endpoints.web.exposure.include=health,metrics",
    "management.endpoint.health.show-details=always",
})
class ActuatorTest {
    @LocalServerPort
    private int port;

    @Autowired
    private MeterRegistry registry;

    /**
     * Goal: the engine is a part of the health of the application, with what it holds.
     * Method: the endpoint; an engine that was closed.
     */
    @Test
    void health() throws Exception {
        HttpResponse<String> health = new Client(port).send(
                new Client(port).to("/actuator/health", null).GET());
        ran(200, health);
        assertTrue(health.body().contains("\"oncegate\":{\"details\":{"), health::body);
        assertTrue(health.body().contains("\"deadLetters\":0"), health::body);
        Engine closed = Engine.open(EngineOptions.builder().tiny().build());
        EngineHealthIndicator indicator = new EngineHealthIndicator(closed);
        assertEquals(Status.UP, indicator.health().getStatus());
        closed.close();
        Health down = indicator.health();
        assertEquals(Status.DOWN, down.getStatus());
        assertTrue(down.getDetails().get("error").toString().contains("ClosedException"));
    }

    /**
     * Goal: the statistics are meters of the application, under few names and few values of tags.
     * Method: a request and its duplicate, counted by the application's registry and shown by the
     * endpoint.
     */
    @Test
    void meters() throws Exception {
        Client client = new Client(port);
        client.send(client.charge("metered"));
        client.send(client.charge("metered"));
        HttpResponse<String> shown = client.send(
                client.to("/actuator/metrics/oncegate.requests?tag=answer:created", null).GET());
        ran(200, shown);
        assertTrue(shown.body().contains("\"statistic\":\"COUNT\",\"value\":1.0"), shown::body);
        assertEquals(1, registry.get("oncegate.requests").tag("answer", "replayed")
                .functionCounter().count());
        assertEquals(1, registry.get("oncegate.records").tag("state", "succeeded").gauge().value());
        assertTrue(registry.get("oncegate.memory").gauge().value() > 0);
        List<Meter> meters = registry.getMeters().stream()
                .filter(meter -> meter.getId().getName().startsWith("oncegate.")).toList();
        assertTrue(meters.size() < 60, () -> "" + meters.size());
        Set<String> tags = meters.stream().flatMap(meter -> meter.getId().getTags().stream())
                .map(Tag::getKey).collect(Collectors.toSet());
        assertEquals(Set.of("answer", "event", "state", "kind", "call", "quantile"), tags);
    }

    /**
     * Goal: the meters of one scrape read the statistics once, and those of the next one again.
     * Method: ages of a day and of zero, of the same engine.
     */
    @Test
    void statisticsAreReadOncePerScrape() {
        try (Engine engine = Engine.open(EngineOptions.builder().tiny().build())) {
            SimpleMeterRegistry slow = new SimpleMeterRegistry();
            SimpleMeterRegistry quick = new SimpleMeterRegistry();
            new EngineMeters(engine, Duration.ofDays(1)).bindTo(slow);
            new EngineMeters(engine, Duration.ZERO).bindTo(quick);
            assertEquals(0, created(slow));
            assertEquals(0, created(quick));
            engine.begin(dev.oncegate.Request.of(
                    dev.oncegate.Scope.singleTenant(), "POST /charges", "key"));
            assertEquals(0, created(slow));
            assertEquals(1, created(quick));
        }
    }

    /**
     * Goal: each statistic of a tier is the meter of its name, and none is left out.
     * Method: statistics that all differ.
     */
    @Test
    void statisticsOfATier() {
        TierStats stats = new TierStats(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, true,
                Set.of(Hazard.EVICTS, Hazard.NOT_PERSISTENT), 12, 13, 14);
        SimpleMeterRegistry told = new SimpleMeterRegistry();
        EngineMeters.tier(told, stats, same -> same);
        Map<String, Double> values = told.getMeters().stream().collect(Collectors.toMap(
                meter -> meter.getId().getName() + meter.getId().getTags(),
                meter -> meter.measure().iterator().next().getValue()));
        String counted = "oncegate.tier[tag(event=";
        assertEquals(Map.ofEntries(
                Map.entry(counted + "granted)]", 1.0), Map.entry(counted + "imported)]", 2.0),
                Map.entry(counted + "elsewhere)]", 3.0), Map.entry(counted + "refused)]", 4.0),
                Map.entry(counted + "local_only)]", 5.0), Map.entry(counted + "unknown)]", 6.0),
                Map.entry("oncegate.tier.undelivered[]", 7.0),
                Map.entry(counted + "delivered_late)]", 8.0),
                Map.entry(counted + "undelivered_lost)]", 9.0),
                Map.entry(counted + "conflict)]", 10.0),
                Map.entry(counted + "session_lost)]", 11.0),
                Map.entry(counted + "letter_logged)]", 12.0),
                Map.entry("oncegate.tier.letters.waiting[]", 13.0),
                Map.entry(counted + "letter_lost)]", 14.0),
                Map.entry("oncegate.tier.breaker.open[]", 1.0),
                Map.entry("oncegate.tier.hazards[]", 2.0)), values);
        // The meters do not keep it.
        Reference.reachabilityFence(stats);
    }

    private static double created(MeterRegistry registry) {
        return registry.get("oncegate.requests").tag("answer", "created").functionCounter().count();
    }
}
