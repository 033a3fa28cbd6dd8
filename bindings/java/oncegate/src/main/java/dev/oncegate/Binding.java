package dev.oncegate;

import java.nio.ByteBuffer;

/**
 * The functions of the library, as the header has them. Pointers and handles are addresses.
 *
 * <p>One implementation for JVMs with the Foreign Function and Memory API, one on JNA.
 */
interface Binding {
    /** What it is called in {@code oncegate.binding}. */
    String name();

    /** The address of a direct buffer's first byte. */
    long address(ByteBuffer direct);

    int abiVersion();

    int checkAbi(int version, long error);

    int engineOpen(long options, long engine, long error);

    int engineClose(long engine, long error);

    int requiredBytes(long options, long bytes, long error);

    int engineAdvanceClock(long engine, long byMs, long error);

    /** A call that returns at once, of little data: without the cost of leaving Java. */
    int beginQuick(long engine, long request, long options, long buffer, long admission, long error);

    int begin(long engine, long request, long options, long buffer, long admission, long error);

    int leaseTakeUp(long engine, long lease, long info, long error);

    int leaseRenew(long engine, long lease, long durationMs, long remainingMs, long error);

    int leaseComplete(long engine, long lease, long outcome, long stored, long error);

    int leaseFail(long engine, long lease, int kind, long delayMs, long outcome, long error);

    int leaseAbandon(long engine, long lease, long error);

    /** {@code packed} is where an {@code oncegate_bytes} lies, which is passed by value. */
    int metadataNext(long packed, long cursor, long name, long value, long error);
}
