package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * What an attempt leaves for its duplicates: a number, bytes, and names with values.
 *
 * <p>Immutable, but for the array of {@link #body}, which is not copied.
 */
public final class Outcome {
    private static final byte[] NOTHING = new byte[0];

    private final int status;
    private final byte[] body;
    private final List<Pair> metadata;
    private final boolean withheld;

    /**
     * A name and a value: a header of a response.
     *
     * @param name 1 to 255 bytes in UTF-8
     * @param value at most 8,192 bytes in UTF-8
     */
    public record Pair(String name, String value) {
        /**
         * Refuses null.
         *
         * @param name as above
         * @param value as above
         */
        public Pair {
            Objects.requireNonNull(name, "name");
            Objects.requireNonNull(value, "value");
        }
    }

    Outcome(int status, byte[] body, List<Pair> metadata, boolean withheld) {
        this.status = status;
        this.body = Objects.requireNonNull(body, "body");
        this.metadata = metadata;
        this.withheld = withheld;
    }

    /**
     * An outcome of bytes.
     *
     * @param status a number of the caller's, such as an HTTP status; 0 to 65,535
     * @param body the bytes; not copied
     * @return the outcome
     */
    public static Outcome of(int status, byte[] body) {
        return new Outcome(status, body, List.of(), false);
    }

    /**
     * An outcome of text.
     *
     * @param status a number of the caller's, such as an HTTP status; 0 to 65,535
     * @param body the text, kept in UTF-8
     * @return the outcome
     */
    public static Outcome of(int status, String body) {
        return of(status, body.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * An outcome of a number alone.
     *
     * @param status a number of the caller's, such as an HTTP status; 0 to 65,535
     * @return the outcome
     */
    public static Outcome of(int status) {
        return of(status, NOTHING);
    }

    /**
     * An outcome whose bytes are not to be kept: the record ends, and its duplicates get
     * {@link Admission.OutcomeGone}.
     *
     * @param status a number of the caller's; 0 to 65,535
     * @return the outcome
     */
    public static Outcome withheld(int status) {
        return new Outcome(status, NOTHING, List.of(), true);
    }

    /**
     * The same outcome with one more pair; all of them together have at most 16 KiB.
     *
     * @param name 1 to 255 bytes in UTF-8
     * @param value at most 8,192 bytes in UTF-8
     * @return the outcome
     */
    public Outcome with(String name, String value) {
        List<Pair> more = new ArrayList<>(metadata);
        more.add(new Pair(name, value));
        return new Outcome(status, body, List.copyOf(more), withheld);
    }

    /**
     * The number.
     *
     * @return 0 to 65,535
     */
    public int status() {
        return status;
    }

    /**
     * The bytes.
     *
     * @return the array itself
     */
    public byte[] body() {
        return body;
    }

    /**
     * The bytes as text.
     *
     * @return the text, of UTF-8
     */
    public String bodyText() {
        return new String(body, StandardCharsets.UTF_8);
    }

    /**
     * The names and values, in the order in which they were given.
     *
     * @return an immutable list
     */
    public List<Pair> metadata() {
        return metadata;
    }

    /**
     * The first value of a name.
     *
     * @param name as it was given
     * @return empty where there is none
     */
    public Optional<String> metadata(String name) {
        return metadata.stream().filter(pair -> pair.name.equals(name)).map(Pair::value).findFirst();
    }

    /**
     * Whether the bytes are not to be kept.
     *
     * @return true for {@link #withheld(int)}
     */
    public boolean isWithheld() {
        return withheld;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Outcome outcome
                && outcome.status == status
                && outcome.withheld == withheld
                && Arrays.equals(outcome.body, body)
                && outcome.metadata.equals(metadata);
    }

    @Override
    public int hashCode() {
        return Objects.hash(status, withheld, Arrays.hashCode(body), metadata);
    }

    /** Says how many bytes there are, and not which. */
    @Override
    public String toString() {
        return "Outcome[" + status + ", " + body.length + " bytes, " + metadata.size() + " pairs]";
    }
}
