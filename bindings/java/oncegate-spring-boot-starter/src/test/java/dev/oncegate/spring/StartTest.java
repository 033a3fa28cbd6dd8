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
import dev.oncegate.Request;
import dev.oncegate.Scope;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.WebApplicationContextRunner;
import org.springframework.boot.web.servlet.FilterRegistrationBean;

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
     * Goal: editors know the properties, with what they mean.
     * Method: the description that is made when the module is compiled.
     */
    @Test
    void propertiesAreDescribed() throws Exception {
        try (var in = StartTest.class.getResourceAsStream(
                "/META-INF/spring-configuration-metadata.json")) {
            String metadata = new String(in.readAllBytes(), StandardCharsets.UTF_8);
            for (String name : new String[] {
                "oncegate.single-tenant", "oncegate.engine.capacity", "oncegate.http.paths",
                "oncegate.http.on-exception", "oncegate.methods.checked",
            }) {
                assertTrue(metadata.contains("\"" + name + "\""), name);
            }
            assertTrue(metadata.contains("Without any there is no filter."));
        }
    }
}
