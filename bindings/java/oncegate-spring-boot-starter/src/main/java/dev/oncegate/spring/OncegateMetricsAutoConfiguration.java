package dev.oncegate.spring;

import dev.oncegate.Engine;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.time.Duration;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.context.annotation.Bean;

/** The engine in the metrics of the application. */
@AutoConfiguration(after = OncegateAutoConfiguration.class)
@ConditionalOnClass(MeterRegistry.class)
public class OncegateMetricsAutoConfiguration {
    /** One scrape reads some forty meters, and the statistics once. */
    private static final Duration MAX_AGE = Duration.ofMillis(100);

    @Bean
    @ConditionalOnMissingBean(name = "oncegateMeters")
    MeterBinder oncegateMeters(Engine engine) {
        return new EngineMeters(engine, MAX_AGE);
    }
}
