package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.Objects;

/**
 * A logical request: whoever comes with the same scope, operation and key is its duplicate.
 *
 * <p>Immutable; can be kept and begun again. What breaks a rule is refused when it is begun, with
 * the name of the field.
 */
public final class Request extends Asked {
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

    @Override
    int size() {
        return Layout.Request.SIZE;
    }

    @Override
    int payloadBytes() {
        return payload.bytes.length;
    }

    @Override
    long extraBytes() {
        long bytes = head.length + 8;
        if (payload != Payload.NONE) {
            bytes += payload.bytes.length + 8;
            bytes += payload.boundary == null ? 0 : payload.boundary.length + 8;
            bytes += pointerBytes(payload.excluded) + pointerBytes(payload.included);
        }
        return bytes;
    }

    private static long pointerBytes(byte[][] pointers) {
        long bytes = 0;
        for (byte[] pointer : pointers) {
            bytes += Layout.Bytes.SIZE + 8 + pointer.length;
        }
        return bytes;
    }

    @Override
    void write(Frame frame, int at) {
        var memory = frame.memory;
        int scopeLength = scope.name.length;
        int keyLength = key == null ? 0 : key.length;
        int copied = frame.copy(head);
        memory.putLong(at + Layout.Request.STRUCT_SIZE, Layout.Request.SIZE);
        memory.putInt(at + Layout.Request.SCOPE_KIND, scope.kind);
        memory.putInt(at + Layout.Request.KEY_KIND, key == null ? 1 : 0);
        memory.putInt(at + Layout.Request.PAYLOAD_KIND, payload.kind);
        memory.putInt(at + Layout.Request.RESERVED, 0);
        frame.bytes(at + Layout.Request.SCOPE, copied, scopeLength);
        frame.bytes(at + Layout.Request.OPERATION, copied + scopeLength, operation.length);
        frame.bytes(at + Layout.Request.KEY, copied + scopeLength + operation.length, keyLength);
        frame.bytes(at + Layout.Request.PAYLOAD, payload.bytes);
        frame.bytes(at + Layout.Request.BOUNDARY, payload.boundary);
        pointers(frame, at + Layout.Request.EXCLUDED, payload.excluded);
        pointers(frame, at + Layout.Request.INCLUDED, payload.included);
    }

    private static void pointers(Frame frame, int field, byte[][] pointers) {
        int table = frame.room(Layout.Bytes.SIZE * pointers.length);
        for (int i = 0; i < pointers.length; i++) {
            frame.bytes(table + Layout.Bytes.SIZE * i, pointers[i]);
        }
        frame.memory.putLong(field, pointers.length == 0 ? 0 : frame.pointer(table));
        frame.memory.putLong(field + 8, pointers.length);
    }

    @Override
    int begin(
            boolean quick, long engine, long asked, long options, long buffer, long admission,
            long error) {
        Binding library = Library.BINDING;
        return quick
                ? library.beginQuick(engine, asked, options, buffer, admission, error)
                : library.begin(engine, asked, options, buffer, admission, error);
    }

    @Override
    int beginBatch(
            boolean quick, long engine, long asked, long count, long options, long buffer,
            long admissions, long error) {
        Binding library = Library.BINDING;
        return quick
                ? library.beginBatchQuick(
                        engine, asked, count, options, buffer, admissions, error)
                : library.beginBatch(engine, asked, count, options, buffer, admissions, error);
    }
}
