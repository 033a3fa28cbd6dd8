import dev.oncegate.Admission;
import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.How;
import dev.oncegate.Lease;
import dev.oncegate.Outcome;
import dev.oncegate.Request;
import dev.oncegate.Scope;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Optional;

/** A program in Java that takes part in a round: see README.md of the folder above. */
final class Peer {
    private static final Scope SCOPE = Scope.named("acme");
    private static final BeginOptions WAIT =
            BeginOptions.defaults().waitUpTo(Duration.ofSeconds(10));

    /** A record of the ledger: the highest token, and how often the effect has happened. */
    private static final int RECORD = 16;

    private final Engine engine;
    private final FileChannel ledger;
    private final String name;
    private final int[] order;
    private final String[] bodies;
    private int next;

    private long created;
    private long expired;
    private long retried;
    private long replayed;

    private Peer(Engine engine, FileChannel ledger, String name, long seed, int keys) {
        this.engine = engine;
        this.ledger = ledger;
        this.name = name;
        order = shuffled(keys, seed);
        bodies = new String[keys];
    }

    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 5) {
            throw new IllegalArgumentException("TABLE LEDGER NAME SEED KEYS");
        }
        byte[] secret = new byte[32];
        for (int at = 0; at < secret.length; at++) {
            secret[at] = (byte) (at + 1);
        }
        EngineOptions options = EngineOptions.builder()
                .file(Path.of(arguments[0]))
                .capacity(20_000)
                .secret(secret)
                .build();
        try (Engine engine = Engine.open(options);
                FileChannel ledger = FileChannel.open(Path.of(arguments[1]),
                        StandardOpenOption.READ, StandardOpenOption.WRITE);
                BufferedReader lines = new BufferedReader(new InputStreamReader(System.in))) {
            Peer peer = new Peer(engine, ledger, arguments[2],
                    Long.parseUnsignedLong(arguments[3]), Integer.parseInt(arguments[4]));
            say("ready");
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                say(peer.obey(line.split(" ")));
            }
        }
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private String obey(String[] words) throws IOException {
        return switch (words[0]) {
            case "try" -> trySome(Integer.parseInt(words[1]));
            case "hold" -> hold(Integer.parseInt(words[1]));
            case "digest" -> digest();
            default -> throw new IllegalArgumentException("there is no " + words[0]);
        };
    }

    private String trySome(int count) throws IOException {
        for (int i = 0; i < count; i++) {
            int key = order[next++];
            Optional<Lease> lease = begin(key);
            if (lease.isPresent()) {
                complete(key, lease.get());
            }
        }
        return "tried" + counts();
    }

    private String hold(int count) throws IOException {
        StringBuilder held = new StringBuilder();
        for (int have = 0; have < count;) {
            int key = order[next++];
            Optional<Lease> lease = begin(key);
            if (lease.isEmpty()) {
                continue;
            }
            if (lease.get().how() != How.CREATED) {
                complete(key, lease.get());
                continue;
            }
            if (have % 2 == 0) {
                happen(key, lease.get().fencingToken());
            }
            // It is not ended when the garbage collector finds it.
            lease.get().detach();
            have++;
            held.append(' ').append(key);
        }
        return "holds" + counts() + held;
    }

    /** A lease; none where the outcome was replayed. */
    private Optional<Lease> begin(int key) {
        Request request = Request.of(SCOPE, "POST /charges", "key-" + key);
        while (true) {
            Admission answer = engine.begin(request, WAIT);
            if (answer instanceof Admission.Admitted admitted) {
                switch (admitted.lease().how()) {
                    case CREATED -> created++;
                    case EXPIRED -> expired++;
                    case RETRIED -> retried++;
                }
                return Optional.of(admitted.lease());
            }
            if (answer instanceof Admission.Replayed replay) {
                replayed++;
                bodies[key] = replay.outcome().bodyText();
                return Optional.empty();
            }
            if (!(answer instanceof Admission.InProgress)) {
                throw new IllegalStateException("key " + key + ": " + answer);
            }
        }
    }

    private void complete(int key, Lease lease) throws IOException {
        happen(key, lease.fencingToken());
        bodies[key] = name + ":" + lease.attempt();
        lease.complete(Outcome.of(200, bodies[key]));
    }

    /** Has the effect of a key happen, unless it has. */
    private void happen(int key, long fence) throws IOException {
        long at = (long) key * RECORD;
        // On Linux this is a lock of fcntl.
        try (FileLock lock = ledger.lock(at, RECORD, false)) {
            ByteBuffer record = ByteBuffer.allocate(RECORD).order(ByteOrder.LITTLE_ENDIAN);
            if (ledger.read(record, at) != RECORD) {
                throw new IOException("the ledger is too short");
            }
            if (Long.compareUnsigned(fence, record.getLong(0)) < 0) {
                throw new IllegalStateException("token " + fence + " is below "
                        + record.getLong(0) + ", under " + lock);
            }
            record.putLong(0, fence);
            if (record.getLong(8) == 0) {
                record.putLong(8, 1);
            }
            ledger.write(record.flip(), at);
        }
    }

    private String counts() {
        return " " + created + " " + expired + " " + retried + " " + replayed;
    }

    private String digest() {
        long digest = 0xcbf29ce484222325L;
        for (String body : bodies) {
            for (byte one : (body + "\n").getBytes(StandardCharsets.UTF_8)) {
                digest = (digest ^ (one & 0xff)) * 0x100000001b3L;
            }
        }
        return "digest %016x".formatted(digest);
    }

    /** Fisher and Yates, by SplitMix64. */
    private static int[] shuffled(int keys, long seed) {
        int[] order = new int[keys];
        for (int at = 0; at < keys; at++) {
            order[at] = at;
        }
        for (int at = keys - 1; at > 0; at--) {
            seed += 0x9e3779b97f4a7c15L;
            long z = seed;
            z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
            z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
            int other = (int) Long.remainderUnsigned(z ^ z >>> 31, at + 1);
            int kept = order[at];
            order[at] = order[other];
            order[other] = kept;
        }
        return order;
    }
}
