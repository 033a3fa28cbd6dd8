package dev.oncegate.spring;

import static dev.oncegate.spring.Client.problem;
import static dev.oncegate.spring.Client.ran;
import static dev.oncegate.spring.Client.replayed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.env.YamlPropertySourceLoader;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.core.env.EnumerablePropertySource;
import org.springframework.core.io.ByteArrayResource;
import org.springframework.core.io.DefaultResourceLoader;

/** The page of this module. */
class DocsTest {
    /**
     * Goal: the service of the page compiles, starts with its properties, and does what it says.
     * Method: a charge, again, and with another amount; a second request for the same order.
     */
    @Test
    void theServiceOfThePage(@TempDir Path folder) throws Exception {
        String page = Files.readString(
                Path.of(System.getProperty("basedir"), "../../../docs/spring-boot.md"));
        Path source = Files.writeString(folder.resolve("Shop.java"), block(page, "java"));
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        int failed = ToolProvider.getSystemJavaCompiler().run(null, null, said, "-Xlint:all",
                "-Xlint:-processing", "-Werror", "-parameters", "-proc:none", "-classpath",
                System.getProperty("java.class.path"), "-d", folder.toString(), source.toString());
        assertEquals(0, failed, said::toString);
        List<String> arguments = new ArrayList<>(List.of("--server.port=0"));
        block(page, "properties").lines().forEach(line -> arguments.add("--" + line));
        Thread thread = Thread.currentThread();
        ClassLoader usual = thread.getContextClassLoader();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            thread.setContextClassLoader(loader);
            SpringApplication application = new SpringApplication(
                    new DefaultResourceLoader(loader), loader.loadClass("shop.Shop"));
            try (ConfigurableApplicationContext context =
                    application.run(arguments.toArray(String[]::new))) {
                does(context.getEnvironment().getProperty("local.server.port", Integer.class));
            }
        } finally {
            thread.setContextClassLoader(usual);
        }
    }

    private static void does(int port) throws Exception {
        Client client = new Client(port);
        String charge = "{\"order\": \"o-7\", \"amount\": 100}";
        HttpResponse<String> first = client.send(charge(client, "first", charge));
        ran(201, first);
        assertTrue(first.body().contains("\"entry\":\"entry of o-7\""), first::body);
        replayed(first, client.send(charge(client, "first", charge)));
        HttpResponse<String> other =
                client.send(charge(client, "first", charge.replace("100", "200")));
        problem(422, "mismatched", other);
        assertTrue(other.body().contains("https://example.com/problems/mismatched"), other::body);
        ran(201, client.send(charge(client, "second", charge)));
    }

    private static HttpRequest.Builder charge(Client client, String key, String body) {
        return client.json("/charges", key, body).header("X-Authenticated-Account", "acme");
    }

    /**
     * Goal: the properties of the page that name a server are there, and the page names all that
     * are.
     * Method: its block, and the description that is made when the module is compiled.
     */
    @Test
    void thePropertiesOfAServer() throws Exception {
        String page = Files.readString(
                Path.of(System.getProperty("basedir"), "../../../docs/spring-boot.md"));
        String metadata;
        try (var in = DocsTest.class.getResourceAsStream(
                "/META-INF/spring-configuration-metadata.json")) {
            metadata = new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
        Set<String> known = Pattern.compile("\"name\": \"(oncegate\\.[a-z.-]+)\"")
                .matcher(metadata).results().map(found -> found.group(1))
                .collect(Collectors.toSet());
        Set<String> shown = new HashSet<>();
        new YamlPropertySourceLoader().load("page", new ByteArrayResource(
                block(page, "yaml").getBytes(StandardCharsets.UTF_8))).forEach(source ->
                        shown.addAll(List.of(
                                ((EnumerablePropertySource<?>) source).getPropertyNames())));
        assertEquals(Set.of("oncegate.engine.secret-file", "oncegate.redis.url",
                "oncegate.redis.prefix", "oncegate.redis.deadline"), shown);
        assertTrue(known.containsAll(shown), known::toString);
        String prefix = "oncegate.redis.";
        List<String> options = known.stream().filter(name -> name.startsWith(prefix)).toList();
        assertEquals(RedisSettings.class.getDeclaredFields().length, options.size());
        for (String name : options) {
            assertTrue(shown.contains(name)
                    || page.contains("`" + name.substring(prefix.length()) + "`")
                    || page.contains("`" + name.substring(prefix.length()) + ":"), name);
        }
    }

    private static String block(String page, String language) {
        String fence = "```" + language + "\n";
        int from = page.indexOf(fence) + fence.length();
        return page.substring(from, page.indexOf("```", from));
    }
}
