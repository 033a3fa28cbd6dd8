package dev.oncegate.spring;

import static dev.oncegate.spring.Client.header;
import static dev.oncegate.spring.Client.problem;
import static dev.oncegate.spring.Client.ran;
import static dev.oncegate.spring.Client.replayed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.Engine;
import java.io.IOException;
import java.io.OutputStream;
import java.net.Socket;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.test.context.SpringBootTest.WebEnvironment;
import org.springframework.boot.test.web.server.LocalServerPort;
import org.springframework.context.ConfigurableApplicationContext;

/** The filter, in a service on an embedded Tomcat. */
@SpringBootTest(webEnvironment = WebEnvironment.RANDOM_PORT, classes = Site.class, properties = {
    "oncegate.http.paths=/charges,/failing,/unavailable,/missing,/deferred,/callable,"
            + "/broken-async,/never,/events,/large,/forms,/uploads,/settings/**,/raw,/rough/*",
    "oncegate.http.payload-limit=1000",
    "oncegate.http.response-limit=2000",
    "oncegate.http.dedup-by-payload=true",
    "oncegate.http.keep-headers=X-Charge",
})
class FilterTest {
    @LocalServerPort
    private int port;

    @Autowired
    private Engine engine;

    private Client client;

    @BeforeEach
    void connect() {
        client = new Client(port);
    }

    /**
     * Goal: a request with a key runs once, and its duplicate gets the first response.
     * Method: a POST, twice, the key bare and quoted; headers of every kind.
     */
    @Test
    void duplicatesGetTheFirstResponse() throws Exception {
        HttpResponse<String> first = client.send(client.charge("first"));
        ran(201, first);
        assertTrue(header(first, "Set-Cookie").isPresent());
        HttpResponse<String> again = client.send(client.charge("\"first\""));
        replayed(first, again);
        assertEquals(1, Site.ran("charges first"));
        assertEquals(List.of("<a>", "<b>"), again.headers().allValues("Link"));
        assertEquals(Optional.of("7"), header(again, "X-Charge"));
        assertEquals(Optional.of("/charges/7"), header(again, "Location"));
        assertEquals(Optional.empty(), header(again, "Set-Cookie"));
        assertEquals(Optional.empty(), header(again, "Authorization"));
    }

    /**
     * Goal: many duplicates at once have one effect.
     * Method: 64 requests with one key while the handler is held; those that come meanwhile are
     * told so, and one more gets the response.
     */
    @Test
    void aStormHasOneEffect() throws Exception {
        Site.Gate gate = new Site.Gate();
        Site.GATES.put("storm", gate);
        List<CompletableFuture<HttpResponse<String>>> all = new ArrayList<>();
        for (int i = 0; i < 64; i++) {
            all.add(client.later(client.charge("storm")));
        }
        Site.Gate.await(gate.entered);
        CompletableFuture<Object> refused = new CompletableFuture<>();
        all.forEach(each -> each.thenAccept(refused::complete));
        refused.join();
        gate.open.countDown();
        int ran = 0;
        for (CompletableFuture<HttpResponse<String>> each : all) {
            HttpResponse<String> response = each.get();
            if (response.statusCode() == 409) {
                problem(409, "in-progress", response);
                assertEquals(Optional.of("1"), header(response, "Retry-After"));
            } else {
                assertEquals(201, response.statusCode());
                ran += header(response, "Idempotent-Replayed").isPresent() ? 0 : 1;
            }
        }
        assertEquals(1, ran);
        assertEquals(1, Site.ran("charges storm"));
        assertEquals(201, client.send(client.charge("storm")).statusCode());
    }

    /**
     * Goal: each answer of the filter has its status and code.
     * Method: a request for each.
     */
    @Test
    void problems() throws Exception {
        ran(201, client.send(client.charge("done")));
        problem(422, "mismatched",
                client.send(client.json("/charges", "done", "{\"amount\": 200}")));
        problem(400, "missing-key", client.send(client.charge(null)));
        problem(400, "invalid-key", client.send(client.charge("two, keys")));
        problem(400, "invalid-key", client.send(client.charge("\"open")));
        problem(400, "invalid-key", client.send(client.charge("k".repeat(256))));
        problem(400, "invalid-payload", client.send(client.json("/charges", "wrong", "{")));
        problem(413, "payload-too-large",
                client.send(client.json("/charges", "long", "\"" + "x".repeat(1000) + "\"")));
        problem(413, "payload-too-large", client.send(client.to("/charges", "long")
                .POST(BodyPublishers.ofInputStream(() -> new java.io.ByteArrayInputStream(
                        new byte[1001])))));
        problem(414, "operation-too-long",
                client.send(client.json("/charges?q=" + "x".repeat(1024), "far", "{}")));
        HttpRequest.Builder unknown = client.charge("unknown").setHeader("X-Account", "");
        problem(500, "misconfigured", client.send(unknown));
        HttpRequest.Builder nobody = HttpRequest.newBuilder(client.charge("x").build().uri())
                .header("Idempotency-Key", "nobody").POST(BodyPublishers.noBody());
        problem(403, "no-scope", client.send(nobody));
    }

    /**
     * Goal: tenants do not meet, and neither do operations.
     * Method: the same key by another account, and for another path.
     */
    @Test
    void scopesAndOperationsAreApart() throws Exception {
        ran(201, client.send(client.charge("shared")));
        ran(201, client.send(client.charge("shared").setHeader("X-Account", "other")));
        ran(201, client.send(client.json("/charges?currency=eur", "shared", Client.CHARGE)));
    }

    /**
     * Goal: what needs no record is passed on.
     * Method: a safe method, and a path that is not protected.
     */
    @Test
    void othersArePassedOn() throws Exception {
        ran(200, client.send(client.to("/charges", "read").GET()));
        assertEquals("ran 2", client.send(client.to("/charges", "read").GET()).body());
        ran(200, client.send(client.post("/unprotected", "free")));
        assertEquals("ran 2", client.send(client.post("/unprotected", "free")).body());
    }

    /**
     * Goal: the first attempt of an exception or a server error is followed by another one; a
     * client error is kept with its error page.
     * Method: one handler each, twice.
     */
    @Test
    void failures() throws Exception {
        ran(500, client.send(client.post("/failing", "f")));
        HttpResponse<String> again = client.send(client.post("/failing", "f"));
        ran(200, again);
        assertEquals("ran again", again.body());
        replayed(again, client.send(client.post("/failing", "f")));
        assertEquals("ran 1", client.send(client.post("/unavailable", "u")).body());
        assertEquals("ran 2", client.send(client.post("/unavailable", "u")).body());
        HttpResponse<String> missing = client.send(client.post("/missing", "m"));
        ran(404, missing);
        assertTrue(missing.body().contains("\"path\":\"/missing\""), missing::body);
        replayed(missing, client.send(client.post("/missing", "m")));
        assertEquals(1, Site.ran("missing"));
    }

    /**
     * Goal: responses that are made elsewhere are kept, and failures there are not.
     * Method: every way of a servlet and of Spring to answer later; one that never does.
     */
    @Test
    void asynchronousHandlers() throws Exception {
        for (String path : List.of("/deferred", "/callable", "/raw")) {
            HttpResponse<String> first = client.send(client.post(path, "a"));
            ran(200, first);
            assertEquals(path.substring(1) + " 1", first.body());
            replayed(first, client.send(client.post(path, "a")));
        }
        ran(500, client.send(client.post("/broken-async", "a")));
        assertEquals("ran again", client.send(client.post("/broken-async", "a")).body());
        ran(503, client.send(client.post("/never", "a")));
        assertEquals("ran again", client.send(client.post("/never", "a")).body());
    }

    /**
     * Goal: what a servlet leaves to the container ends the record as well.
     * Method: a response that nobody completes, one that is shorter than it said, a redirect, one
     * that is made anew, and one with trailers.
     */
    @Test
    void responsesOfServlets() throws Exception {
        ran(500, client.send(client.post("/rough/forgotten", "r")));
        assertEquals("ran 2", client.send(client.post("/rough/forgotten", "r")).body());
        problem(500, "aborted", client.send(client.post("/rough/short", "r")));
        HttpResponse<String> whole = client.send(client.post("/rough/short", "r"));
        assertEquals("short", whole.body());
        replayed(whole, client.send(client.post("/rough/short", "r")));
        HttpResponse<String> redirect = client.send(client.post("/rough/redirected", "r"));
        ran(302, redirect);
        HttpResponse<String> again = client.send(client.post("/rough/redirected", "r"));
        replayed(redirect, again);
        assertTrue(header(again, "Location").orElseThrow().endsWith("/elsewhere/1"));
        HttpResponse<String> anew = client.send(client.post("/rough/reset", "r"));
        assertEquals("right 1", anew.body());
        assertEquals(Optional.empty(), header(anew, "Link"));
        replayed(anew, client.send(client.post("/rough/reset", "r")));
        assertEquals("trailers", client.send(client.post("/rough/trailers", "r")).body());
        problem(409, "outcome-gone", client.send(client.post("/rough/trailers", "r")));
        assertEquals(1, Site.ran("rough/trailers"));
    }

    /**
     * Goal: streams are passed on as they are made; duplicates are told that they are gone.
     * Method: events, of which the second is sent after the client has got the first; a response
     * beyond the limit.
     */
    @Test
    void streamsArePassedOn() throws Exception {
        Site.Gate gate = new Site.Gate();
        Site.GATES.put("stream", gate);
        CompletableFuture<String> first = new CompletableFuture<>();
        HttpRequest request = client.post("/events", "stream").build();
        CompletableFuture<HttpResponse<java.util.stream.Stream<String>>> response =
                java.net.http.HttpClient.newHttpClient()
                        .sendAsync(request, HttpResponse.BodyHandlers.ofLines());
        List<String> lines = new ArrayList<>();
        response.get().body().forEach(line -> {
            lines.add(line);
            if (first.complete(line)) {
                gate.open.countDown();
            }
        });
        assertEquals("data:first", first.get());
        assertTrue(lines.contains("data:second"), lines::toString);
        problem(409, "outcome-gone", client.send(client.post("/events", "stream")));
        assertEquals(1, Site.ran("events"));

        HttpResponse<String> large = client.send(client.post("/large?size=100000", "l"));
        assertEquals(100_000, large.body().length());
        problem(409, "outcome-gone", client.send(client.post("/large?size=100000", "l")));
        HttpResponse<String> small = client.send(client.post("/large?size=2000", "s"));
        replayed(small, client.send(client.post("/large?size=2000", "s")));
    }

    /**
     * Goal: handlers find the body that was read, however they ask for it.
     * Method: a form with a parameter in the query, parts, and a text without a key.
     */
    @Test
    void bodiesAreThereForHandlers() throws Exception {
        HttpRequest.Builder form = client.to("/forms?from=query", "form")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .POST(BodyPublishers.ofString("name=J%C3%BCrgen+M"));
        HttpResponse<String> filled = client.send(form);
        assertEquals("Jürgen M query", filled.body());
        replayed(filled, client.send(form));

        HttpResponse<String> upload = client.send(parts("/uploads", "one", "hello"));
        assertEquals("acme hello 1", upload.body());
        replayed(upload, client.send(parts("/uploads", "another", "hello")));
        problem(422, "mismatched", client.send(parts("/uploads", "one", "other")));
        problem(413, "payload-too-large",
                client.send(parts("/uploads", "one", "x".repeat(1000))));
        problem(400, "invalid-payload", client.send(parts("/uploads", "\"\"", "hello")));
        HttpResponse<String> unparted = client.send(parts("/rough/parts", "one", "hello"));
        assertTrue(Integer.parseInt(unparted.body()) > 100, unparted::body);
        replayed(unparted, client.send(parts("/rough/parts", "another", "hello")));

        HttpRequest.Builder put = client.to("/settings", null).PUT(BodyPublishers.ofString("on"));
        HttpResponse<String> set = client.send(put);
        assertEquals("on 1", set.body());
        replayed(set, client.send(put));
        HttpResponse<String> gone = client.send(client.to("/settings", "d").DELETE());
        ran(204, gone);
        replayed(gone, client.send(client.to("/settings", "d").DELETE()));
        assertEquals(1, Site.ran("delete"));
    }

    private HttpRequest.Builder parts(String path, String boundary, String text) {
        String body = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n"
                + "Content-Type: text/plain\r\n\r\n" + text + "\r\n--B\r\n"
                + "Content-Disposition: form-data; name=\"name\"\r\n\r\nacme\r\n--B--\r\n";
        return client.to(path, "parts")
                .header("Content-Type", "multipart/form-data; boundary=" + boundary)
                .POST(BodyPublishers.ofString(body.replace("--B", "--" + boundary)));
    }

    /**
     * Goal: a client that leaves does not leave a record behind that nobody can use.
     * Method: a socket that is closed while the handler works, and one in the middle of a body.
     */
    @Test
    void aClientThatLeaves() throws Exception {
        Site.Gate gate = new Site.Gate();
        Site.GATES.put("left", gate);
        Socket leaving = request("left", Client.CHARGE.length(), Client.CHARGE);
        Site.Gate.await(gate.entered);
        leaving.close();
        problem(409, "in-progress", client.send(client.charge("left")));
        gate.open.countDown();
        HttpResponse<String> resent = untilFinished("left");
        assertEquals(201, resent.statusCode());
        assertEquals(Optional.of("true"), header(resent, "Idempotent-Replayed"));
        assertEquals(1, Site.ran("charges left"));

        long begun = engine.stats().begun();
        try (Socket socket = request("half", Client.CHARGE.length(), "{\"amo")) {
            socket.shutdownOutput();
            // The answer is there, so the body was given up.
            String answer = new String(socket.getInputStream().readAllBytes());
            assertTrue(answer.startsWith("HTTP/1.1 400"), answer);
        }
        assertEquals(begun, engine.stats().begun());
        ran(201, client.send(client.charge("half")));
    }

    private Socket request(String key, int length, String body) throws IOException {
        Socket socket = new Socket("localhost", port);
        OutputStream out = socket.getOutputStream();
        out.write(("POST /charges HTTP/1.1\r\nHost: localhost\r\nX-Account: acme\r\n"
                + "Idempotency-Key: " + key + "\r\nContent-Type: application/json\r\n"
                + "Content-Length: " + length + "\r\n\r\n" + body)
                .getBytes(StandardCharsets.US_ASCII));
        out.flush();
        return socket;
    }

    /** Asks again, as a client does, until the attempt has ended. */
    private HttpResponse<String> untilFinished(String key) throws Exception {
        HttpResponse<String> response;
        do {
            response = client.send(client.charge(key));
        } while (response.statusCode() == 409);
        return response;
    }

    /**
     * Goal: a response that comes after its lease was lost is discarded.
     * Method: a handler that is held while its lease lapses, and another attempt that takes over.
     */
    @Test
    void aFencedResponseIsDiscarded() throws Exception {
        Site.Gate gate = new Site.Gate();
        Site.GATES.put("fenced", gate);
        CompletableFuture<HttpResponse<String>> slow = client.later(client.charge("fenced"));
        Site.Gate.await(gate.entered);
        Site.GATES.remove("fenced");
        engine.advanceClock(Duration.ofHours(1));
        HttpResponse<String> second = client.send(client.charge("fenced"));
        ran(201, second);
        assertTrue(second.body().contains("\"attempt\":2"), second::body);
        gate.open.countDown();
        HttpResponse<String> discarded = slow.get();
        problem(409, "fenced", discarded);
        assertEquals(Optional.empty(), header(discarded, "Location"));
        replayed(second, client.send(client.charge("fenced")));
    }

    /**
     * Goal: a response whose end the engine refused is discarded, whatever the reason.
     * Method: an engine that is closed while the handler of an attempt is held.
     */
    @Test
    void aResponseWithoutAnEndIsDiscarded() throws Exception {
        try (ConfigurableApplicationContext site = SpringApplication.run(
                Site.class, "--server.port=0", "--oncegate.http.paths=/charges")) {
            Client other = new Client(
                    site.getEnvironment().getProperty("local.server.port", Integer.class));
            Site.Gate gate = new Site.Gate();
            Site.GATES.put("closed", gate);
            CompletableFuture<HttpResponse<String>> slow = other.later(other.charge("closed"));
            Site.Gate.await(gate.entered);
            site.getBean(Engine.class).close();
            gate.open.countDown();
            HttpResponse<String> discarded = slow.get();
            problem(503, "unavailable", discarded);
            assertEquals(Optional.empty(), header(discarded, "Location"));
        }
    }
}
