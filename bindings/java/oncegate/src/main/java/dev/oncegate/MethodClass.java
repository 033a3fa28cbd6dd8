package dev.oncegate;

import java.nio.charset.StandardCharsets;

/** What an HTTP request needs before its handler may run. The order is the header's, from 1 on. */
public enum MethodClass {
    /**
     * {@code GET}, {@code HEAD}, {@code OPTIONS}, {@code TRACE}, {@code QUERY} (RFC 10008), and
     * WebDAV's {@code PROPFIND}, {@code REPORT} and {@code SEARCH}: no record is needed.
     */
    SAFE,
    /** {@code PUT}, {@code DELETE}: the payload stands in for a key, unless there is one. */
    PAYLOAD_DEDUP,
    /** All others: refuse the request unless it carries a key. */
    KEY_REQUIRED;

    /**
     * The class of a method.
     *
     * @param method its name, which is case-sensitive (RFC 9110, section 9.1)
     * @return the class; one that is not known needs a key
     */
    public static MethodClass of(String method) {
        Library.require();
        byte[] name = method.getBytes(StandardCharsets.UTF_8);
        return Frames.use(Frames.SMALL + name.length, frame -> {
            frame.call(Export.METHOD_CLASS, frame.argument(name), frame.pointer(Frame.OUT));
            return values()[frame.memory.getInt(Frame.OUT) - 1];
        });
    }
}
