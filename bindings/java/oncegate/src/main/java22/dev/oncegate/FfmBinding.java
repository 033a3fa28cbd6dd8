package dev.oncegate;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * The library by the Foreign Function and Memory API, final since Java 22.
 *
 * <p>Pointers are passed as the 64-bit integers that they are, which the calling conventions of
 * the supported platforms put into the same registers: no segment is made for a call. The handles
 * are constants, so that calls are compiled into their callers.
 */
@SuppressWarnings("restricted") // This is what is restricted: native access.
final class FfmBinding implements Binding {
    FfmBinding(Path library) {
        C.load(library);
    }

    @Override
    public String name() {
        return "ffm";
    }

    @Override
    public long address(ByteBuffer direct) {
        return MemorySegment.ofBuffer(direct).address();
    }

    @Override
    public int abiVersion() {
        try {
            return (int) C.ABI_VERSION.invokeExact();
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int checkAbi(int version, long error) {
        try {
            return (int) C.CHECK_ABI.invokeExact(version, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int engineOpen(long options, long engine, long error) {
        try {
            return (int) C.ENGINE_OPEN.invokeExact(options, engine, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int engineClose(long engine, long error) {
        try {
            return (int) C.ENGINE_CLOSE.invokeExact(engine, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int requiredBytes(long options, long bytes, long error) {
        try {
            return (int) C.REQUIRED_BYTES.invokeExact(options, bytes, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int engineAdvanceClock(long engine, long byMs, long error) {
        try {
            return (int) C.ADVANCE_CLOCK.invokeExact(engine, byMs, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int beginQuick(
            long engine, long request, long options, long buffer, long admission, long error) {
        try {
            return (int) C.BEGIN_QUICK.invokeExact(
                    engine, request, options, buffer, admission, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int begin(
            long engine, long request, long options, long buffer, long admission, long error) {
        try {
            return (int) C.BEGIN.invokeExact(engine, request, options, buffer, admission, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int leaseTakeUp(long engine, long lease, long info, long error) {
        try {
            return (int) C.LEASE_TAKE_UP.invokeExact(engine, lease, info, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int leaseRenew(long engine, long lease, long durationMs, long remainingMs, long error) {
        try {
            return (int) C.LEASE_RENEW.invokeExact(engine, lease, durationMs, remainingMs, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int leaseComplete(long engine, long lease, long outcome, long stored, long error) {
        try {
            return (int) C.LEASE_COMPLETE.invokeExact(engine, lease, outcome, stored, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int leaseFail(
            long engine, long lease, int kind, long delayMs, long outcome, long error) {
        try {
            return (int) C.LEASE_FAIL.invokeExact(engine, lease, kind, delayMs, outcome, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int leaseAbandon(long engine, long lease, long error) {
        try {
            return (int) C.LEASE_ABANDON.invokeExact(engine, lease, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int metadataNext(long packed, long cursor, long name, long value, long error) {
        try {
            return (int) C.METADATA_NEXT.invokeExact(
                    byValue(packed), cursor, name, value, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    /** The {@code oncegate_bytes} at an address, as an argument. */
    private static MemorySegment byValue(long at) {
        return MemorySegment.ofAddress(at).reinterpret(C.BYTES.byteSize());
    }

    private static Error unexpected(Throwable thrown) {
        if (thrown instanceof Error error) {
            return error;
        }
        return new AssertionError("a foreign call throws nothing", thrown);
    }

    /** The functions, bound when the library has been loaded. */
    private static final class C {
        private static SymbolLookup symbols;

        // Nothing that is critical may block or take long: such a call holds up the collector.
        private static final Linker.Option QUICK = Linker.Option.critical(false);

        static final MemoryLayout BYTES = MemoryLayout.structLayout(JAVA_LONG, JAVA_LONG);

        static final MethodHandle ABI_VERSION = bind("abi_version", QUICK);
        static final MethodHandle CHECK_ABI = bind("check_abi", JAVA_INT, JAVA_LONG);
        static final MethodHandle ENGINE_OPEN =
                bind("engine_open", JAVA_LONG, JAVA_LONG, JAVA_LONG);
        static final MethodHandle ENGINE_CLOSE = bind("engine_close", JAVA_LONG, JAVA_LONG);
        static final MethodHandle REQUIRED_BYTES =
                bind("required_bytes", JAVA_LONG, JAVA_LONG, JAVA_LONG);
        static final MethodHandle ADVANCE_CLOCK =
                bind("engine_advance_clock", JAVA_LONG, JAVA_LONG, JAVA_LONG);
        static final MethodHandle BEGIN_QUICK = bind("begin", QUICK, longs(6));
        static final MethodHandle BEGIN = bind("begin", longs(6));
        static final MethodHandle LEASE_TAKE_UP = bind("lease_take_up", QUICK, longs(4));
        static final MethodHandle LEASE_RENEW = bind("lease_renew", QUICK, longs(5));
        static final MethodHandle LEASE_COMPLETE = bind("lease_complete", QUICK, longs(5));
        static final MethodHandle LEASE_FAIL = bind("lease_fail", QUICK,
                JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG);
        static final MethodHandle LEASE_ABANDON = bind("lease_abandon", QUICK, longs(3));

        static final MethodHandle METADATA_NEXT = bind("metadata_next",
                BYTES, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

        static void load(Path library) {}

        private static MemoryLayout[] longs(int count) {
            MemoryLayout[] layouts = new MemoryLayout[count];
            java.util.Arrays.fill(layouts, JAVA_LONG);
            return layouts;
        }

        private static MethodHandle bind(String name, MemoryLayout... arguments) {
            return bind(name, null, arguments);
        }

        private static MethodHandle bind(String name, Linker.Option option, MemoryLayout... arguments) {
            if (symbols == null) {
                symbols = SymbolLookup.libraryLookup(Library.path(), Arena.global());
            }
            MemorySegment symbol = symbols.find("oncegate_" + name)
                    .orElseThrow(() -> new UnsatisfiedLinkError("oncegate_" + name));
            FunctionDescriptor descriptor = FunctionDescriptor.of(JAVA_INT, arguments);
            Linker linker = Linker.nativeLinker();
            return option == null
                    ? linker.downcallHandle(symbol, descriptor)
                    : linker.downcallHandle(symbol, descriptor, option);
        }
    }
}
