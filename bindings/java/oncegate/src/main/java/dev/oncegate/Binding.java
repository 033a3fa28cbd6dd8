package dev.oncegate;

import java.nio.ByteBuffer;

/**
 * The functions of the library, as the header has them. Pointers, handles and sizes are 64-bit
 * integers. Those that are called for every request have a method each; the others share one.
 *
 * <p>One implementation for JVMs with the Foreign Function and Memory API, one on JNA.
 */
interface Binding {
    /** What it is called in the property {@code oncegate.binding}. */
    String name();

    /** The address of a direct buffer's first byte. */
    long address(ByteBuffer direct);

    /** Copies bytes that the library has for ever. */
    byte[] read(long address, int length);

    /** Copies a zero-terminated string that the library has for ever. */
    String text(long address);

    /** Calls a function; each argument is one of its parameters, see {@link Export}. */
    int call(Export export, long... arguments);

    /** Of the library; it is asked before {@link #bind}. */
    int abiVersion();

    /** Looks for every function, and throws a {@link LinkageError} where one is missing. */
    void bind();

    int begin(long engine, long request, long options, long buffer, long admission, long error);

    /**
     * The same, and so for all that end in Quick: where the call returns at once and is about
     * little data, without the cost of leaving Java. Such a call holds up the garbage collector.
     */
    int beginQuick(
            long engine, long request, long options, long buffer, long admission, long error);

    int beginBatch(
            long engine, long requests, long count, long options, long buffer, long admissions,
            long error);

    int beginBatchQuick(
            long engine, long requests, long count, long options, long buffer, long admissions,
            long error);

    int beginHashed(
            long engine, long hashed, long options, long buffer, long admission, long error);

    int beginHashedQuick(
            long engine, long hashed, long options, long buffer, long admission, long error);

    int beginHashedBatch(
            long engine, long hashed, long count, long options, long buffer, long admissions,
            long error);

    int beginHashedBatchQuick(
            long engine, long hashed, long count, long options, long buffer, long admissions,
            long error);

    int leaseTakeUp(long engine, long lease, long info, long error);

    int leaseRenew(long engine, long lease, long durationMs, long remainingMs, long error);

    int leaseRenewQuick(long engine, long lease, long durationMs, long remainingMs, long error);

    int leaseComplete(long engine, long lease, long outcome, long stored, long error);

    int leaseCompleteQuick(long engine, long lease, long outcome, long stored, long error);

    int leaseAbandon(long engine, long lease, long error);

    int leaseAbandonQuick(long engine, long lease, long error);
}
