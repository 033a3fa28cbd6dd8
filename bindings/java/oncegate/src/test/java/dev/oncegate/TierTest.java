package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static dev.oncegate.RedisServer.eventually;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Engines that share their records by a real server: each stands for a host. */
class TierTest {
    private static final long SOON = 60;
    private static final BeginOptions WAITS =
            BeginOptions.defaults().waitUpTo(Duration.ofHours(1));

    private final List<Engine> hosts = new ArrayList<>();

    @AfterEach
    void close() {
        hosts.forEach(Engine::close);
    }

    private static byte[] key(int filled) {
        byte[] key = new byte[32];
        Arrays.fill(key, (byte) filled);
        return key;
    }

    private static Engine open(TierOptions tier) {
        return Engine.open(
                EngineOptions.builder().capacity(1_000).secret(key(7)).tier(tier).build());
    }

    private Engine host(TierOptions tier) {
        Engine host = open(tier);
        hosts.add(host);
        return host;
    }

    private Engine host(RedisServer server) {
        return host(TierOptions.redis(server.url()));
    }

    /** One that runs again as soon as its server is back: nobody knows what that has kept. */
    private static TierOptions hasty(RedisServer server) {
        return TierOptions.redis(server.url()).quarantine(Duration.ofMillis(1));
    }

    private static void flush(Engine engine) {
        engine.flushTier(Duration.ofSeconds(SOON));
    }

    /** Has an engine meet its server, and waits until it does nothing there by itself. */
    private static Request prepared(Engine engine) {
        Request known = fresh();
        admitted(engine.begin(known)).complete(Outcome.of(200));
        flush(engine);
        return known;
    }

    /**
     * Goal: what one host runs, another one neither runs again nor misses the outcome of.
     * Method: two hosts; one runs, the other asks meanwhile and afterwards, twice, and in a batch;
     * the counts of both.
     */
    @Test
    void hostsRunARequestOnce() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            Engine one = host(server);
            Engine other = host(server);
            Request request = fresh();
            Lease lease = admitted(one.begin(request));
            assertFalse(lease.isLocalOnly());
            assertInstanceOf(Admission.InProgress.class, other.begin(request));
            Outcome outcome = Outcome.of(201, "charged".getBytes(StandardCharsets.UTF_8));
            assertEquals(Stored.WITH_BYTES, lease.complete(outcome));
            assertEquals(outcome, replayed(other.begin(request)));
            assertEquals(outcome, replayed(other.beginAll(List.of(request)).get(0)));
            assertThrows(FencedException.class, lease::isLocalOnly);
            assertTrue(one.hasTier());
            TierStats told = one.tierStats();
            assertEquals("1 0 0 0", told.granted() + " " + told.imported() + " "
                    + told.elsewhere() + " " + told.undelivered());
            told = other.tierStats();
            assertEquals("0 1 1 0", told.granted() + " " + told.imported() + " "
                    + told.elsewhere() + " " + told.refused());
            assertFalse(told.breakerOpen());
        }
    }

    /**
     * Goal: whoever waits on one host gets what an attempt of another one leaves.
     * Method: a thread and a future that wait, beside an attempt that is completed.
     */
    @Test
    void waitersHearOfOtherHosts() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            Engine one = host(server);
            Engine other = host(server);
            Request request = fresh();
            Lease lease = admitted(one.begin(request));
            CompletableFuture<Admission> future = other.beginAsync(request);
            CompletableFuture<Admission> thread =
                    CompletableFuture.supplyAsync(() -> other.begin(request, WAITS));
            eventually("both wait", () -> other.waits().count() == 2);
            assertFalse(future.isDone());
            assertFalse(thread.isDone());
            Outcome outcome = Outcome.of(200, new byte[10_000]);
            lease.complete(outcome);
            assertEquals(outcome, replayed(future.get(SOON, TimeUnit.SECONDS)));
            assertEquals(outcome, replayed(thread.get(SOON, TimeUnit.SECONDS)));
        }
    }

    /**
     * Goal: while the server is gone nothing new runs, whoever asks; what this host knows it
     * answers; work goes on when the server is back.
     * Method: a server that is killed, and started again; each way to begin.
     */
    @Test
    void anOutageRefusesWhatIsNew() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            Engine engine = host(hasty(server));
            Request known = prepared(engine);
            Request request = fresh();
            server.kill();
            TierException away = assertInstanceOf(TierException.class,
                    refused(Status.TIER_UNAVAILABLE, "tier", () -> engine.begin(request)));
            assertTrue(away.isTransient());
            assertTrue(away.retryAfter().isPresent());
            Hashed hashed = Hashed.of(Given.ACME, key(1), 0);
            assertThrows(TierException.class,
                    () -> engine.beginHashed(hashed, BeginOptions.defaults()));
            assertInstanceOf(Answer.Refused.class, engine.beginAll(List.of(fresh())).get(0));
            ExecutionException future = assertThrows(ExecutionException.class,
                    () -> engine.beginAsync(fresh()).get(SOON, TimeUnit.SECONDS));
            assertInstanceOf(TierException.class, future.getCause());
            assertThrows(TierException.class, () -> engine.run(fresh(), lease -> {
                throw new AssertionError("it ran");
            }));
            replayed(engine.begin(known));
            assertEquals(5, engine.tierStats().refused());
            server.restart();
            // The breaker takes its time.
            eventually("the server is used again", () -> {
                try {
                    return engine.begin(request) instanceof Admission.Admitted;
                } catch (TierException stillAway) {
                    return false;
                }
            });
        }
    }

    /**
     * Goal: who is refused learns when to ask again, by whichever way he asked.
     * Method: a server that was started again, and a quarantine of an hour; each way to begin.
     */
    @Test
    void whoIsRefusedLearnsWhenToAskAgain() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            Engine engine = host(TierOptions.redis(server.url()).quarantine(Duration.ofHours(1)));
            prepared(engine);
            server.kill();
            server.restart();
            Map<String, Callable<Answer>> ways = Map.of(
                    "begin", () -> engine.begin(fresh()),
                    "beginAsync", () -> engine.beginAsync(fresh()).get(SOON, TimeUnit.SECONDS),
                    "begin with a wait", () -> engine.begin(fresh(), WAITS),
                    "begin on a virtual thread", () -> virtually(() -> engine.begin(fresh())),
                    "beginAll", () -> engine.beginAll(List.of(fresh())).get(0).orThrow(),
                    "beginAll on a virtual thread", () -> virtually(
                            () -> engine.beginAll(List.of(fresh())).get(0).orThrow()));
            // A connection that was cut, at first; the breaker takes its time.
            eventually("it is in quarantine", () -> later(ways.get("begin")) > 60_000);
            ways.forEach((name, way) -> assertTrue(later(way) > 60_000, name));
        }
    }

    /** After how many milliseconds to ask again, of a call that the tier has refused. */
    private static long later(Callable<?> call) {
        try {
            throw new AssertionError("not refused: " + call.call());
        } catch (ExecutionException | TierException thrown) {
            TierException refused = assertInstanceOf(TierException.class,
                    thrown instanceof TierException ? thrown : thrown.getCause());
            assertEquals("TIER_UNAVAILABLE tier", refused.status() + " " + refused.field());
            assertTrue(refused.getMessage().startsWith("tier: "), refused::getMessage);
            assertTrue(refused.isTransient());
            return refused.retryAfter().orElse(Duration.ZERO).toMillis();
        } catch (Exception other) {
            throw new AssertionError(other);
        }
    }

    /** On a virtual thread, where there are some. */
    private static <T> T virtually(Callable<T> call) throws Exception {
        FutureTask<T> task = new FutureTask<>(call);
        if (Runtime.version().feature() < 21) {
            task.run();
        } else {
            Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, task);
        }
        return task.get(SOON, TimeUnit.SECONDS);
    }

    /**
     * Goal: a host that may go on alone says so of each attempt and outcome, and the others have
     * what it ran when the server is back.
     * Method: a server that is killed, and started again before another host asks.
     */
    @Test
    void aHostAloneSaysSo() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            Engine one = host(hasty(server).onOutage(OnOutage.LOCAL_ONLY));
            Engine other = host(hasty(server));
            prepared(one);
            server.kill();
            Request request = fresh();
            Lease lease = admitted(one.begin(request));
            assertTrue(lease.isLocalOnly());
            Outcome outcome = Outcome.of(200, new byte[] {1});
            assertEquals(Stored.HERE, lease.complete(outcome));
            assertEquals("1 1", one.tierStats().localOnly() + " " + one.tierStats().undelivered());
            assertThrows(TierException.class, () -> one.flushTier(Duration.ZERO));
            server.restart();
            flush(one);
            assertEquals(outcome, replayed(other.begin(request)));
            assertEquals(1, one.tierStats().deliveredLate());
        }
    }

    /**
     * Goal: whoever closes an engine does not wait for who flushes it, who hears of it.
     * Method: a server that is not there, an end that it was not told of, and a flush of an hour in
     * another thread, again until the closing met it in the library.
     */
    @Test
    void closingSendsAFlushBack() throws Exception {
        TierOptions nowhere =
                TierOptions.redis("redis://127.0.0.1:1").onOutage(OnOutage.LOCAL_ONLY);
        Status met = null;
        for (int i = 0; met != Status.CLOSED && i < 100; i++) {
            Engine engine = open(nowhere);
            assertEquals(Stored.HERE, admitted(engine.begin(fresh())).complete(Outcome.of(200)));
            FutureTask<Object> flush = new FutureTask<>(() -> {
                engine.flushTier(Duration.ofHours(1));
                return null;
            });
            Thread flusher = new Thread(flush);
            flusher.start();
            eventually("it flushes", () -> flush.isDone() || TierThreadsTest.isInLibrary(flusher));
            assertFalse(flush.isDone(), "something is left");
            CompletableFuture.runAsync(engine::close).get(SOON, TimeUnit.SECONDS);
            ExecutionException sent = assertThrows(
                    ExecutionException.class, () -> flush.get(SOON, TimeUnit.SECONDS));
            // Where it came too late the handle is no longer one.
            met = assertInstanceOf(ClosedException.class, sent.getCause()).status();
        }
        assertEquals(Status.CLOSED, met);
    }

    /**
     * Goal: a lease that is closed is given back without waiting for the server, which hears soon.
     * Method: a server that stands still for longer than the deadline would be waited for.
     */
    @Test
    void aLeaseIsClosedWithoutWaiting() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            Engine engine = host(TierOptions.redis(server.url()).deadline(Duration.ofSeconds(10)));
            Engine other = host(server);
            Request request = fresh();
            Lease lease = admitted(engine.begin(request));
            server.pause();
            lease.close();
            assertEquals(0, engine.tierStats().unknown());
            server.resume();
            flush(engine);
            assertEquals(2, admitted(other.begin(request)).attempt());
        }
    }

    /**
     * Goal: a server that may evict records is refused, unless that is allowed; what endangers the
     * promises is told.
     * Method: a server with a limit of memory, a policy, and no persistence.
     */
    @Test
    void unsafeServersAreRefused() throws Exception {
        try (RedisServer server = RedisServer.start("--maxmemory", "64mb", "--maxmemory-policy",
                "allkeys-lru", "--appendonly", "no")) {
            refused(Status.TIER_UNSAFE, "tier", () -> host(server).begin(fresh()));
            Engine engine = host(TierOptions.redis(server.url()).allowEviction(true));
            prepared(engine);
            eventually("hazards are told", () -> engine.tierStats().hazards()
                    .equals(Set.of(Hazard.EVICTS, Hazard.NOT_PERSISTENT)));
        }
        assertEquals(Set.of(Hazard.values()), Hazard.of(0x8000_000f));
        assertEquals(Set.of(Hazard.CLOCK_BEHIND, Hazard.OTHER), Hazard.of(0x18));
    }

    /**
     * Goal: outcomes lie under the prefix, and encrypted where there is a key; the key that is
     * being rotated out still reads them.
     * Method: hosts with the same key, with it as the retiring one, and with another one.
     */
    @Test
    void outcomesAreEncryptedAndPrefixed() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            TierOptions tier = TierOptions.redis(server.url()).prefix("shop:");
            Request request = fresh();
            Outcome outcome = Outcome.of(200, new byte[] {1, 2});
            admitted(host(tier.encryptionKey(key(1))).begin(request)).complete(outcome);
            assertEquals(outcome, replayed(host(tier.encryptionKey(key(1))).begin(request)));
            assertEquals(outcome, replayed(
                    host(tier.encryptionKey(key(2)).retiringKey(key(1))).begin(request)));
            assertInstanceOf(Admission.OutcomeGone.class,
                    host(tier.encryptionKey(key(2))).begin(request));
            admitted(host(server).begin(request));
        }
    }

    /**
     * Goal: dead letters of all hosts are in one stream, if that is asked for, and counted.
     * Method: a request that fails for good on each of two hosts, and before that on one without
     * the option.
     */
    @Test
    void deadLettersAreInOneStream() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            TierOptions tier = TierOptions.redis(server.url());
            List<TierOptions> options =
                    List.of(tier, tier.deadLetters(10), tier.deadLetters(10));
            for (int at = 0; at < options.size(); at++) {
                Engine engine = host(options.get(at));
                assertEquals(new Later.Ended(Buried.FINAL_ERROR),
                        admitted(engine.begin(fresh())).retryLater(
                                AttemptError.transientError("404").terminal(), "charge",
                                new byte[0]));
                engine.flushTier(Duration.ofSeconds(60));
                assertEquals(":" + at, server.ask("XLEN oncegate:{dd}letters"));
                TierStats told = engine.tierStats();
                assertEquals(List.of(Math.min(at, 1L), 0L, 0L), List.of(told.lettersLogged(),
                        told.lettersWaiting(), told.lettersLost()));
            }
        }
    }

    /**
     * Goal: options that cannot be are refused by their names.
     * Method: each of them wrong; no server is needed.
     */
    @Test
    void optionsAreRefusedByField() {
        TierOptions tier = TierOptions.redis("redis://127.0.0.1:1");
        Duration tooLong = Duration.ofSeconds(61);
        List<String> sentinel = List.of("redis://127.0.0.1:1");
        Map<String, TierOptions> more = Map.of(
                "tier.dead_letters", tier.deadLetters(0),
                "tier.outcome_limit", tier.outcomeLimit((16 << 20) + 1),
                "tier.sentinel_name", tier.sentinels("", sentinel),
                "tier.sentinels", tier.sentinels("main", List.of()));
        Map<String, TierOptions> wrong = new TreeMap<>(Map.of(
                "tier.url", TierOptions.redis("http://127.0.0.1"),
                "tier.prefix", tier.prefix("{a}"),
                "tier.deadline", tier.deadline(tooLong),
                "tier.encryption_key", tier.encryptionKey(new byte[31]),
                "tier.retiring_key", tier.retiringKey(new byte[33]),
                "tier.tls_key", TierOptions.redis("rediss://127.0.0.1:1")
                        .tlsClient(new byte[] {1}, new byte[0])));
        wrong.putAll(more);
        wrong.forEach((field, options) -> assertEquals(field,
                assertThrows(InvalidInputException.class, () -> open(options)).field()));
        // A key of no bytes must not have outcomes be stored in clear.
        byte[] empty = new byte[0];
        refused(Status.BAD_SIZE, "tier.encryption_key", () -> open(tier.encryptionKey(empty)));
        refused(Status.BAD_SIZE, "tier.retiring_key", () -> open(tier.retiringKey(empty)));
        Duration negative = Duration.ofMillis(-1);
        refused(Status.BAD_VALUE, "tier.margin", () -> tier.margin(negative));
        refused(Status.BAD_VALUE, "tier.lease_slice", () -> tier.leaseSlice(negative));
        refused(Status.BAD_VALUE, "tier.undelivered", () -> tier.undelivered(-1));
        refused(Status.INVALID_CONFIG, "secret", () -> Engine.open(
                EngineOptions.builder().redis("redis://127.0.0.1:1").build()));
    }

    /**
     * Goal: neither options nor errors show a password.
     * Method: what prints options; an URL that is refused; a server that refuses the password, and
     * one that is not there.
     */
    @Test
    void nothingShowsThePassword() throws Exception {
        try (RedisServer server = RedisServer.start("--requirepass", "another")) {
            List<String> said = new ArrayList<>();
            for (String url : List.of("redis://app:hunter2@[bad",
                    "redis://:hunter2@" + server.address(), "redis://:hunter2@127.0.0.1:1")) {
                TierOptions options = TierOptions.redis(url).prefix("shop:");
                said.add(options.toString());
                OncegateException thrown = assertThrows(OncegateException.class,
                        () -> host(options).begin(fresh()));
                said.add(thrown + thrown.field() + thrown.getMessage());
            }
            assertEquals("TierOptions[prefix shop:]", said.get(0));
            said.forEach(text -> assertFalse(text.contains("hunter2"), text));
        }
    }

    /**
     * Goal: an engine without a tier says that it has none, and has nothing to tell anybody.
     * Method: what is for tiers on one.
     */
    @Test
    void anEngineWithoutATier() {
        try (Engine engine = Given.engine()) {
            assertFalse(engine.hasTier());
            assertThrows(NotFoundException.class, engine::tierStats);
            engine.flushTier(Duration.ZERO);
            assertFalse(admitted(engine.begin(fresh())).isLocalOnly());
        }
    }

    /**
     * Goal: options reach an engine as they were when they were given.
     * Method: keys that are changed afterwards; a copy with another prefix.
     */
    @Test
    void optionsAreCopies() throws Exception {
        try (RedisServer server = RedisServer.start()) {
            byte[] key = key(1);
            TierOptions first = TierOptions.redis(server.url()).prefix("a:").encryptionKey(key);
            TierOptions second = first.prefix("b:");
            key[0] = 9;
            Request request = fresh();
            Outcome outcome = Outcome.of(200, new byte[] {1, 2});
            admitted(host(first).begin(request)).complete(outcome);
            admitted(host(second).begin(request));
            TierOptions same = TierOptions.redis(server.url()).prefix("a:").encryptionKey(key(1));
            assertArrayEquals(outcome.body(), replayed(host(same).begin(request)).body());
        }
    }
}
