package dev.oncegate.spring;

import static dev.oncegate.spring.Client.ran;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
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

    private static double created(MeterRegistry registry) {
        return registry.get("oncegate.requests").tag("answer", "created").functionCounter().count();
    }
}
