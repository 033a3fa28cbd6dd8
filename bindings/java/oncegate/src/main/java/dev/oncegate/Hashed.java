package dev.oncegate;

import java.util.Objects;

/**
 * A request by digests that the caller has made, and vouches for: of a message id that is a hash,
 * of another table. It is never met by a request that the engine has hashed.
 */
public final class Hashed extends Asked {
    /** How many bytes a fingerprint has. */
    public static final int FINGERPRINT_BYTES = 32;

    final Scope scope;
    final byte[] fingerprint;
    final long payloadDigest;

    private Hashed(Scope scope, byte[] fingerprint, long payloadDigest) {
        this.scope = Objects.requireNonNull(scope, "scope");
        if (fingerprint.length != FINGERPRINT_BYTES) {
            throw Refusal.of(Status.BAD_SIZE, "fingerprint", "found " + fingerprint.length
                    + " bytes; limit: " + FINGERPRINT_BYTES).exception();
        }
        this.fingerprint = fingerprint.clone();
        this.payloadDigest = payloadDigest;
    }

    /**
     * A request by its digests.
     *
     * @param scope what quotas count
     * @param fingerprint 32 bytes that tell apart what differs in scope, operation or key, evenly
     *     spread
     * @param payloadDigest compared on every duplicate, in its 56 upper bits
     * @return the request
     */
    public static Hashed of(Scope scope, byte[] fingerprint, long payloadDigest) {
        return new Hashed(scope, fingerprint, payloadDigest);
    }

    /** Says on whose behalf it is made, and not which it is. */
    @Override
    public String toString() {
        return "Hashed[" + scope + "]";
    }

    @Override
    int size() {
        return Layout.Hashed.SIZE;
    }

    @Override
    int payloadBytes() {
        return 0;
    }

    @Override
    long extraBytes() {
        return scope.name.length + 8;
    }

    @Override
    void write(Frame frame, int at) {
        frame.memory.putInt(at + Layout.Hashed.SCOPE_KIND, scope.kind);
        frame.memory.putInt(at + Layout.Hashed.RESERVED, 0);
        frame.bytes(at + Layout.Hashed.SCOPE, scope.name);
        frame.memory.put(at + Layout.Hashed.FINGERPRINT, fingerprint);
        frame.memory.putLong(at + Layout.Hashed.PAYLOAD_DIGEST, payloadDigest);
    }

    @Override
    int begin(
            boolean quick, long engine, long asked, long options, long buffer, long admission,
            long error) {
        Binding library = Library.BINDING;
        return quick
                ? library.beginHashedQuick(engine, asked, options, buffer, admission, error)
                : library.beginHashed(engine, asked, options, buffer, admission, error);
    }

    @Override
    int beginBatch(
            boolean quick, long engine, long asked, long count, long options, long buffer,
            long admissions, long error) {
        Binding library = Library.BINDING;
        return quick
                ? library.beginHashedBatchQuick(
                        engine, asked, count, options, buffer, admissions, error)
                : library.beginHashedBatch(engine, asked, count, options, buffer, admissions, error);
    }
}
