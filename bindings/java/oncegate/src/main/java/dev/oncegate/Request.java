package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.Objects;

/**
 * A logical request: whoever comes with the same scope, operation and key is its duplicate.
 *
 * <p>Immutable; can be kept and begun again. What breaks a rule is refused when it is begun, with
 * the name of the field.
 */
public final class Request {
    final Scope scope;
    final byte[] operation;
    final byte[] key;
    final Payload payload;

    /** Scope, operation and key, one after the other, as they are copied. */
    final byte[] head;

    private Request(Scope scope, byte[] operation, byte[] key, Payload payload) {
        this.scope = scope;
        this.operation = operation;
        this.key = key;
        this.payload = payload;
        byte[] name = scope.name;
        int keyLength = key == null ? 0 : key.length;
        head = new byte[name.length + operation.length + keyLength];
        System.arraycopy(name, 0, head, 0, name.length);
        System.arraycopy(operation, 0, head, name.length, operation.length);
        if (key != null) {
            System.arraycopy(key, 0, head, name.length + operation.length, keyLength);
        }
    }

    /**
     * A request with a key.
     *
     * @param scope on whose behalf
     * @param operation what is asked for, 1 to 1,024 bytes in UTF-8: {@code POST /charges}
     * @param key the idempotency key, 1 to 255 bytes in UTF-8
     * @return a request without a payload
     */
    public static Request of(Scope scope, String operation, String key) {
        return of(scope, operation, key.getBytes(StandardCharsets.UTF_8));
    }

    /**
     * A request with a key of any bytes.
     *
     * @param scope on whose behalf
     * @param operation what is asked for, 1 to 1,024 bytes in UTF-8
     * @param key the idempotency key, 1 to 255 bytes
     * @return a request without a payload
     */
    public static Request of(Scope scope, String operation, byte[] key) {
        Objects.requireNonNull(scope, "scope");
        return new Request(
                scope, operation.getBytes(StandardCharsets.UTF_8), key.clone(), Payload.none());
    }

    /**
     * A request whose payload stands in for a key: requests that are alike are the same.
     *
     * @param scope on whose behalf
     * @param operation what is asked for, 1 to 1,024 bytes in UTF-8
     * @param payload what is compared
     * @return the request
     */
    public static Request keyedByPayload(Scope scope, String operation, Payload payload) {
        Objects.requireNonNull(scope, "scope");
        Objects.requireNonNull(payload, "payload");
        return new Request(scope, operation.getBytes(StandardCharsets.UTF_8), null, payload);
    }

    /**
     * The same request with a payload.
     *
     * @param payload what duplicates are compared with
     * @return the request
     */
    public Request withPayload(Payload payload) {
        return new Request(scope, operation, key, Objects.requireNonNull(payload, "payload"));
    }

    /**
     * What is asked for.
     *
     * @return the operation
     */
    public String operation() {
        return new String(operation, StandardCharsets.UTF_8);
    }

    /**
     * On whose behalf.
     *
     * @return the scope
     */
    public Scope scope() {
        return scope;
    }

    /** Says what is asked for, and neither key nor payload. */
    @Override
    public String toString() {
        return "Request[" + operation() + ", " + scope + ", " + payload + "]";
    }
}
