package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;

/**
 * What a request carries, and how duplicates are compared with it: the same key with another
 * payload is {@link Admission.Mismatched}, and never runs.
 *
 * <p>The bytes are not copied: whoever gives an array does not change it while it is in use.
 */
public final class Payload {
    static final Payload NONE = new Payload(0, new byte[0], null, new byte[0][], new byte[0][]);

    final int kind;
    final byte[] bytes;
    final byte[] boundary;
    final byte[][] excluded;
    final byte[][] included;

    private Payload(int kind, byte[] bytes, byte[] boundary, byte[][] excluded, byte[][] included) {
        this.kind = kind;
        this.bytes = Objects.requireNonNull(bytes, "bytes");
        this.boundary = boundary;
        this.excluded = excluded;
        this.included = included;
    }

    private static Payload of(int kind, byte[] bytes) {
        return new Payload(kind, bytes, null, NONE.excluded, NONE.included);
    }

    /**
     * No payload: duplicates are not compared.
     *
     * @return the payload
     */
    public static Payload none() {
        return NONE;
    }

    /**
     * Bytes that are compared as they are.
     *
     * @param bytes at most 64 MiB
     * @return the payload
     */
    public static Payload raw(byte[] bytes) {
        return of(1, bytes);
    }

    /**
     * A JSON document, compared by its canonical form (RFC 8785).
     *
     * @param bytes the document in UTF-8, at most 64 MiB
     * @return the payload
     */
    public static Payload json(byte[] bytes) {
        return of(2, bytes);
    }

    /**
     * The same, of a string.
     *
     * @param document the document
     * @return the payload
     */
    public static Payload json(String document) {
        return json(document.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * A form ({@code application/x-www-form-urlencoded}), compared by its pairs.
     *
     * @param bytes at most 64 MiB
     * @return the payload
     */
    public static Payload form(byte[] bytes) {
        return of(3, bytes);
    }

    /**
     * A form of parts ({@code multipart/form-data}), compared without its boundary.
     *
     * @param bytes at most 64 MiB
     * @param boundary the boundary, from the content type
     * @return the payload
     */
    public static Payload multipart(byte[] bytes, String boundary) {
        byte[] line = boundary.getBytes(StandardCharsets.UTF_8);
        return new Payload(4, bytes, line, NONE.excluded, NONE.included);
    }

    /**
     * Names values of a JSON document that may differ between attempts, such as a time.
     *
     * @param pointers JSON pointers (RFC 6901)
     * @return a payload that is compared without them
     */
    public Payload excluding(String... pointers) {
        return new Payload(kind, bytes, boundary, joined(excluded, pointers), included);
    }

    /**
     * Names the values of a JSON document that count; none: all do.
     *
     * @param pointers JSON pointers (RFC 6901), with those of {@link #excluding} at most 64
     * @return a payload that is compared by them
     */
    public Payload including(String... pointers) {
        return new Payload(kind, bytes, boundary, excluded, joined(included, pointers));
    }

    private static byte[][] joined(byte[][] first, String... pointers) {
        byte[][] all = Arrays.copyOf(first, first.length + pointers.length);
        for (int i = 0; i < pointers.length; i++) {
            all[first.length + i] = pointers[i].getBytes(StandardCharsets.UTF_8);
        }
        return all;
    }

    /** Says how many bytes there are, and not which. */
    @Override
    public String toString() {
        return "Payload[" + bytes.length + " bytes]";
    }
}
