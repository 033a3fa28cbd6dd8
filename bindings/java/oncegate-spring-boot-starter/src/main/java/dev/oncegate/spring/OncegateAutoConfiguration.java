package dev.oncegate.spring;

import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.FileFlag;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.function.Consumer;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;

/** Opens the engine, which is closed with the application. */
@AutoConfiguration
@EnableConfigurationProperties(OncegateProperties.class)
public class OncegateAutoConfiguration {
    /** The longest key, in bytes. */
    private static final long LONGEST_KEY = 255;

    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    Engine oncegateEngine(
            OncegateProperties properties, ObjectProvider<EngineOptionsCustomizer> customizers) {
        EngineOptions.Builder options = options(properties.getEngine());
        customizers.orderedStream().forEach(customizer -> customizer.customize(options));
        return Engine.open(options.build());
    }

    private static EngineOptions.Builder options(EngineSettings settings) {
        EngineOptions.Builder options = EngineOptions.builder()
                .refusePredictableKeys(settings.isRefusePredictableKeys());
        set(settings.getCapacity(), options::capacity);
        set(settings.getLease(), options::lease);
        set(settings.getDedupWindow(), options::dedupWindow);
        set(settings.getOutcomeLimit(), options::outcomeLimit);
        set(settings.getOutcomeBytes(), options::outcomeBytes);
        set(settings.getReach(), options::reach);
        FileFlag[] accepted = settings.getFileFlags().toArray(FileFlag[]::new);
        set(settings.getFile(), file -> options.file(file, accepted));
        set(settings.getKeys(), options::keys);
        set(settings.getKeyMinLength(), least -> options.keyLength(least, LONGEST_KEY));
        set(settings.getSecretFile(), file -> {
            try {
                options.secret(Files.readAllBytes(file));
            } catch (IOException thrown) {
                throw new UncheckedIOException("oncegate.engine.secret-file: " + file, thrown);
            }
        });
        return options;
    }

    private static <T> void set(T value, Consumer<T> setting) {
        if (value != null) {
            setting.accept(value);
        }
    }
}
