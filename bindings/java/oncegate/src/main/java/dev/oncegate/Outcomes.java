package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Outcomes, in and out of frames. */
final class Outcomes {
    private static final byte[] NOTHING = new byte[0];

    private Outcomes() {}

    /** How large a frame has to be for a call with this outcome. */
    static int frameBytes(Outcome outcome) {
        if (outcome == null) {
            return Frames.SMALL;
        }
        long bytes = Frames.SMALL + (long) outcome.body().length;
        for (Outcome.Pair pair : outcome.metadata()) {
            // A character has at most three bytes in UTF-8.
            bytes += Layout.Pair.SIZE + 16 + 3L * (pair.name().length() + pair.value().length());
        }
        return Math.toIntExact(Math.min(bytes, Integer.MAX_VALUE - 8));
    }

    /** Writes {@code oncegate_outcome}; tells where. */
    static int write(Frame frame, Outcome outcome) {
        int at = frame.room(Layout.Outcome.SIZE);
        var memory = frame.memory;
        memory.putLong(at + Layout.Outcome.STRUCT_SIZE, Layout.Outcome.SIZE);
        memory.putInt(at + Layout.Outcome.STATUS, outcome.status());
        memory.putInt(at + Layout.Outcome.WITHHELD, outcome.isWithheld() ? 1 : 0);
        frame.bytes(at + Layout.Outcome.BODY, outcome.body());
        List<Outcome.Pair> pairs = outcome.metadata();
        int table = frame.room(Layout.Pair.SIZE * pairs.size());
        for (int i = 0; i < pairs.size(); i++) {
            int pair = table + Layout.Pair.SIZE * i;
            frame.bytes(pair + Layout.Pair.NAME, utf8(pairs.get(i).name()));
            frame.bytes(pair + Layout.Pair.VALUE, utf8(pairs.get(i).value()));
        }
        memory.putLong(at + Layout.Outcome.METADATA, pairs.isEmpty() ? 0 : frame.pointer(table));
        memory.putLong(at + Layout.Outcome.METADATA_COUNT, pairs.size());
        return at;
    }

    /** The same; tells its address, none for null. */
    static long pointer(Frame frame, Outcome outcome) {
        return outcome == null ? 0 : frame.pointer(write(frame, outcome));
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    /** Reads {@code oncegate_stored_outcome}, whose bytes lie in the buffer that begins at rest. */
    static Outcome read(Frame frame, int at, int rest) {
        var memory = frame.memory;
        int status = memory.getInt(at + Layout.StoredOutcome.STATUS);
        int count = memory.getInt(at + Layout.StoredOutcome.METADATA_COUNT);
        int length = (int) memory.getLong(at + Layout.StoredOutcome.BODY_LEN);
        byte[] body = length == 0
                ? NOTHING
                : frame.read(
                        rest + (int) memory.getLong(at + Layout.StoredOutcome.BODY_OFFSET), length);
        List<Outcome.Pair> pairs = List.of();
        if (count > 0) {
            int packed = rest + (int) memory.getLong(at + Layout.StoredOutcome.METADATA_OFFSET);
            int size = (int) memory.getLong(at + Layout.StoredOutcome.METADATA_LEN);
            pairs = pairs(frame, packed, size, count);
        }
        return new Outcome(status, body, pairs, false);
    }

    /** Reads packed pairs, by the function that knows how they are packed. */
    static List<Outcome.Pair> pairs(Frame frame, int packed, int size, int count) {
        List<Outcome.Pair> pairs = new ArrayList<>(count);
        int cursor = Frame.PAIRS;
        int name = cursor + 8;
        int value = name + Layout.Bytes.SIZE;
        int all = value + Layout.Bytes.SIZE;
        frame.memory.putLong(cursor, 0);
        frame.bytes(all, packed, size);
        for (int i = 0; i < count; i++) {
            frame.call(Export.METADATA_NEXT, frame.pointer(all),
                    frame.pointer(cursor), frame.pointer(name), frame.pointer(value));
            pairs.add(new Outcome.Pair(referred(frame, name), referred(frame, value)));
        }
        return List.copyOf(pairs);
    }

    /** The text that an {@code oncegate_bytes} refers to, in this frame. */
    private static String referred(Frame frame, int field) {
        int length = (int) frame.memory.getLong(field + Layout.Bytes.LEN);
        if (length == 0) {
            return "";
        }
        long data = frame.memory.getLong(field + Layout.Bytes.DATA);
        return frame.text((int) (data - frame.address), length);
    }
}
