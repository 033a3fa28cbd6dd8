package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static dev.oncegate.Given.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Begin, alone and in batches: every answer, and what makes two requests the same. */
class BeginTest {
    private final Engine engine = Given.engine();

    @AfterEach
    void close() {
        engine.close();
    }

    /**
     * Goal: the first request runs, its duplicates do not, and get what it left, byte for byte.
     * Method: one record from its first attempt to its replay.
     */
    @Test
    void aRequestRunsOnce() {
        Request request = fresh().withPayload(Payload.json("{\"amount\": 100}"));
        Lease lease = admitted(engine.begin(request));
        assertEquals(1, lease.attempt());
        assertEquals(How.CREATED, lease.how());
        assertEquals(Duration.ofSeconds(30), lease.duration());
        assertEquals(
                new Admission.InProgress(1, Duration.ofSeconds(30)), engine.begin(request));

        byte[] body = new byte[300];
        for (int i = 0; i < body.length; i++) {
            body[i] = (byte) i;
        }
        Outcome outcome = Outcome.of(201, body).with("content-type", "text/plain").with("é", "ü")
                .with("empty", "");
        assertEquals(Stored.WITH_BYTES, lease.complete(outcome));
        Outcome replay = replayed(engine.begin(request));
        assertEquals(outcome, replay);
        assertEquals(Optional.of("ü"), replay.metadata("é"));
        assertEquals(Optional.empty(), replay.metadata("none"));
        assertArrayEquals(body, replay.body());
    }

    /**
     * Goal: an outcome that does not fit the first buffer is replayed all the same.
     * Method: outcomes around the size of a frame, and the largest that is stored, with as much
     * metadata as there may be.
     */
    @Test
    void outcomesOfAnySizeAreReplayed() {
        try (Engine large = Engine.open(Given.options().outcomeLimit(1_000_000).build())) {
            int[] sizes = {0, 1, 7_000, Frames.SMALL - 200, Frames.SMALL, 100_000, 980_000};
            for (int size : sizes) {
                Outcome outcome = Outcome.of(200, new byte[size]);
                for (int i = 0; size > 0 && i < 2; i++) {
                    outcome = outcome.with("n" + i, "v".repeat(8_000));
                }
                Request request = request("size-" + size);
                assertEquals(Stored.WITH_BYTES, admitted(large.begin(request)).complete(outcome));
                assertEquals(outcome, replayed(large.begin(request)), "size " + size);
            }
        }
    }

    /**
     * Goal: each further answer comes as the value that stands for it.
     * Method: one record brought into each state.
     */
    @Test
    void everyAnswerIsAValue() {
        Request request = fresh().withPayload(Payload.raw(new byte[] {1}));
        admitted(engine.begin(request)).fail(Failure.retryable(Duration.ofMinutes(1)));
        assertEquals(new Admission.Scheduled(2, Duration.ofMinutes(1)), engine.begin(request));
        assertEquals(new Admission.Mismatched(),
                engine.begin(request.withPayload(Payload.raw(new byte[] {2}))));

        engine.advanceClock(Duration.ofMinutes(1));
        Lease second = admitted(engine.begin(request));
        assertEquals(2, second.attempt());
        assertEquals(How.RETRIED, second.how());
        second.fail(Failure.unknown());
        assertEquals(new Admission.Unresolved(), engine.begin(request));

        engine.resolve(request, Resolution.runAgain());
        Lease third = admitted(engine.begin(request));
        assertEquals(Stored.WITHOUT_BYTES, third.complete(Outcome.withheld(204)));
        assertEquals(new Admission.OutcomeGone(), engine.begin(request));
    }

    /**
     * Goal: what is in doubt ends as it is resolved, and nothing else can be resolved.
     * Method: each resolution, then a duplicate.
     */
    @Test
    void doubtsAreResolved() {
        Outcome outcome = Outcome.of(200, "found out");
        for (Resolution resolution
                : List.of(Resolution.succeeded(outcome), Resolution.failed(outcome))) {
            Request request = fresh();
            assertThrows(NotFoundException.class, () -> engine.resolve(request, resolution));
            Lease lease = admitted(engine.begin(request));
            assertThrows(NotFoundException.class, () -> engine.resolve(request, resolution));
            lease.fail(Failure.unknown());
            engine.resolve(request, resolution);
            assertEquals(outcome, replayed(engine.begin(request)));
        }
    }

    /**
     * Goal: options of a call reach the engine.
     * Method: each is given alone, and its effect looked at under the clock of the test.
     */
    @Test
    void optionsOfACallHold() {
        BeginOptions options = BeginOptions.defaults();
        Request request = fresh();
        Lease lease = admitted(engine.begin(request, options.lease(Duration.ofSeconds(2))));
        assertEquals(Duration.ofSeconds(2), lease.duration());
        engine.advanceClock(Duration.ofMillis(2_001));
        Lease next = admitted(engine.begin(request, options.dedupWindow(Duration.ofSeconds(5))));
        assertEquals(How.EXPIRED, next.how());
        assertTrue(next.fencingToken() > lease.fencingToken());
        next.complete(Outcome.of(200));
        assertEquals(Outcome.of(200), replayed(engine.begin(request)));
        engine.advanceClock(Duration.ofMillis(5_001));
        assertEquals(How.EXPIRED, admitted(engine.begin(request)).how());

        Request doubtful = fresh();
        admitted(engine.begin(doubtful, options.onLapse(OnLapse.UNKNOWN)));
        engine.advanceClock(Duration.ofSeconds(31));
        assertEquals(new Admission.Unresolved(), engine.begin(doubtful));

        refused(Status.INVALID_OPTION, "lease_duration",
                () -> engine.begin(fresh(), options.lease(Duration.ofDays(1_000))));
        refused(Status.BAD_VALUE, "lease_ms", () -> options.lease(Duration.ofMillis(-1)));
        refused(Status.NULL_ARGUMENT, "wait_ms", () -> options.waitUpTo(null));
    }

    /**
     * Goal: scope, operation and key make a request what it is; none is taken for another.
     * Method: requests that differ in one of them are all admitted.
     */
    @Test
    void requestsAreToldApart() {
        byte[] bytes = {0, (byte) 0xff, (byte) 0x80};
        List<Request> all = List.of(
                Request.of(Scope.named("a"), "bc", "d"),
                Request.of(Scope.named("ab"), "c", "d"),
                Request.of(Scope.named("a"), "b", "cd"),
                Request.of(Scope.singleTenant(), "bc", "d"),
                Request.of(Scope.unauthenticated(), "bc", "d"),
                Request.of(Scope.named("a"), "bc", bytes),
                Request.of(Scope.named("Ä"), "Ö", "Ü"));
        List<String> fingerprints = new ArrayList<>();
        for (Request request : all) {
            admitted(engine.begin(request));
            fingerprints.add(java.util.HexFormat.of().formatHex(engine.fingerprint(request)));
        }
        assertEquals(all.size(), fingerprints.stream().distinct().count());
        for (Request request : all) {
            assertInstanceOf(Admission.InProgress.class, engine.begin(request));
        }
    }

    /**
     * Goal: payloads are compared by what they mean, as their kind says.
     * Method: for each kind, two spellings of one payload, and one of another.
     */
    @Test
    void payloadsAreComparedByTheirKind() {
        record Case(Payload first, Payload same, Payload other) {}

        byte[] parts = multipart("x", "1");
        List<Case> cases = List.of(
                new Case(Payload.raw(utf8("a")), Payload.raw(utf8("a")), Payload.raw(utf8("b"))),
                new Case(Payload.json("{\"a\":1,\"b\":2}"), Payload.json("{ \"b\": 2.0, \"a\": 1 }"),
                        Payload.json("{\"a\":1,\"b\":3}")),
                new Case(Payload.json("{\"a\":1,\"t\":5}").excluding("/t"),
                        Payload.json("{\"a\":1,\"t\":6}").excluding("/t"),
                        Payload.json("{\"a\":2,\"t\":5}").excluding("/t")),
                new Case(Payload.json("{\"a\":1,\"t\":5}").including("/a"),
                        Payload.json("{\"a\":1,\"u\":6}").including("/a"),
                        Payload.json("{\"a\":2,\"t\":5}").including("/a")),
                new Case(Payload.form(utf8("a=1&b=2")), Payload.form(utf8("b=2&a=%31")),
                        Payload.form(utf8("a=1&b=3"))),
                new Case(Payload.multipart(parts, "x"),
                        Payload.multipart(multipart("y", "1"), "y"),
                        Payload.multipart(multipart("x", "2"), "x")));
        for (Case each : cases) {
            Request request = fresh();
            admitted(engine.begin(request.withPayload(each.first)));
            assertInstanceOf(Admission.InProgress.class,
                    engine.begin(request.withPayload(each.same)), each::toString);
            assertEquals(new Admission.Mismatched(),
                    engine.begin(request.withPayload(each.other)), each::toString);
        }
    }

    private static byte[] multipart(String boundary, String value) {
        return utf8("--" + boundary + "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"
                + value + "\r\n--" + boundary + "--\r\n");
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /**
     * Goal: a payload can stand in for a key.
     * Method: two spellings of one document, and another document.
     */
    @Test
    void aPayloadCanBeTheKey() {
        Scope scope = Scope.singleTenant();
        Payload payload = Payload.json("{\"a\":1,\"b\":2}");
        admitted(engine.begin(Request.keyedByPayload(scope, "op", payload)));
        assertInstanceOf(Admission.InProgress.class, engine.begin(
                Request.keyedByPayload(scope, "op", Payload.json("{\"b\":2,\"a\":1}"))));
        admitted(engine.begin(Request.keyedByPayload(scope, "op", Payload.json("{}"))));
    }

    /**
     * Goal: a payload of any size is digested; one that is too long is refused by its name.
     * Method: sizes around what a frame and a quick call take, and one byte over the limit.
     */
    @Test
    void payloadsOfAnySizeAreDigested() {
        for (int size : new int[] {0, 1, 4_096, 4_097, 100_000, 64 << 20}) {
            byte[] payload = new byte[size];
            Request request = fresh();
            admitted(engine.begin(request.withPayload(Payload.raw(payload))));
            if (size > 0) {
                byte[] other = payload.clone();
                other[size - 1] = 1;
                assertEquals(new Admission.Mismatched(),
                        engine.begin(request.withPayload(Payload.raw(other))));
            }
        }
        Payload tooLong = Payload.raw(new byte[(64 << 20) + 1]);
        refused(Status.INVALID_PAYLOAD, "payload",
                () -> engine.begin(fresh().withPayload(tooLong)));
    }

    /**
     * Goal: a batch answers each of its requests as a call of its own would, in their order, and a
     * refused one harms none.
     * Method: every answer and a refusal in one batch.
     */
    @Test
    void aBatchAnswersEachRequest() {
        Request running = fresh();
        admitted(engine.begin(running));
        Request done = fresh().withPayload(Payload.raw(new byte[] {1}));
        Outcome outcome = Outcome.of(201, new byte[100]).with("a", "b");
        admitted(engine.begin(done)).complete(outcome);
        Request fresh = fresh();

        List<Answer> answers = engine.beginAll(List.of(
                running, done, Request.of(Given.ACME, "op", ""), fresh,
                done.withPayload(Payload.raw(new byte[] {2})), fresh));
        assertEquals(new Admission.InProgress(1, Duration.ofSeconds(30)), answers.get(0));
        assertEquals(outcome, replayed(answers.get(1)));
        Answer.Refused refused = assertInstanceOf(Answer.Refused.class, answers.get(2));
        assertEquals(Status.INVALID_KEY, refused.why().status());
        assertEquals(Status.INVALID_KEY.text(), refused.why().getMessage());
        assertThrows(InvalidInputException.class, refused::orThrow);
        admitted(answers.get(3)).complete(Outcome.of(200));
        assertEquals(new Admission.Mismatched(), answers.get(4));
        assertInstanceOf(Admission.InProgress.class, answers.get(5).orThrow());
        assertEquals(6, answers.size());
        assertThrows(UnsupportedOperationException.class, () -> answers.set(0, null));
        assertEquals(List.of(), engine.beginAll(List.of()));
    }

    /**
     * Goal: outcomes of a batch that do not fit its buffer are there all the same, and the options
     * hold for each.
     * Method: more and larger outcomes than a batch offers room for.
     */
    @Test
    void aBatchReplaysLargeOutcomes() {
        List<Request> requests = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            requests.add(fresh());
        }
        List<Answer> first =
                engine.beginAll(requests, BeginOptions.defaults().lease(Duration.ofSeconds(3)));
        for (int i = 0; i < first.size(); i++) {
            Lease lease = admitted(first.get(i));
            assertEquals(Duration.ofSeconds(3), lease.duration());
            lease.complete(Outcome.of(i, new byte[10_000]));
        }
        List<Answer> second = engine.beginAll(requests);
        int gone = 0;
        for (int i = 0; i < second.size(); i++) {
            if (second.get(i) instanceof Admission.OutcomeGone) {
                gone++;
            } else {
                assertEquals(Outcome.of(i, new byte[10_000]), replayed(second.get(i)));
            }
        }
        assertFalse(gone > 290, () -> "the engine kept too few outcomes for this test");
    }

    /**
     * Goal: requests that are known by digests are admitted by them, alone and in batches.
     * Method: the same fingerprint with the same and another payload, and another fingerprint.
     */
    @Test
    void digestsStandForRequests() {
        byte[] fingerprint = new byte[32];
        java.util.Arrays.fill(fingerprint, (byte) 7);
        Hashed first = Hashed.of(Given.ACME, fingerprint, 0x1234_5600);
        Lease lease = admitted(engine.beginHashed(first, BeginOptions.defaults()));
        lease.complete(Outcome.of(200, "by digest"));
        fingerprint[9] = 8;
        Hashed other = Hashed.of(Given.ACME, fingerprint, 0x1234_5600);
        fingerprint[9] = 7;
        Hashed mismatched = Hashed.of(Given.ACME, fingerprint, 0x9999_9900);
        List<Answer> answers = engine.beginAllHashed(
                List.of(first, other, mismatched), BeginOptions.defaults());
        assertEquals("by digest", replayed(answers.get(0)).bodyText());
        admitted(answers.get(1));
        assertEquals(new Admission.Mismatched(), answers.get(2));
        refused(Status.BAD_SIZE, "fingerprint", () -> Hashed.of(Given.ACME, new byte[31], 0));
    }

    /**
     * Goal: what breaks a rule is refused by its name, and nothing of it is told.
     * Method: for each field the nearest values outside its range.
     */
    @Test
    void badRequestsAreRefusedByName() {
        Scope scope = Given.ACME;
        String secret = "s3cret";
        refused(Status.INVALID_KEY, "key", () -> engine.begin(Request.of(scope, "op", "")));
        OncegateException tooLong = refused(Status.INVALID_KEY, "key",
                () -> engine.begin(Request.of(scope, "op", secret.repeat(60))));
        assertFalse(tooLong.getMessage().contains(secret));
        refused(Status.INVALID_OPERATION, "operation",
                () -> engine.begin(Request.of(scope, "", "k")));
        refused(Status.INVALID_OPERATION, "operation",
                () -> engine.begin(Request.of(scope, "o".repeat(1_025), "k")));
        refused(Status.INVALID_SCOPE, "scope",
                () -> engine.begin(Request.of(Scope.named(""), "op", "k")));
        refused(Status.INVALID_SCOPE, "scope",
                () -> engine.begin(Request.of(Scope.named("s".repeat(256)), "op", "k")));
        OncegateException broken = refused(Status.INVALID_PAYLOAD, "payload",
                () -> engine.begin(fresh().withPayload(Payload.json("{\"" + secret))));
        assertFalse(broken.getMessage().contains(secret));
        assertFalse(broken.isTransient());
        assertThrows(NullPointerException.class, () -> Request.of(null, "op", "k"));
        assertThrows(NullPointerException.class, () -> Request.of(scope, null, "k"));
        assertThrows(NullPointerException.class, () -> fresh().withPayload(null));
        assertThrows(NullPointerException.class, () -> Scope.named(null));
    }

    /**
     * Goal: nothing that the caller gave can be read in what is printed for logs.
     * Method: every value of this package, as a string.
     */
    @Test
    void printedValuesTellNothing() {
        Request request = Request.of(Scope.named("s3cret"), "POST /charges", "s3cret")
                .withPayload(Payload.json("\"s3cret\""));
        Lease lease = admitted(engine.begin(request));
        String token = new String(lease.token(), StandardCharsets.ISO_8859_1);
        lease.detach();
        Outcome outcome = Outcome.of(200, "s3cret").with("s3cret", "s3cret");
        String all = request + " " + lease + " " + outcome + " " + engine
                + new Admission.Replayed(outcome)
                + Hashed.of(Scope.named("s3cret"), new byte[32], 1);
        assertFalse(all.contains("s3cret"), all);
        assertFalse(all.contains(token), all);
    }
}
