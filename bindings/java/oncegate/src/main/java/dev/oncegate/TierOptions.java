package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Objects;

/**
 * A server of Redis or Valkey by which engines of several hosts share their records, and how it is
 * used. All hosts have the same {@link EngineOptions.Builder#secret}.
 *
 * <p>Immutable; each method gives a changed copy. What is out of its range is refused by
 * {@link Engine#open}, with the name of the field.
 */
public final class TierOptions implements Cloneable {
    private static final byte[] NOTHING = {};

    /** Null: none. One of no bytes is refused, and must not become none. */
    private byte[] encryptionKey;

    private byte[] retiringKey;
    private byte[] url = NOTHING;
    private byte[] prefix = NOTHING;
    private byte[] tlsRoot = NOTHING;
    private byte[] tlsCertificate = NOTHING;
    private byte[] tlsKey = NOTHING;
    private byte[] sentinelName = NOTHING;
    private byte[] sentinels = NOTHING;
    private long deadlineMs;
    private long latencyObjectiveMs;
    private long leaseSliceMs;
    private long marginMs;
    private long pollEveryMs;
    private long quarantineMs;
    private long undelivered;
    private int onOutage;
    private int allowEviction;
    private int cluster;
    private long waitReplicas;
    private long waitReplicasMs;
    private long outcomeLimit;
    private long compressFrom;
    private long deadLetters;

    private TierOptions() {}

    /**
     * A server, which is connected to with the first request. Nothing shows the URL.
     *
     * @param url {@code redis://user:password@host:port/database}, {@code rediss://…} for TLS, or
     *     {@code unix:///path/of/a/socket}
     * @return the options, all others as by default
     */
    public static TierOptions redis(String url) {
        TierOptions options = new TierOptions();
        options.url = url.getBytes(StandardCharsets.UTF_8);
        return options;
    }

    private TierOptions copy() {
        try {
            return (TierOptions) clone();
        } catch (CloneNotSupportedException impossible) {
            throw new AssertionError(impossible);
        }
    }

    /**
     * What the names of all keys begin with.
     *
     * @param prefix at most 64 bytes; default {@code oncegate:}
     * @return a changed copy
     */
    public TierOptions prefix(String prefix) {
        TierOptions copy = copy();
        copy.prefix = prefix.getBytes(StandardCharsets.UTF_8);
        return copy;
    }

    /**
     * Has outcomes be stored encrypted.
     *
     * @param key 32 bytes, and any other number is refused; default: they are stored as they are
     * @return a changed copy
     */
    public TierOptions encryptionKey(byte[] key) {
        TierOptions copy = copy();
        copy.encryptionKey = key.clone();
        return copy;
    }

    /**
     * A key that outcomes are still read with, and no longer written.
     *
     * @param key 32 bytes
     * @return a changed copy
     */
    public TierOptions retiringKey(byte[] key) {
        TierOptions copy = copy();
        copy.retiringKey = key.clone();
        return copy;
    }

    /**
     * How long a call of the server may take.
     *
     * @param deadline 1 ms to a minute; default 500 ms
     * @return a changed copy
     */
    public TierOptions deadline(Duration deadline) {
        TierOptions copy = copy();
        copy.deadlineMs = Millis.orZero("tier.deadline", deadline);
        return copy;
    }

    /**
     * A call that takes longer counts as failed for the breaker.
     *
     * @param objective default: none does
     * @return a changed copy
     */
    public TierOptions latencyObjective(Duration objective) {
        TierOptions copy = copy();
        copy.latencyObjectiveMs = Millis.orZero("tier.latency_objective", objective);
        return copy;
    }

    /**
     * Claims leases for at most this long, and has the engine renew them.
     *
     * @param slice default: for all of a lease at once
     * @return a changed copy
     */
    public TierOptions leaseSlice(Duration slice) {
        TierOptions copy = copy();
        copy.leaseSliceMs = Millis.orZero("tier.lease_slice", slice);
        return copy;
    }

    /**
     * How much sooner than at the server a lease ends here.
     *
     * @param margin default: a fiftieth of it, and 10 ms
     * @return a changed copy
     */
    public TierOptions margin(Duration margin) {
        TierOptions copy = copy();
        copy.marginMs = Millis.orZero("tier.margin", margin);
        return copy;
    }

    /**
     * How often who waits looks without a notice.
     *
     * @param period default 250 ms
     * @return a changed copy
     */
    public TierOptions pollEvery(Duration period) {
        TierOptions copy = copy();
        copy.pollEveryMs = Millis.orZero("tier.poll_every", period);
        return copy;
    }

    /**
     * How long nothing new runs after the server may have forgotten records.
     *
     * @param quarantine default: the longest lease
     * @return a changed copy
     */
    public TierOptions quarantine(Duration quarantine) {
        TierOptions copy = copy();
        copy.quarantineMs = Millis.orZero("tier.quarantine", quarantine);
        return copy;
    }

    /**
     * How many ends of attempts are kept while the server cannot be reached.
     *
     * @param ends default 65,536
     * @return a changed copy
     */
    public TierOptions undelivered(long ends) {
        TierOptions copy = copy();
        copy.undelivered = Millis.count("tier.undelivered", ends);
        return copy;
    }

    /**
     * What is done with new requests while the server gives no answer.
     *
     * @param onOutage default: they are refused
     * @return a changed copy
     */
    public TierOptions onOutage(OnOutage onOutage) {
        TierOptions copy = copy();
        copy.onOutage = Objects.requireNonNull(onOutage, "onOutage").ordinal();
        return copy;
    }

    /**
     * Whether a server is used that may evict records. A request whose record it evicted runs
     * again.
     *
     * @param allow default: it is refused
     * @return a changed copy
     */
    public TierOptions allowEviction(boolean allow) {
        TierOptions copy = copy();
        copy.allowEviction = allow ? 1 : 0;
        return copy;
    }

    /**
     * Whether the server is a node of a Cluster, whose others it names.
     *
     * @param cluster default: it is not
     * @return a changed copy
     */
    public TierOptions cluster(boolean cluster) {
        TierOptions copy = copy();
        copy.cluster = cluster ? 1 : 0;
        return copy;
    }

    /**
     * The authority that the server's certificate is checked with.
     *
     * @param certificate in PEM; default: those that the system trusts
     * @return a changed copy
     */
    public TierOptions tlsRoot(byte[] certificate) {
        TierOptions copy = copy();
        copy.tlsRoot = certificate.clone();
        return copy;
    }

    /**
     * What shows the server who connects.
     *
     * @param certificate in PEM
     * @param key in PEM
     * @return a changed copy
     */
    public TierOptions tlsClient(byte[] certificate, byte[] key) {
        TierOptions copy = copy();
        copy.tlsCertificate = certificate.clone();
        copy.tlsKey = key.clone();
        return copy;
    }

    /**
     * Has the primary be found by its Sentinels. The user, the password and whether TLS is spoken
     * with it are those of {@link #redis}, whose address is not used then.
     *
     * @param name what they call the primary
     * @param urls their URLs
     * @return a changed copy
     */
    public TierOptions sentinels(String name, List<String> urls) {
        TierOptions copy = copy();
        copy.sentinelName = name.getBytes(StandardCharsets.UTF_8);
        copy.sentinels = String.join(",", urls).getBytes(StandardCharsets.UTF_8);
        return copy;
    }

    /**
     * Has each grant and each end wait until replicas have it. It narrows what a fail-over may
     * lose, and does not close it.
     *
     * @param replicas how many; default: none
     * @param limit how long they are waited for
     * @return a changed copy
     */
    public TierOptions waitReplicas(long replicas, Duration limit) {
        TierOptions copy = copy();
        copy.waitReplicas = Millis.count("tier.wait_replicas", replicas);
        copy.waitReplicasMs = Millis.orZero("tier.wait_replicas_ms", limit);
        return copy;
    }

    /**
     * How large an outcome may be as it is stored. On other hosts the bytes of a larger one are
     * gone.
     *
     * @param bytes at most 16 MiB; default 64 KiB
     * @return a changed copy
     */
    public TierOptions outcomeLimit(long bytes) {
        TierOptions copy = copy();
        copy.outcomeLimit = Millis.count("tier.outcome_limit", bytes);
        return copy;
    }

    /**
     * Has outcomes be compressed.
     *
     * @param bytes those of so many and more; default: none is
     * @return a changed copy
     */
    public TierOptions compressFrom(long bytes) {
        TierOptions copy = copy();
        copy.compressFrom = Millis.count("tier.compress_from", bytes);
        return copy;
    }

    /**
     * Has a stream of the server show the dead letters of all hosts.
     *
     * @param entries how many, 1 to 1,000,000, the same on each host; default: there is none
     * @return a changed copy
     */
    public TierOptions deadLetters(long entries) {
        TierOptions copy = copy();
        copy.deadLetters = Millis.count("tier.dead_letters", entries);
        return copy;
    }

    /** Roughly how many bytes of a frame they take. */
    int frameBytes() {
        return RetryLayout.TierOptions.SIZE + url.length + prefix.length + size(encryptionKey)
                + size(retiringKey) + tlsRoot.length + tlsCertificate.length + tlsKey.length
                + sentinelName.length + sentinels.length + 8 * 9;
    }

    /** Writes {@code oncegate_tier_options}; gives its address. */
    long write(Frame frame) {
        int at = frame.zeros(RetryLayout.TierOptions.SIZE);
        var memory = frame.memory;
        memory.putLong(at + RetryLayout.TierOptions.STRUCT_SIZE, RetryLayout.TierOptions.SIZE);
        frame.bytes(at + RetryLayout.TierOptions.URL, url);
        frame.bytes(at + RetryLayout.TierOptions.PREFIX, prefix);
        frame.bytes(at + RetryLayout.TierOptions.ENCRYPTION_KEY,
                checked("tier.encryption_key", encryptionKey));
        frame.bytes(at + RetryLayout.TierOptions.RETIRING_KEY,
                checked("tier.retiring_key", retiringKey));
        memory.putLong(at + RetryLayout.TierOptions.DEADLINE_MS, deadlineMs);
        memory.putLong(at + RetryLayout.TierOptions.LATENCY_OBJECTIVE_MS, latencyObjectiveMs);
        memory.putLong(at + RetryLayout.TierOptions.LEASE_SLICE_MS, leaseSliceMs);
        memory.putLong(at + RetryLayout.TierOptions.MARGIN_MS, marginMs);
        memory.putLong(at + RetryLayout.TierOptions.POLL_EVERY_MS, pollEveryMs);
        memory.putLong(at + RetryLayout.TierOptions.QUARANTINE_MS, quarantineMs);
        memory.putLong(at + RetryLayout.TierOptions.UNDELIVERED, undelivered);
        memory.putInt(at + RetryLayout.TierOptions.ON_OUTAGE, onOutage);
        memory.putInt(at + RetryLayout.TierOptions.ALLOW_EVICTION, allowEviction);
        frame.bytes(at + RetryLayout.TierOptions.TLS_ROOT, tlsRoot);
        frame.bytes(at + RetryLayout.TierOptions.TLS_CERTIFICATE, tlsCertificate);
        frame.bytes(at + RetryLayout.TierOptions.TLS_KEY, tlsKey);
        memory.putInt(at + RetryLayout.TierOptions.CLUSTER, cluster);
        memory.putLong(at + RetryLayout.TierOptions.DEAD_LETTERS, deadLetters);
        memory.putLong(at + RetryLayout.TierOptions.WAIT_REPLICAS, waitReplicas);
        memory.putLong(at + RetryLayout.TierOptions.WAIT_REPLICAS_MS, waitReplicasMs);
        memory.putLong(at + RetryLayout.TierOptions.OUTCOME_LIMIT, outcomeLimit);
        memory.putLong(at + RetryLayout.TierOptions.COMPRESS_FROM, compressFrom);
        frame.bytes(at + RetryLayout.TierOptions.SENTINEL_NAME, sentinelName);
        frame.bytes(at + RetryLayout.TierOptions.SENTINELS, sentinels);
        return frame.pointer(at);
    }

    private static int size(byte[] key) {
        return key == null ? 0 : key.length;
    }

    /** In a frame no bytes are the same as none: outcomes would be stored as they are. */
    private static byte[] checked(String field, byte[] key) {
        if (key != null && key.length == 0) {
            throw Refusal.of(Status.BAD_SIZE, field, "found 0 bytes; limit: 32").exception();
        }
        return key;
    }

    /** Names the prefix: the URL may hold a password. */
    @Override
    public String toString() {
        String told = prefix.length == 0 ? "oncegate:" : new String(prefix, StandardCharsets.UTF_8);
        return "TierOptions[prefix " + told + "]";
    }
}
