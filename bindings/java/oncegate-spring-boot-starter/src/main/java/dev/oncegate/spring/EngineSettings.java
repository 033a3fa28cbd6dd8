package dev.oncegate.spring;

import dev.oncegate.EngineOptions;
import dev.oncegate.FileFlag;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** What is set under {@code oncegate.engine}. */
public class EngineSettings {
    /** How many records the table holds. */
    private Long capacity;

    /** How long an attempt may run before its lease lapses. */
    private Duration lease;

    /** How long a finished record answers duplicates. */
    private Duration dedupWindow;

    /** The largest outcome that is kept, in bytes. */
    private Long outcomeLimit;

    /** How much memory outcomes take, in bytes. */
    private Long outcomeBytes;

    /** Who shares the table: this process, or all processes of the host. */
    private EngineOptions.Reach reach;

    /** The file of a table that processes share. */
    private Path file;

    /** What is accepted of that file. */
    private List<FileFlag> fileFlags = new ArrayList<>();

    /** A file with the secret of the fingerprints, at least 32 bytes. */
    private Path secretFile;

    /** Which keys are accepted. */
    private EngineOptions.Keys keys;

    /** The shortest key, in bytes. */
    private Long keyMinLength;

    /** Whether keys are refused that others could guess. */
    private boolean refusePredictableKeys;

    public Long getCapacity() {
        return capacity;
    }

    public void setCapacity(Long capacity) {
        this.capacity = capacity;
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

    public Long getOutcomeLimit() {
        return outcomeLimit;
    }

    public void setOutcomeLimit(Long outcomeLimit) {
        this.outcomeLimit = outcomeLimit;
    }

    public Long getOutcomeBytes() {
        return outcomeBytes;
    }

    public void setOutcomeBytes(Long outcomeBytes) {
        this.outcomeBytes = outcomeBytes;
    }

    public EngineOptions.Reach getReach() {
        return reach;
    }

    public void setReach(EngineOptions.Reach reach) {
        this.reach = reach;
    }

    public Path getFile() {
        return file;
    }

    public void setFile(Path file) {
        this.file = file;
    }

    public List<FileFlag> getFileFlags() {
        return fileFlags;
    }

    public void setFileFlags(List<FileFlag> fileFlags) {
        this.fileFlags = fileFlags;
    }

    public Path getSecretFile() {
        return secretFile;
    }

    public void setSecretFile(Path secretFile) {
        this.secretFile = secretFile;
    }

    public EngineOptions.Keys getKeys() {
        return keys;
    }

    public void setKeys(EngineOptions.Keys keys) {
        this.keys = keys;
    }

    public Long getKeyMinLength() {
        return keyMinLength;
    }

    public void setKeyMinLength(Long keyMinLength) {
        this.keyMinLength = keyMinLength;
    }

    public boolean isRefusePredictableKeys() {
        return refusePredictableKeys;
    }

    public void setRefusePredictableKeys(boolean refusePredictableKeys) {
        this.refusePredictableKeys = refusePredictableKeys;
    }
}
