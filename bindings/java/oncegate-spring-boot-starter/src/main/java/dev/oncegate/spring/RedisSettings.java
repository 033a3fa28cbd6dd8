package dev.oncegate.spring;

import dev.oncegate.OnOutage;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.springframework.util.unit.DataSize;

/** What is set under {@code oncegate.redis}. Where nothing is the records are this host's own. */
public class RedisSettings {
    /** The server by which hosts share their records: redis://user:password@host:port/database. */
    private String url;

    /** What the names of all keys begin with. */
    private String prefix;

    /** A file with 32 bytes that outcomes are stored encrypted with. */
    private Path encryptionKeyFile;

    /** A file with 32 bytes that outcomes are still read with. */
    private Path retiringKeyFile;

    /** How long a call of the server may take. */
    private Duration deadline;

    /** A call that takes longer counts as failed for the breaker. */
    private Duration latencyObjective;

    /** Leases are claimed for at most this long, and renewed by the engine. */
    private Duration leaseSlice;

    /** How much sooner than at the server a lease ends here. */
    private Duration margin;

    /** How often who waits looks without a notice. */
    private Duration pollEvery;

    /** How long nothing new runs after the server may have forgotten records. */
    private Duration quarantine;

    /** How many ends of attempts are kept while the server cannot be reached. */
    private Long undelivered;

    /** What is done with new requests meanwhile. Default: they get 503. */
    private OnOutage onOutage;

    /** Whether a server is used that may evict records. */
    private boolean allowEviction;

    /** Whether the server is a node of a Cluster. */
    private boolean cluster;

    /** The authority that the server's certificate is checked with, in PEM. */
    private Path tlsRoot;

    /** The certificate that shows the server who connects, in PEM. */
    private Path tlsCertificate;

    /** The key of that certificate, in PEM. */
    private Path tlsKey;

    /** What Sentinels call the primary, with their URLs. */
    private String sentinelName;

    /** The URLs of the Sentinels. */
    private List<String> sentinels = List.of();

    /** How many replicas must have a grant or an end. */
    private long waitReplicas;

    /** How long they are waited for, 50 ms by default. */
    private Duration waitReplicasFor;

    /** How large an outcome may be as it is stored. */
    private DataSize outcomeLimit;

    /** Outcomes of this size and more are compressed. */
    private DataSize compressFrom;

    /** How many dead letters of all hosts a stream of the server shows, the same on each host. */
    private Long deadLetters;

    public String getUrl() {
        return url;
    }

    public void setUrl(String url) {
        this.url = url;
    }

    public String getPrefix() {
        return prefix;
    }

    public void setPrefix(String prefix) {
        this.prefix = prefix;
    }

    public Path getEncryptionKeyFile() {
        return encryptionKeyFile;
    }

    public void setEncryptionKeyFile(Path encryptionKeyFile) {
        this.encryptionKeyFile = encryptionKeyFile;
    }

    public Path getRetiringKeyFile() {
        return retiringKeyFile;
    }

    public void setRetiringKeyFile(Path retiringKeyFile) {
        this.retiringKeyFile = retiringKeyFile;
    }

    public Duration getDeadline() {
        return deadline;
    }

    public void setDeadline(Duration deadline) {
        this.deadline = deadline;
    }

    public Duration getLatencyObjective() {
        return latencyObjective;
    }

    public void setLatencyObjective(Duration latencyObjective) {
        this.latencyObjective = latencyObjective;
    }

    public Duration getLeaseSlice() {
        return leaseSlice;
    }

    public void setLeaseSlice(Duration leaseSlice) {
        this.leaseSlice = leaseSlice;
    }

    public Duration getMargin() {
        return margin;
    }

    public void setMargin(Duration margin) {
        this.margin = margin;
    }

    public Duration getPollEvery() {
        return pollEvery;
    }

    public void setPollEvery(Duration pollEvery) {
        this.pollEvery = pollEvery;
    }

    public Duration getQuarantine() {
        return quarantine;
    }

    public void setQuarantine(Duration quarantine) {
        this.quarantine = quarantine;
    }

    public Long getUndelivered() {
        return undelivered;
    }

    public void setUndelivered(Long undelivered) {
        this.undelivered = undelivered;
    }

    public OnOutage getOnOutage() {
        return onOutage;
    }

    public void setOnOutage(OnOutage onOutage) {
        this.onOutage = onOutage;
    }

    public boolean isAllowEviction() {
        return allowEviction;
    }

    public void setAllowEviction(boolean allowEviction) {
        this.allowEviction = allowEviction;
    }

    public boolean isCluster() {
        return cluster;
    }

    public void setCluster(boolean cluster) {
        this.cluster = cluster;
    }

    public Path getTlsRoot() {
        return tlsRoot;
    }

    public void setTlsRoot(Path tlsRoot) {
        this.tlsRoot = tlsRoot;
    }

    public Path getTlsCertificate() {
        return tlsCertificate;
    }

    public void setTlsCertificate(Path tlsCertificate) {
        this.tlsCertificate = tlsCertificate;
    }

    public Path getTlsKey() {
        return tlsKey;
    }

    public void setTlsKey(Path tlsKey) {
        this.tlsKey = tlsKey;
    }

    public String getSentinelName() {
        return sentinelName;
    }

    public void setSentinelName(String sentinelName) {
        this.sentinelName = sentinelName;
    }

    public List<String> getSentinels() {
        return sentinels;
    }

    public void setSentinels(List<String> sentinels) {
        this.sentinels = sentinels;
    }

    public long getWaitReplicas() {
        return waitReplicas;
    }

    public void setWaitReplicas(long waitReplicas) {
        this.waitReplicas = waitReplicas;
    }

    public Duration getWaitReplicasFor() {
        return waitReplicasFor;
    }

    public void setWaitReplicasFor(Duration waitReplicasFor) {
        this.waitReplicasFor = waitReplicasFor;
    }

    public DataSize getOutcomeLimit() {
        return outcomeLimit;
    }

    public void setOutcomeLimit(DataSize outcomeLimit) {
        this.outcomeLimit = outcomeLimit;
    }

    public DataSize getCompressFrom() {
        return compressFrom;
    }

    public void setCompressFrom(DataSize compressFrom) {
        this.compressFrom = compressFrom;
    }

    public Long getDeadLetters() {
        return deadLetters;
    }

    public void setDeadLetters(Long deadLetters) {
        this.deadLetters = deadLetters;
    }
}
