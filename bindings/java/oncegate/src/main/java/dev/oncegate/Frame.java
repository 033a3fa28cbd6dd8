package dev.oncegate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;

/**
 * Memory outside the heap for the arguments and results of one call at a time.
 *
 * <p>It begins with what nearly every call has: the error, a buffer's description, and an answer.
 * After them lies the arena: {@link #room} hands it out from the front, 8-byte aligned; what is
 * left of it is for bytes that the library writes. A frame belongs to whoever took it from
 * {@link Frames} until it is given back; nothing of it is allocated or freed for a call.
 */
final class Frame {
    static final int ERROR = 0;
    static final int BUFFER = Layout.Error.SIZE;
    static final int ADMISSION = BUFFER + Layout.Buffer.SIZE;
    /** Room for the small outputs of calls. */
    static final int OUT = ADMISSION + Layout.Admission.SIZE;
    private static final int OUT_SIZE = 64;
    /** Room for reading packed pairs, beside the outputs of the call that gave them. */
    static final int PAIRS = OUT + OUT_SIZE;
    private static final int PAIRS_SIZE = 8 + 3 * Layout.Bytes.SIZE;
    static final int ARENA = PAIRS + PAIRS_SIZE;

    final ByteBuffer memory;
    final long address;
    private int next = ARENA;

    Frame(int capacity, Binding binding) {
        memory = ByteBuffer.allocateDirect(capacity).order(ByteOrder.nativeOrder());
        address = binding.address(memory);
        memory.putLong(ERROR + Layout.Error.STRUCT_SIZE, Layout.Error.SIZE);
    }

    int capacity() {
        return memory.capacity();
    }

    /** Forgets what {@link #room} handed out. */
    Frame clear() {
        next = ARENA;
        return this;
    }

    /** Room for a structure or for bytes, at an offset into the frame. */
    int room(int bytes) {
        int at = next;
        next = at + (bytes + 7 & ~7);
        if (next > memory.capacity()) {
            throw new AssertionError("a frame of " + memory.capacity() + " bytes is too small");
        }
        return at;
    }

    /** The same, of zeros. */
    int zeros(int bytes) {
        int at = room(bytes);
        for (int i = at; i < next; i += 8) {
            memory.putLong(i, 0);
        }
        return at;
    }

    /** Copies bytes into the frame. */
    int copy(byte[] bytes) {
        int at = room(bytes.length);
        memory.put(at, bytes);
        return at;
    }

    long pointer(int offset) {
        return address + offset;
    }

    /** Writes an {@code oncegate_bytes} that refers to bytes in this frame. */
    void bytes(int field, int at, int length) {
        memory.putLong(field, length == 0 ? 0 : address + at);
        memory.putLong(field + Layout.Bytes.LEN, length);
    }

    /** Copies bytes into the frame, and writes an {@code oncegate_bytes} that refers to them. */
    void bytes(int field, byte[] bytes) {
        if (bytes == null || bytes.length == 0) {
            bytes(field, 0, 0);
        } else {
            bytes(field, copy(bytes), bytes.length);
        }
    }

    /** Offers what is left of the arena as an {@code oncegate_buffer}; tells where it begins. */
    int offerRest() {
        int at = next;
        memory.putLong(BUFFER + Layout.Buffer.DATA, address + at);
        memory.putLong(BUFFER + Layout.Buffer.CAPACITY, memory.capacity() - at);
        memory.putLong(BUFFER + Layout.Buffer.NEEDED, 0);
        return at;
    }

    /** Copies bytes into the frame, for a parameter that takes them by value. */
    long argument(byte[] bytes) {
        int at = room(Layout.Bytes.SIZE);
        bytes(at, bytes);
        return pointer(at);
    }

    long needed() {
        return memory.getLong(BUFFER + Layout.Buffer.NEEDED);
    }

    /** A size or an offset that the library wrote: within this frame. */
    int size(int at) {
        return Math.toIntExact(memory.getLong(at));
    }

    byte[] read(int at, int length) {
        byte[] bytes = new byte[length];
        memory.get(at, bytes);
        return bytes;
    }

    String text(int at, int length) {
        return new String(read(at, length), StandardCharsets.UTF_8);
    }

    /** A zero-terminated string in a field of so many bytes. */
    String field(int at, int size) {
        int length = 0;
        while (length < size && memory.get(at + length) != 0) {
            length++;
        }
        return text(at, length);
    }

    /** What the last call that returned {@code status} told. */
    Refusal refusal(int status) {
        Status known = Status.of(status);
        Duration after = Millis.duration(memory.getLong(ERROR + Layout.Error.RETRY_AFTER_MS));
        return new Refusal(
                known,
                field(ERROR + Layout.Error.FIELD, Layout.Error.MESSAGE - Layout.Error.FIELD),
                field(ERROR + Layout.Error.MESSAGE, Layout.Error.SIZE - Layout.Error.MESSAGE),
                memory.getInt(ERROR + Layout.Error.TRANSIENT) != 0,
                after);
    }

    /** Calls a function whose last argument is the error, and throws unless it worked. */
    void call(Export export, long... arguments) {
        check(status(export, arguments));
    }

    /** The same, and tells the status. */
    int status(Export export, long... arguments) {
        long[] all = Arrays.copyOf(arguments, arguments.length + 1);
        all[arguments.length] = pointer(ERROR);
        return Library.BINDING.call(export, all);
    }

    /** Throws what a status stands for, unless the call worked. */
    void check(int status) {
        if (status != 0) {
            throw refusal(status).exception();
        }
    }
}
