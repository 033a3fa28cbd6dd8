package dev.oncegate.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/** A client of a site. */
final class Client {
    static final String CHARGE = "{\"amount\": 100}";

    private final HttpClient client = HttpClient.newHttpClient();
    private final int port;

    Client(int port) {
        this.port = port;
    }

    HttpRequest.Builder to(String path, String key) {
        HttpRequest.Builder request = HttpRequest.newBuilder(
                URI.create("http://localhost:" + port + path)).header("X-Account", "acme");
        return key == null ? request : request.header("Idempotency-Key", key);
    }

    HttpRequest.Builder charge(String key) {
        return json("/charges", key, CHARGE);
    }

    HttpRequest.Builder json(String path, String key, String body) {
        return to(path, key).header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body));
    }

    HttpRequest.Builder post(String path, String key) {
        return to(path, key).POST(BodyPublishers.noBody());
    }

    HttpResponse<String> send(HttpRequest.Builder request)
            throws IOException, InterruptedException {
        return client.send(request.build(), BodyHandlers.ofString());
    }

    CompletableFuture<HttpResponse<String>> later(HttpRequest.Builder request) {
        return client.sendAsync(request.build(), BodyHandlers.ofString());
    }

    static Optional<String> header(HttpResponse<?> response, String name) {
        return response.headers().firstValue(name);
    }

    static void ran(int status, HttpResponse<?> response) {
        assertEquals(status, response.statusCode(), () -> "" + response.body());
        assertFalse(header(response, "Idempotent-Replayed").isPresent());
    }

    /** The replay of a response. */
    static void replayed(HttpResponse<?> first, HttpResponse<?> again) {
        assertEquals(first.statusCode(), again.statusCode(), () -> "" + again.body());
        assertEquals(first.body(), again.body());
        assertEquals(Optional.of("true"), header(again, "Idempotent-Replayed"));
        assertEquals(header(first, "Content-Type"), header(again, "Content-Type"));
    }

    /** An answer of the filter itself. */
    static void problem(int status, String code, HttpResponse<String> response) {
        assertEquals(status, response.statusCode(), response::body);
        assertEquals(Optional.of("application/problem+json"), header(response, "Content-Type"));
        assertEquals(Optional.of("no-store"), header(response, "Cache-Control"));
        assertTrue(response.body().contains("\"code\":\"" + code + "\""), response::body);
        assertTrue(response.body().contains("\"status\":" + status), response::body);
    }
}
