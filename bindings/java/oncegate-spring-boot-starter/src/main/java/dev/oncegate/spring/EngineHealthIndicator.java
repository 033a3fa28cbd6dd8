package dev.oncegate.spring;

import dev.oncegate.Engine;
import dev.oncegate.Stats;
import org.springframework.boot.health.contributor.AbstractHealthIndicator;
import org.springframework.boot.health.contributor.Health;

/**
 * Down where the engine does not answer. How full it is, and what waits for somebody, is told and
 * not judged: what is too much is the business of alerts.
 */
final class EngineHealthIndicator extends AbstractHealthIndicator {
    private final Engine engine;

    EngineHealthIndicator(Engine engine) {
        super("the engine does not answer");
        this.engine = engine;
    }

    @Override
    protected void doHealthCheck(Health.Builder builder) {
        Stats stats = engine.stats();
        builder.up()
                .withDetail("fill", stats.fill())
                .withDetail("outcomeFill", stats.outcomeFill())
                .withDetail("running", stats.liveRunning())
                .withDetail("inDoubt", stats.liveUnknown())
                .withDetail("deadLetters", stats.deadLetters())
                .withDetail("stuck", stats.stuck());
    }
}
