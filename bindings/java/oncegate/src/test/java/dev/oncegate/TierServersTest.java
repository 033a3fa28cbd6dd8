package dev.oncegate;

import static dev.oncegate.Given.admitted;
import static dev.oncegate.Given.fresh;
import static dev.oncegate.Given.refused;
import static dev.oncegate.Given.replayed;
import static dev.oncegate.RedisServer.eventually;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Servers that are talked to by TLS, and that are nodes of a Cluster. */
class TierServersTest {
    private static final long SOON = 60;

    @TempDir
    private Path folder;

    private final List<Engine> hosts = new ArrayList<>();

    @AfterEach
    void close() {
        hosts.forEach(Engine::close);
    }

    private static Engine open(TierOptions tier) {
        byte[] secret = new byte[32];
        Arrays.fill(secret, (byte) 7);
        return Engine.open(
                EngineOptions.builder().capacity(1_000).secret(secret).tier(tier).build());
    }

    private Engine host(TierOptions tier) {
        Engine host = open(tier);
        hosts.add(host);
        return host;
    }

    /** A certificate with its key, both in PEM. */
    private record Identity(Path certificate, Path key) {
        byte[] shown() throws Exception {
            return Files.readAllBytes(certificate);
        }

        byte[] secret() throws Exception {
            return Files.readAllBytes(key);
        }
    }

    /** Makes a certificate that {@code issuer} signs, or an authority where there is none. */
    private Identity identity(String name, Identity issuer) throws Exception {
        Identity made = new Identity(folder.resolve(name + ".crt"), folder.resolve(name + ".key"));
        List<String> command = new ArrayList<>(List.of("openssl", "req", "-x509", "-newkey", "ec",
                "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-keyout", made.key().toString(), "-out", made.certificate().toString()));
        if (issuer == null) {
            // All authorities have one name: what tells them from each other is their key.
            command.addAll(List.of("-subj", "/CN=root", "-addext", "keyUsage=keyCertSign"));
        } else {
            command.addAll(List.of("-subj", "/CN=" + name, "-CA", issuer.certificate().toString(),
                    "-CAkey", issuer.key().toString(), "-addext", "subjectAltName=IP:127.0.0.1",
                    "-addext", "basicConstraints=critical,CA:FALSE"));
        }
        Path said = folder.resolve("openssl");
        Process openssl = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectOutput(said.toFile()).start();
        assertTrue(openssl.waitFor(SOON, TimeUnit.SECONDS));
        assertEquals(0, openssl.exitValue(), () -> {
            try {
                return Files.readString(said, StandardCharsets.UTF_8);
            } catch (java.io.IOException gone) {
                return gone.toString();
            }
        });
        return made;
    }

    private static void away(Engine engine, Request request) {
        refused(Status.TIER_UNAVAILABLE, "tier", () -> engine.begin(request));
    }

    /**
     * Goal: a server is talked to by TLS when it shows a certificate of the authority that is
     * given, and is shown the certificate that is given; with any other it is not.
     * Method: a server that demands certificates; an authority, and another one of the same name.
     */
    @Test
    void serversAndHostsShowCertificates() throws Exception {
        Identity root = identity("root", null);
        Identity stranger = identity("stranger", null);
        Identity itself = identity("server", root);
        Identity shown = identity("host", root);
        Identity unknown = identity("unknown", stranger);
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        try (RedisServer server = RedisServer.start("--tls-port", "" + port,
                "--tls-auth-clients", "yes", "--tls-ca-cert-file", root.certificate().toString(),
                "--tls-cert-file", itself.certificate().toString(),
                "--tls-key-file", itself.key().toString())) {
            assertEquals("+PONG", server.ask("PING"));
            TierOptions tier = TierOptions.redis("rediss://127.0.0.1:" + port);
            TierOptions known = tier.tlsClient(shown.shown(), shown.secret());
            Request request = fresh();
            Outcome outcome = Outcome.of(200, new byte[] {1, 2});
            admitted(host(known.tlsRoot(root.shown())).begin(request)).complete(outcome);
            assertEquals(outcome,
                    replayed(host(known.tlsRoot(root.shown())).begin(request)));
            away(host(known), request);
            away(host(known.tlsRoot(stranger.shown())), request);
            away(host(tier.tlsRoot(root.shown())), request);
            away(host(tier.tlsRoot(root.shown())
                    .tlsClient(unknown.shown(), unknown.secret())), request);
        }
    }

    /**
     * Goal: certificates and keys that are none are refused by name.
     * Method: texts that are no PEM in each place; no server is needed.
     */
    @Test
    void certificatesAreRefusedByField() throws Exception {
        Identity itself = identity("host", null);
        byte[] none = "none".getBytes(StandardCharsets.UTF_8);
        byte[] nothing = new byte[0];
        TierOptions tier = TierOptions.redis("rediss://127.0.0.1:1");
        refused(Status.INVALID_CONFIG, "tier.tls_root", () -> open(tier.tlsRoot(none)));
        byte[] certificate = itself.shown();
        byte[] key = itself.secret();
        refused(Status.INVALID_CONFIG, "tier.tls_certificate", () -> open(tier.tlsClient(none, key)));
        refused(Status.INVALID_CONFIG, "tier.tls_certificate",
                () -> open(tier.tlsClient(certificate, none)));
        refused(Status.INVALID_CONFIG, "tier.tls_key",
                () -> open(tier.tlsClient(certificate, nothing)));
        refused(Status.INVALID_CONFIG, "tier.tls_certificate",
                () -> open(tier.tlsClient(nothing, key)));
    }

    /**
     * Goal: a Cluster is used as one, and what is none is not taken for one.
     * Method: a Cluster of one node, and a server that is in none.
     */
    @Test
    void aClusterIsUsedAsOne() throws Exception {
        try (RedisServer server = RedisServer.start(
                "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1");
                RedisServer alone = RedisServer.start()) {
            assertEquals("+OK", server.ask("CLUSTER ADDSLOTSRANGE 0 16383"));
            // A node takes a moment to see that all slots are served.
            eventually("the Cluster is there", () -> server.ask("GET k").equals("$-1"));
            Request request = fresh();
            Outcome outcome = Outcome.of(200, new byte[] {1, 2});
            TierOptions tier = TierOptions.redis(server.url()).cluster(true);
            admitted(host(tier).begin(request)).complete(outcome);
            assertEquals(outcome, replayed(host(tier).begin(request)));
            away(host(TierOptions.redis(alone.url()).cluster(true)), request);
        }
    }
}
