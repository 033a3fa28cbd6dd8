package dev.oncegate;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** The library by JNA: for JVMs whose foreign functions are not final. */
final class JnaBinding implements Binding {
    private final NativeLibrary library;

    JnaBinding(Path file) {
        library = NativeLibrary.getInstance(file.toString());
    }

    @Override
    public int abiVersion() {
        return library.getFunction("oncegate_abi_version").invokeInt(new Object[0]);
    }

    @Override
    public void bind() {
        for (Export export : Export.values()) {
            library.getFunction(export.symbol());
        }
        Native.register(C.class, library);
    }

    @Override
    public String name() {
        return "jna";
    }

    @Override
    public long address(ByteBuffer direct) {
        return Pointer.nativeValue(Native.getDirectBufferPointer(direct));
    }

    @Override
    public byte[] read(long address, int length) {
        return new Pointer(address).getByteArray(0, length);
    }

    @Override
    public String text(long address) {
        return new Pointer(address).getString(0);
    }

    @Override
    public int call(Export export, long... arguments) {
        Object[] boxed = new Object[arguments.length];
        for (int i = 0; i < arguments.length; i++) {
            long argument = arguments[i];
            boxed[i] = switch (export.parameter(i)) {
                case LONG -> argument;
                case INT -> (int) argument;
                case DOUBLE -> Double.longBitsToDouble(argument);
                case BYTES -> new ByValue(argument);
            };
        }
        return library.getFunction(export.symbol()).invokeInt(boxed);
    }

    @Override
    public int begin(
            long engine, long request, long options, long buffer, long admission, long error) {
        return C.oncegate_begin(engine, request, options, buffer, admission, error);
    }

    @Override
    public int beginQuick(
            long engine, long request, long options, long buffer, long admission, long error) {
        return C.oncegate_begin(engine, request, options, buffer, admission, error);
    }

    @Override
    public int beginBatch(
            long engine, long requests, long count, long options, long buffer, long admissions,
            long error) {
        return C.oncegate_begin_batch(engine, requests, count, options, buffer, admissions, error);
    }

    @Override
    public int beginBatchQuick(
            long engine, long requests, long count, long options, long buffer, long admissions,
            long error) {
        return C.oncegate_begin_batch(engine, requests, count, options, buffer, admissions, error);
    }

    @Override
    public int beginHashed(
            long engine, long hashed, long options, long buffer, long admission, long error) {
        return C.oncegate_begin_hashed(engine, hashed, options, buffer, admission, error);
    }

    @Override
    public int beginHashedQuick(
            long engine, long hashed, long options, long buffer, long admission, long error) {
        return C.oncegate_begin_hashed(engine, hashed, options, buffer, admission, error);
    }

    @Override
    public int beginHashedBatch(
            long engine, long hashed, long count, long options, long buffer, long admissions,
            long error) {
        return C.oncegate_begin_hashed_batch(
                engine, hashed, count, options, buffer, admissions, error);
    }

    @Override
    public int beginHashedBatchQuick(
            long engine, long hashed, long count, long options, long buffer, long admissions,
            long error) {
        return C.oncegate_begin_hashed_batch(
                engine, hashed, count, options, buffer, admissions, error);
    }

    @Override
    public int leaseTakeUp(long engine, long lease, long info, long error) {
        return C.oncegate_lease_take_up(engine, lease, info, error);
    }

    @Override
    public int leaseRenew(long engine, long lease, long durationMs, long remainingMs, long error) {
        return C.oncegate_lease_renew(engine, lease, durationMs, remainingMs, error);
    }

    @Override
    public int leaseRenewQuick(
            long engine, long lease, long durationMs, long remainingMs, long error) {
        return C.oncegate_lease_renew(engine, lease, durationMs, remainingMs, error);
    }

    @Override
    public int leaseComplete(long engine, long lease, long outcome, long stored, long error) {
        return C.oncegate_lease_complete(engine, lease, outcome, stored, error);
    }

    @Override
    public int leaseCompleteQuick(long engine, long lease, long outcome, long stored, long error) {
        return C.oncegate_lease_complete(engine, lease, outcome, stored, error);
    }

    @Override
    public int leaseAbandon(long engine, long lease, long error) {
        return C.oncegate_lease_abandon(engine, lease, error);
    }

    @Override
    public int leaseAbandonQuick(long engine, long lease, long error) {
        return C.oncegate_lease_abandon(engine, lease, error);
    }

    /** {@code oncegate_bytes}, as an argument. Public for JNA, which makes one by itself. */
    @Structure.FieldOrder({"data", "len"})
    public static final class ByValue extends Structure implements Structure.ByValue {
        /** The first byte. */
        public long data;

        /** How many bytes. */
        public long len;

        /** Empty. */
        public ByValue() {}

        ByValue(long at) {
            super(new Pointer(at));
            read();
        }
    }

    /** Functions by their names in the header: direct mapping is several times cheaper. */
    private static final class C {
        static native int oncegate_begin(
                long engine, long request, long options, long buffer, long admission, long error);

        static native int oncegate_begin_batch(
                long engine, long requests, long count, long options, long buffer, long admissions,
                long error);

        static native int oncegate_begin_hashed(
                long engine, long hashed, long options, long buffer, long admission, long error);

        static native int oncegate_begin_hashed_batch(
                long engine, long hashed, long count, long options, long buffer, long admissions,
                long error);

        static native int oncegate_lease_take_up(long engine, long lease, long info, long error);

        static native int oncegate_lease_renew(
                long engine, long lease, long durationMs, long remainingMs, long error);

        static native int oncegate_lease_complete(
                long engine, long lease, long outcome, long stored, long error);

        static native int oncegate_lease_abandon(long engine, long lease, long error);
    }
}
