package dev.oncegate.spring;

import dev.oncegate.Engine;
import dev.oncegate.Stats;
import dev.oncegate.TierStats;
import java.util.Map;
import org.springframework.boot.health.contributor.AbstractHealthIndicator;
import org.springframework.boot.health.contributor.Health;

/**
 * Down where the engine does not answer. How full it is, and what waits for somebody, is told and
 * not judged: what is too much is the business of alerts. Neither is a tier that is away: all hosts
 * would be taken out at once, and they still answer what they know.
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
        if (engine.hasTier()) {
            TierStats tier = engine.tierStats();
            builder.withDetail("tier", Map.of(
                    "breakerOpen", tier.breakerOpen(),
                    "undelivered", tier.undelivered(),
                    "conflicts", tier.conflicts(),
                    "hazards", tier.hazards().stream().map(Enum::name).sorted().toList()));
        }
    }
}
