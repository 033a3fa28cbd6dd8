package dev.oncegate.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.ClosedException;
import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.OncegateException;
import dev.oncegate.Request;
import dev.oncegate.Scope;
import dev.oncegate.Status;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.context.properties.source.InvalidConfigurationPropertyValueException;
import org.springframework.boot.test.context.runner.WebApplicationContextRunner;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.context.ApplicationContextInitializer;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.env.SystemEnvironmentPropertySource;

/** What an application starts with, and where it does not start. */
class StartTest {
    private final WebApplicationContextRunner runner = new WebApplicationContextRunner()
            .withConfiguration(AutoConfigurations.of(
                    OncegateAutoConfiguration.class, OncegateFilterAutoConfiguration.class));

    /** Why an application does not start. */
    private Throwable refused(WebApplicationContextRunner runner) {
        Throwable[] found = {null};
        runner.run(context -> {
            assertNotNull(context.getStartupFailure(), "it started");
            Throwable cause = context.getStartupFailure();
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            found[0] = cause;
        });
        return found[0];
    }

    /**
     * Goal: an application whose requests have no scope does not start, and says what to do.
     * Method: paths without a scope; with both kinds of it; with each of them.
     */
    @Test
    void aMissingScopeRefusesToStart() {
        WebApplicationContextRunner paths =
                runner.withPropertyValues("oncegate.http.paths=/charges");
        Throwable missing = refused(paths);
        assertInstanceOf(MissingScopeException.class, missing);
        assertTrue(missing.getMessage().contains("oncegate.single-tenant=true"));
        WebApplicationContextRunner single =
                paths.withPropertyValues("oncegate.single-tenant=true");
        single.run(context -> assertTrue(
                context.getBean(FilterRegistrationBean.class).isEnabled()));
        ScopeResolver scope = request -> Optional.of(Scope.named("acme"));
        paths.withBean(ScopeResolver.class, () -> scope).run(context -> assertTrue(
                context.getBean(FilterRegistrationBean.class).isEnabled()));
        assertInstanceOf(MissingScopeException.class,
                refused(single.withBean(ScopeResolver.class, () -> scope)));
    }

    /**
     * Goal: without paths there is no filter, and an engine all the same.
     * Method: an application that sets nothing.
     */
    @Test
    void withoutPathsThereIsNoFilter() {
        runner.run(context -> {
            assertFalse(context.getBean(FilterRegistrationBean.class).isEnabled());
            assertNotNull(context.getBean(Engine.class));
        });
    }

    /**
     * Goal: the engine is closed with the application; one that the application brings stays.
     * Method: the engine of a context that was closed.
     */
    @Test
    void theEngineIsClosedWithTheContext() {
        Engine[] engine = {null};
        runner.run(context -> {
            engine[0] = context.getBean(Engine.class);
            engine[0].stats();
        });
        assertThrows(ClosedException.class, engine[0]::stats);
        try (Engine own = Engine.open(EngineOptions.builder().tiny().build())) {
            runner.withBean(Engine.class, () -> own, bean -> bean.setDestroyMethodName(""))
                    .run(context -> assertSame(own, context.getBean(Engine.class)));
            own.stats();
        }
    }

    /**
     * Goal: the properties reach the engine, a customizer comes after them, and what is refused
     * keeps the application from starting.
     * Method: a shared table under a secret, opened again by hand; mistakes, one each.
     */
    @Test
    void properties(@TempDir Path folder) throws Exception {
        byte[] random = new byte[32];
        new java.security.SecureRandom().nextBytes(random);
        Path secret = Files.write(folder.resolve("secret"), random);
        WebApplicationContextRunner shared = runner.withPropertyValues(
                "oncegate.engine.reach=host",
                "oncegate.engine.file=" + folder.resolve("table"),
                "oncegate.engine.file-flags=any-file-system",
                "oncegate.engine.secret-file=" + secret,
                "oncegate.engine.capacity=1000",
                "oncegate.engine.key-min-length=8");
        Request request = Request.of(Scope.named("acme"), "POST /charges", "long enough");
        byte[][] fingerprints = {null, null};
        shared.run(context ->
                fingerprints[0] = context.getBean(Engine.class).fingerprint(request));
        shared.run(context ->
                fingerprints[1] = context.getBean(Engine.class).fingerprint(request));
        assertEquals(new java.math.BigInteger(fingerprints[0]),
                new java.math.BigInteger(fingerprints[1]));
        assertTrue(Files.size(folder.resolve("table")) > 0);

        refused(runner.withPropertyValues("oncegate.engine.capacity=0"));
        refused(runner.withPropertyValues("oncegate.engine.secret-file=" + folder.resolve("no")));
        for (String mistake : new String[] {
            "payload-limit=0", "response-limit=1000001", "keep-headers=set-cookie",
            "on-exception=final", "lease=-1s", "wait=-1s", "paths={", "policy=none",
        }) {
            refused(runner.withPropertyValues("oncegate.single-tenant=true",
                    "oncegate.http.paths=/charges", "oncegate.http." + mistake));
        }
    }

    /**
     * Goal: what is set of a tier reaches the engine, and what is refused keeps the application
     * from starting, by its name and without a password.
     * Method: mistakes, one each; nothing is asked of a server when an engine is opened.
     */
    @Test
    void propertiesOfATier(@TempDir Path folder) throws Exception {
        Path secret = Files.writeString(
                folder.resolve("secret"), "32 bytes that all hosts have: ok");
        Path shortKey = Files.write(folder.resolve("key"), new byte[31]);
        Path emptyKey = Files.write(folder.resolve("nothing"), new byte[0]);
        WebApplicationContextRunner tier = runner.withPropertyValues(
                "oncegate.engine.secret-file=" + secret,
                "oncegate.redis.url=redis://:hunter2@127.0.0.1:1");
        tier.run(context -> assertTrue(context.getBean(Engine.class).hasTier()));
        runner.run(context -> assertFalse(context.getBean(Engine.class).hasTier()));
        Map<String, String> wrong = Map.ofEntries(
                Map.entry("url=http://:hunter2@h", "tier.url"),
                Map.entry("prefix={a}", "tier.prefix"),
                Map.entry("encryption-key-file=" + shortKey, "tier.encryption_key"),
                Map.entry("retiring-key-file=" + shortKey, "tier.retiring_key"),
                Map.entry("deadline=61s", "tier.deadline"),
                Map.entry("latency-objective=-1s", "tier.latency_objective"),
                Map.entry("lease-slice=-1s", "tier.lease_slice"),
                Map.entry("margin=-1s", "tier.margin"),
                Map.entry("poll-every=-1s", "tier.poll_every"),
                Map.entry("quarantine=-1s", "tier.quarantine"),
                Map.entry("undelivered=-1", "tier.undelivered"),
                Map.entry("sentinel-name=main", "tier.sentinels"),
                Map.entry("sentinels=redis://h,redis://i", "tier.sentinel_name"),
                Map.entry("wait-replicas=-1", "tier.wait_replicas"),
                Map.entry("outcome-limit=17MB", "tier.outcome_limit"),
                Map.entry("compress-from=-1B", "tier.compress_from"),
                Map.entry("dead-letters=0", "tier.dead_letters"),
                Map.entry("tls-root=" + shortKey, "tier.tls_root"),
                Map.entry("tls-certificate=" + shortKey, "tier.tls_key"),
                Map.entry("tls-key=" + shortKey, "tier.tls_certificate"));
        // Certificates are looked into where the URL takes any; that it takes none is told first.
        WebApplicationContextRunner tls = tier.withPropertyValues(
                "oncegate.redis.url=rediss://:hunter2@127.0.0.1:1");
        wrong.forEach((mistake, field) -> {
            WebApplicationContextRunner over = mistake.startsWith("tls-") ? tls : tier;
            Throwable cause = refused(over.withPropertyValues("oncegate.redis." + mistake));
            assertEquals(field, assertInstanceOf(OncegateException.class, cause).field());
            assertFalse(cause.toString().contains("hunter2"), cause::toString);
        });
        // A file that was not written yet must not have outcomes be stored in clear.
        for (String key : List.of("encryption", "retiring")) {
            OncegateException refused = assertInstanceOf(OncegateException.class,
                    refused(tier.withPropertyValues(
                            "oncegate.redis." + key + "-key-file=" + emptyKey)));
            assertEquals(Status.BAD_SIZE, refused.status());
            assertEquals("tier." + key + "_key", refused.field());
        }
        Throwable unused = refused(tier.withPropertyValues("oncegate.redis.tls-root=" + shortKey));
        assertEquals("tier.url", assertInstanceOf(OncegateException.class, unused).field());
        WebApplicationContextRunner time =
                tier.withPropertyValues("oncegate.redis.wait-replicas-for=-1s");
        assertEquals("tier.wait_replicas_ms", assertInstanceOf(OncegateException.class,
                refused(time.withPropertyValues("oncegate.redis.wait-replicas=1"))).field());
        // Nothing would be waited for.
        assertEquals("oncegate.redis.wait-replicas-for", assertInstanceOf(
                InvalidConfigurationPropertyValueException.class, refused(tier.withPropertyValues(
                        "oncegate.redis.wait-replicas-for=5ms"))).getName());
        tier.withPropertyValues("oncegate.redis.wait-replicas=1")
                .run(context -> assertTrue(context.getBean(Engine.class).hasTier()));
        refused(tier.withPropertyValues("oncegate.redis.on-outage=sometimes"));
        refused(tier.withPropertyValues("oncegate.redis.tls-key=" + folder.resolve("no")));
    }

    /** The names of all properties below {@code oncegate.redis}, as editors are told them. */
    private static Set<String> propertiesOfRedis() throws Exception {
        String prefix = "oncegate.redis.";
        Set<String> names = new TreeSet<>();
        Matcher name = Pattern.compile("\"name\": \"" + Pattern.quote(prefix) + "([a-z-]+)\"")
                .matcher(metadata());
        while (name.find()) {
            names.add(name.group(1));
        }
        return names;
    }

    /**
     * Goal: an application that is meant to have a tier does not start without one, unsaid.
     * Method: a URL that is empty, or blank, or whose variable is not there; each other property of
     * a tier without a URL, as a property and as a variable of the environment; then none of them,
     * and what is no property.
     */
    @Test
    void aTierWithoutItsUrlIsRefused() throws Exception {
        List<WebApplicationContextRunner> meant = new ArrayList<>();
        for (String url : List.of("", "  ", "${ONCEGATE_TEST_NO_SUCH_VARIABLE:}")) {
            meant.add(runner.withInitializer(variable("ONCEGATE_REDIS_URL", url)));
        }
        Set<String> names = propertiesOfRedis();
        assertTrue(names.remove("url"));
        assertTrue(names.size() > 20, names::toString);
        Map<String, String> values = Map.ofEntries(
                Map.entry("on-outage", "refuse"), Map.entry("allow-eviction", "false"),
                Map.entry("cluster", "false"), Map.entry("sentinels", "redis://a,redis://b"),
                Map.entry("wait-replicas", "0"), Map.entry("undelivered", "1"),
                Map.entry("dead-letters", "1"), Map.entry("outcome-limit", "1KB"),
                Map.entry("compress-from", "1KB"));
        for (String name : names) {
            // The others are durations, texts and files: one value is right for all of them.
            String value = values.getOrDefault(name, "1s");
            meant.add(runner.withPropertyValues("oncegate.redis." + name + "=" + value));
            meant.add(runner.withInitializer(variable(
                    "ONCEGATE_REDIS_" + name.replace("-", "").toUpperCase(Locale.ROOT), value)));
        }
        meant.add(runner.withPropertyValues("oncegate.redis.sentinels[0]=redis://a"));
        for (WebApplicationContextRunner each : meant) {
            Throwable cause = refused(each);
            assertEquals("oncegate.redis.url", assertInstanceOf(
                    InvalidConfigurationPropertyValueException.class, cause).getName());
            assertTrue(cause.getMessage().contains("oncegate.redis.url"), cause::getMessage);
        }
        // What a cluster of containers tells of a service of that name.
        runner.withInitializer(variable("ONCEGATE_REDIS_PORT", "tcp://10.0.0.1:6379"))
                .run(context -> assertFalse(context.getBean(Engine.class).hasTier()));
    }

    /** As in the environment of the process. */
    private static ApplicationContextInitializer<ConfigurableApplicationContext> variable(
            String name, String value) {
        return context -> context.getEnvironment().getPropertySources().addFirst(
                new SystemEnvironmentPropertySource(
                        "test-systemEnvironment", Map.of(name, value)));
    }

    private static String metadata() throws Exception {
        try (var in = StartTest.class.getResourceAsStream(
                "/META-INF/spring-configuration-metadata.json")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    /**
     * Goal: editors know the properties, with what they mean.
     * Method: the description that is made when the module is compiled.
     */
    @Test
    void propertiesAreDescribed() throws Exception {
        String metadata = metadata();
        for (String name : new String[] {
            "oncegate.single-tenant", "oncegate.engine.capacity", "oncegate.http.paths",
            "oncegate.http.on-exception", "oncegate.methods.checked",
            "oncegate.redis.url", "oncegate.redis.on-outage",
        }) {
            assertTrue(metadata.contains("\"" + name + "\""), name);
        }
        assertTrue(metadata.contains("Without any there is no filter."));
    }
}
