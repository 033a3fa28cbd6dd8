package dev.oncegate;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** The library by JNA's direct mapping: for JVMs whose foreign functions are not final. */
final class JnaBinding implements Binding {
    JnaBinding(Path library) {
        Native.register(C.class, NativeLibrary.getInstance(library.toString()));
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
    public int abiVersion() {
        return C.oncegate_abi_version();
    }

    @Override
    public int checkAbi(int version, long error) {
        return C.oncegate_check_abi(version, error);
    }

    @Override
    public int engineOpen(long options, long engine, long error) {
        return C.oncegate_engine_open(options, engine, error);
    }

    @Override
    public int engineClose(long engine, long error) {
        return C.oncegate_engine_close(engine, error);
    }

    @Override
    public int requiredBytes(long options, long bytes, long error) {
        return C.oncegate_required_bytes(options, bytes, error);
    }

    @Override
    public int engineAdvanceClock(long engine, long byMs, long error) {
        return C.oncegate_engine_advance_clock(engine, byMs, error);
    }

    @Override
    public int beginQuick(
            long engine, long request, long options, long buffer, long admission, long error) {
        return C.oncegate_begin(engine, request, options, buffer, admission, error);
    }

    @Override
    public int begin(
            long engine, long request, long options, long buffer, long admission, long error) {
        return C.oncegate_begin(engine, request, options, buffer, admission, error);
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
    public int leaseComplete(long engine, long lease, long outcome, long stored, long error) {
        return C.oncegate_lease_complete(engine, lease, outcome, stored, error);
    }

    @Override
    public int leaseFail(
            long engine, long lease, int kind, long delayMs, long outcome, long error) {
        return C.oncegate_lease_fail(engine, lease, kind, delayMs, outcome, error);
    }

    @Override
    public int leaseAbandon(long engine, long lease, long error) {
        return C.oncegate_lease_abandon(engine, lease, error);
    }

    @Override
    public int metadataNext(long packed, long cursor, long name, long value, long error) {
        return C.oncegate_metadata_next(new ByValue(packed), cursor, name, value, error);
    }

    /** {@code oncegate_bytes}, as an argument. */
    @Structure.FieldOrder({"data", "len"})
    public static final class ByValue extends Structure implements Structure.ByValue {
        /** The first byte. */
        public long data;

        /** How many bytes. */
        public long len;

        /** For JNA, which makes one to learn the layout. */
        public ByValue() {}

        ByValue(long at) {
            super(new Pointer(at));
            read();
        }
    }

    /** The functions by their names in the header; a pointer is passed as the integer that it is. */
    private static final class C {
        static native int oncegate_abi_version();

        static native int oncegate_check_abi(int version, long error);

        static native int oncegate_engine_open(long options, long engine, long error);

        static native int oncegate_engine_close(long engine, long error);

        static native int oncegate_required_bytes(long options, long bytes, long error);

        static native int oncegate_engine_advance_clock(long engine, long byMs, long error);

        static native int oncegate_begin(
                long engine, long request, long options, long buffer, long admission, long error);

        static native int oncegate_lease_take_up(long engine, long lease, long info, long error);

        static native int oncegate_lease_renew(
                long engine, long lease, long durationMs, long remainingMs, long error);

        static native int oncegate_lease_complete(
                long engine, long lease, long outcome, long stored, long error);

        static native int oncegate_lease_fail(
                long engine, long lease, int kind, long delayMs, long outcome, long error);

        static native int oncegate_lease_abandon(long engine, long lease, long error);

        static native int oncegate_metadata_next(
                ByValue packed, long cursor, long name, long value, long error);
    }
}
