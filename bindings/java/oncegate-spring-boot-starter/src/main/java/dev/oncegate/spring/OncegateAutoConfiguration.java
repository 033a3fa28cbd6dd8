package dev.oncegate.spring;

import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.FileFlag;
import dev.oncegate.TierOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.boot.context.properties.source.InvalidConfigurationPropertyValueException;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;

/** Opens the engine, which is closed with the application. */
@AutoConfiguration
@EnableConfigurationProperties(OncegateProperties.class)
public class OncegateAutoConfiguration {
    /** The longest key, in bytes. */
    private static final long LONGEST_KEY = 255;

    private static final Duration WAIT_REPLICAS_FOR = Duration.ofMillis(50);

    private static final String URL = "oncegate.redis.url";

    @Bean(destroyMethod = "close")
    @ConditionalOnMissingBean
    Engine oncegateEngine(
            OncegateProperties properties, Environment environment,
            ObjectProvider<EngineOptionsCustomizer> customizers) {
        EngineOptions.Builder options = options(properties.getEngine());
        if (hasTier(properties.getRedis(), environment)) {
            options.tier(tier(properties.getRedis()));
        }
        customizers.orderedStream().forEach(customizer -> customizer.customize(options));
        return Engine.open(options.build());
    }

    /**
     * Whether hosts share their records. Where that is meant and no server is named, each host
     * would run each request, and nobody would notice: that is refused.
     */
    private static boolean hasTier(RedisSettings settings, Environment environment) {
        String url = settings.getUrl();
        if (url != null && !url.isBlank()) {
            return true;
        }
        if (url != null) {
            throw new InvalidConfigurationPropertyValueException(URL, url,
                    "It is empty: name a server, or set no property of oncegate.redis at all.");
        }
        if (Binder.get(environment).bind("oncegate.redis", RedisSettings.class).isBound()) {
            throw new InvalidConfigurationPropertyValueException(URL, null,
                    "It is not set, and other properties of oncegate.redis are.");
        }
        return false;
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
        set(settings.getSecretFile(),
                file -> options.secret(read("oncegate.engine.secret-file", file)));
        return options;
    }

    private static TierOptions tier(RedisSettings settings) {
        Tier tier = new Tier(TierOptions.redis(settings.getUrl())
                .allowEviction(settings.isAllowEviction()).cluster(settings.isCluster()));
        tier.set(settings.getPrefix(), TierOptions::prefix);
        tier.read("encryption-key-file", settings.getEncryptionKeyFile(),
                TierOptions::encryptionKey);
        tier.read("retiring-key-file", settings.getRetiringKeyFile(), TierOptions::retiringKey);
        tier.set(settings.getDeadline(), TierOptions::deadline);
        tier.set(settings.getLatencyObjective(), TierOptions::latencyObjective);
        tier.set(settings.getLeaseSlice(), TierOptions::leaseSlice);
        tier.set(settings.getMargin(), TierOptions::margin);
        tier.set(settings.getPollEvery(), TierOptions::pollEvery);
        tier.set(settings.getQuarantine(), TierOptions::quarantine);
        tier.set(settings.getUndelivered(), TierOptions::undelivered);
        tier.set(settings.getOnOutage(), TierOptions::onOutage);
        if (settings.getSentinelName() != null || !settings.getSentinels().isEmpty()) {
            String name = Objects.requireNonNullElse(settings.getSentinelName(), "");
            tier.set(settings.getSentinels(), (options, urls) -> options.sentinels(name, urls));
        }
        tier.set(waitReplicasFor(settings),
                (options, limit) -> options.waitReplicas(settings.getWaitReplicas(), limit));
        tier.set(settings.getOutcomeLimit(),
                (options, limit) -> options.outcomeLimit(limit.toBytes()));
        tier.set(settings.getCompressFrom(),
                (options, size) -> options.compressFrom(size.toBytes()));
        tier.set(settings.getDeadLetters(), TierOptions::deadLetters);
        tier.read("tls-root", settings.getTlsRoot(), TierOptions::tlsRoot);
        // One without the other is refused by its name.
        return tier.options.tlsClient(
                bytes("oncegate.redis.tls-certificate", settings.getTlsCertificate()),
                bytes("oncegate.redis.tls-key", settings.getTlsKey()));
    }

    /** How long replicas are waited for. Null: there are none to wait for. */
    private static Duration waitReplicasFor(RedisSettings settings) {
        Duration limit = settings.getWaitReplicasFor();
        if (settings.getWaitReplicas() != 0) {
            return Objects.requireNonNullElse(limit, WAIT_REPLICAS_FOR);
        }
        if (limit != null) {
            throw new InvalidConfigurationPropertyValueException(
                    "oncegate.redis.wait-replicas-for", limit,
                    "It means nothing without oncegate.redis.wait-replicas.");
        }
        return null;
    }

    private static byte[] bytes(String property, Path file) {
        return file == null ? new byte[0] : read(property, file);
    }

    /** Options of a tier, as far as they have been set. */
    private static final class Tier {
        private TierOptions options;

        Tier(TierOptions options) {
            this.options = options;
        }

        <T> void set(T value, BiFunction<TierOptions, T, TierOptions> setting) {
            if (value != null) {
                options = setting.apply(options, value);
            }
        }

        void read(String name, Path file, BiFunction<TierOptions, byte[], TierOptions> setting) {
            if (file != null) {
                set(OncegateAutoConfiguration.read("oncegate.redis." + name, file), setting);
            }
        }
    }

    private static byte[] read(String property, Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException thrown) {
            throw new UncheckedIOException(property + ": " + file, thrown);
        }
    }

    private static <T> void set(T value, Consumer<T> setting) {
        if (value != null) {
            setting.accept(value);
        }
    }
}
