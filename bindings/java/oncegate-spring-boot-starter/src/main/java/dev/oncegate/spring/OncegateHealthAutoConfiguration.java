package dev.oncegate.spring;

import dev.oncegate.Engine;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.health.autoconfigure.contributor.ConditionalOnEnabledHealthIndicator;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.context.annotation.Bean;

/** The engine in the health of the application. */
@AutoConfiguration(after = OncegateAutoConfiguration.class)
@ConditionalOnClass({HealthIndicator.class, ConditionalOnEnabledHealthIndicator.class})
@ConditionalOnEnabledHealthIndicator("oncegate")
public class OncegateHealthAutoConfiguration {
    @Bean
    @ConditionalOnMissingBean(name = "oncegateHealthIndicator")
    HealthIndicator oncegateHealthIndicator(Engine engine) {
        return new EngineHealthIndicator(engine);
    }
}
