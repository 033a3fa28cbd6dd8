package dev.oncegate;

/** Requests, into frames. */
final class Requests {
    private Requests() {}

    /** How large a frame has to be for a call with this request. */
    static int frameBytes(Request request) {
        Payload payload = request.payload;
        long bytes = Frames.SMALL + (long) request.head.length + payload.bytes.length;
        if (payload != Payload.NONE) {
            bytes += payload.boundary == null ? 0 : payload.boundary.length;
            bytes += pointerBytes(payload.excluded) + pointerBytes(payload.included);
        }
        if (bytes > Integer.MAX_VALUE - 8) {
            throw Refusal.of(Status.INVALID_PAYLOAD, "payload", "too long; limit: 64 MiB")
                    .exception();
        }
        return (int) bytes;
    }

    private static long pointerBytes(byte[][] pointers) {
        long bytes = 0;
        for (byte[] pointer : pointers) {
            bytes += Layout.Bytes.SIZE + 8 + pointer.length;
        }
        return bytes;
    }

    /** Writes {@code oncegate_request}, whose place is given. */
    static void write(Frame frame, int at, Request request) {
        var memory = frame.memory;
        Payload payload = request.payload;
        int scope = request.scope.name.length;
        int operation = request.operation.length;
        int key = request.key == null ? 0 : request.key.length;
        int head = frame.copy(request.head);
        memory.putLong(at + Layout.Request.STRUCT_SIZE, Layout.Request.SIZE);
        memory.putInt(at + Layout.Request.SCOPE_KIND, request.scope.kind);
        memory.putInt(at + Layout.Request.KEY_KIND, request.key == null ? 1 : 0);
        memory.putInt(at + Layout.Request.PAYLOAD_KIND, payload.kind);
        memory.putInt(at + Layout.Request.RESERVED, 0);
        frame.bytes(at + Layout.Request.SCOPE, head, scope);
        frame.bytes(at + Layout.Request.OPERATION, head + scope, operation);
        frame.bytes(at + Layout.Request.KEY, head + scope + operation, key);
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

    /** Writes {@code oncegate_begin_options}, unless they are the defaults; their address. */
    static long options(Frame frame, BeginOptions options) {
        if (options.isDefault()) {
            return 0;
        }
        int at = frame.room(Layout.BeginOptions.SIZE);
        var memory = frame.memory;
        memory.putLong(at + Layout.BeginOptions.STRUCT_SIZE, Layout.BeginOptions.SIZE);
        memory.putLong(at + Layout.BeginOptions.LEASE_MS, options.leaseMs);
        memory.putLong(at + Layout.BeginOptions.DEDUP_WINDOW_MS, options.dedupWindowMs);
        memory.putLong(at + Layout.BeginOptions.WAIT_MS, options.waitMs);
        memory.putInt(at + Layout.BeginOptions.ON_LAPSE, options.onLapse);
        memory.putInt(at + Layout.BeginOptions.RUN_DUE, options.runDue ? 1 : 0);
        return frame.pointer(at);
    }
}
