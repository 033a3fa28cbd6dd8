package dev.oncegate.spring;

import dev.oncegate.Judgement;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What is set under {@code oncegate.http}. */
public class HttpSettings {
    /** Paths that the filter protects, as patterns. Without any there is no filter. */
    private List<String> paths = new ArrayList<>();

    /** Methods that the filter protects. Default: all that are not safe. */
    private List<String> methods = new ArrayList<>();

    /** The place of the filter. It belongs inside of what authenticates. */
    private int order = 0;

    /** The header that holds the key. */
    private String keyHeader = "Idempotency-Key";

    /** Whether requests without a key run unprotected. Default: they get 400. */
    private boolean keyOptional;

    /** Whether PUT and DELETE without a key are identified by their payload. */
    private boolean dedupByPayload;

    /** The largest request with a key, in bytes. */
    private int payloadLimit = 1 << 20;

    /** The longest response that is held back to be kept, in bytes. */
    private int responseLimit = 1_000_000;

    /** Headers that replays repeat, besides those that describe a result. */
    private List<String> keepHeaders = new ArrayList<>();

    /** The header that marks a replay. */
    private String replayHeader = "Idempotent-Replayed";

    /** How long an attempt may run before its lease lapses. */
    private Duration lease;

    /** How long a finished record answers duplicates. */
    private Duration dedupWindow;

    /** How long a duplicate waits, and holds its thread. Default: not at all. */
    private Duration wait = Duration.ZERO;

    /** The longest Retry-After of a conflict with a running attempt. */
    private Duration pollAfter = Duration.ofSeconds(1);

    /** Where problems are documented: their type is this and their code. */
    private String problemTypes = "";

    /** Which responses are final. */
    private Preset policy = Preset.IETF;

    /** Statuses that are judged otherwise. */
    private Map<Integer, Judgement> statuses = new TreeMap<>();

    /** What an exception means: retryable or unknown. */
    private Judgement onException = Judgement.RETRYABLE;

    public List<String> getPaths() {
        return paths;
    }

    public void setPaths(List<String> paths) {
        this.paths = paths;
    }

    public List<String> getMethods() {
        return methods;
    }

    public void setMethods(List<String> methods) {
        this.methods = methods;
    }

    public int getOrder() {
        return order;
    }

    public void setOrder(int order) {
        this.order = order;
    }

    public String getKeyHeader() {
        return keyHeader;
    }

    public void setKeyHeader(String keyHeader) {
        this.keyHeader = keyHeader;
    }

    public boolean isKeyOptional() {
        return keyOptional;
    }

    public void setKeyOptional(boolean keyOptional) {
        this.keyOptional = keyOptional;
    }

    public boolean isDedupByPayload() {
        return dedupByPayload;
    }

    public void setDedupByPayload(boolean dedupByPayload) {
        this.dedupByPayload = dedupByPayload;
    }

    public int getPayloadLimit() {
        return payloadLimit;
    }

    public void setPayloadLimit(int payloadLimit) {
        this.payloadLimit = payloadLimit;
    }

    public int getResponseLimit() {
        return responseLimit;
    }

    public void setResponseLimit(int responseLimit) {
        this.responseLimit = responseLimit;
    }

    public List<String> getKeepHeaders() {
        return keepHeaders;
    }

    public void setKeepHeaders(List<String> keepHeaders) {
        this.keepHeaders = keepHeaders;
    }

    public String getReplayHeader() {
        return replayHeader;
    }

    public void setReplayHeader(String replayHeader) {
        this.replayHeader = replayHeader;
    }

    public Duration getLease() {
        return lease;
    }

    public void setLease(Duration lease) {
        this.lease = lease;
    }

    public Duration getDedupWindow() {
        return dedupWindow;
    }

    public void setDedupWindow(Duration dedupWindow) {
        this.dedupWindow = dedupWindow;
    }

    public Duration getWait() {
        return wait;
    }

    public void setWait(Duration wait) {
        this.wait = wait;
    }

    public Duration getPollAfter() {
        return pollAfter;
    }

    public void setPollAfter(Duration pollAfter) {
        this.pollAfter = pollAfter;
    }

    public String getProblemTypes() {
        return problemTypes;
    }

    public void setProblemTypes(String problemTypes) {
        this.problemTypes = problemTypes;
    }

    public Preset getPolicy() {
        return policy;
    }

    public void setPolicy(Preset policy) {
        this.policy = policy;
    }

    public Map<Integer, Judgement> getStatuses() {
        return statuses;
    }

    public void setStatuses(Map<Integer, Judgement> statuses) {
        this.statuses = statuses;
    }

    public Judgement getOnException() {
        return onException;
    }

    public void setOnException(Judgement onException) {
        this.onException = onException;
    }
}
