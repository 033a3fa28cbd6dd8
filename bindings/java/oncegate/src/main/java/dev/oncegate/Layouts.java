package dev.oncegate;

import java.io.IOException;
import java.lang.reflect.Field;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Compares {@link Layout} and {@link RetryLayout} with what the library says of its structures: a
 * library of another layout is refused when it is loaded, and not met as corrupt answers.
 */
final class Layouts {
    // oncegate_layout, by which all others are read.
    static final int STRUCTURE = 0;
    static final int FIELD = 8;
    static final int OFFSET = 16;
    static final int SIZE = 24;
    static final int ENTRY = 32;

    /** Of the library: {@code structure.field} and the offset, {@code structure} and the size. */
    final Map<String, Long> known = new HashMap<>();

    private Layouts() {}

    static Layouts of(Binding binding) throws IOException {
        Layouts layouts = new Layouts();
        Frame frame = new Frame(Frames.SMALL, binding);
        long count = ask(binding, frame, 0, 0);
        Frame large = new Frame(
                Frames.size(Frames.SMALL + count * ENTRY), binding);
        int table = large.room(Math.toIntExact(count * ENTRY));
        ask(binding, large, large.pointer(table), count);
        for (int i = 0; i < count; i++) {
            layouts.add(binding, large, table + i * ENTRY);
        }
        return layouts;
    }

    private static long ask(Binding binding, Frame frame, long table, long capacity)
            throws IOException {
        int status = binding.call(Export.LAYOUTS, table, capacity, frame.pointer(Frame.OUT),
                frame.pointer(Frame.ERROR));
        if (status != 0) {
            throw new IOException("its layouts cannot be read: status " + status);
        }
        return frame.memory.getLong(Frame.OUT);
    }

    private void add(Binding binding, Frame frame, int at) {
        String structure = binding.text(frame.memory.getLong(at + STRUCTURE));
        long field = frame.memory.getLong(at + FIELD);
        if (field == 0) {
            known.put(structure, frame.memory.getLong(at + SIZE));
        } else {
            known.put(structure + "." + binding.text(field),
                    frame.memory.getLong(at + OFFSET));
        }
    }

    /** Compares the nested classes of a class, each of which is one structure. */
    void check(Class<?> group) throws IOException {
        for (Class<?> structure : group.getDeclaredClasses()) {
            String name = name(structure);
            boolean grows = known.containsKey(name + ".struct_size");
            for (Field field : structure.getDeclaredFields()) {
                check(name, field, grows);
            }
        }
    }

    /** What the header calls it. */
    static String name(Class<?> structure) {
        return "oncegate" + structure.getSimpleName()
                .replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    private void check(String structure, Field field, boolean grows) throws IOException {
        long here;
        try {
            here = field.getInt(null);
        } catch (IllegalAccessException impossible) {
            throw new AssertionError(impossible);
        }
        boolean isSize = field.getName().equals("SIZE");
        String name = isSize ? structure : structure + "."
                + field.getName().toLowerCase(Locale.ROOT);
        Long there = known.get(name);
        if (there == null) {
            throw new IOException("it has no " + name);
        }
        // One that begins with its size may have more fields in a newer library.
        if (isSize && grows ? there < here : there != here) {
            throw new IOException("in it " + name + " is at or has " + there
                    + " bytes; these classes expect " + here);
        }
    }
}
