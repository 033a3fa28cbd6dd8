package dev.oncegate;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.invoke.MethodType.methodType;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The library by the Foreign Function and Memory API, final since Java 22.
 *
 * <p>Pointers are passed as the 64-bit integers that they are, which the calling conventions of
 * the supported platforms put into the same registers: no segment is made for a call. The handles
 * of what is called often are constants, so that calls are compiled into their callers.
 */
@SuppressWarnings("restricted") // This is what is restricted: native access.
final class FfmBinding implements Binding {
    /** Set before {@link C} is made. */
    private static SymbolLookup symbols;

    /** By ordinal; made when first called, since each takes some hundred microseconds. */
    private final MethodHandle[] functions = new MethodHandle[Export.values().length];

    FfmBinding(Path library) {
        symbols = SymbolLookup.libraryLookup(library, Arena.global());
    }

    @Override
    public void bind() {
        for (Export export : Export.values()) {
            symbol(export.symbol());
        }
        C.BEGIN.type();
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
    public byte[] read(long address, int length) {
        return MemorySegment.ofAddress(address).reinterpret(length).toArray(JAVA_BYTE);
    }

    @Override
    public String text(long address) {
        return MemorySegment.ofAddress(address).reinterpret(Long.MAX_VALUE).getString(0);
    }

    @Override
    public int call(Export export, long... arguments) {
        // Racy, and harmless: a handle is immutable, and any of several is as good.
        MethodHandle handle = functions[export.ordinal()];
        if (handle == null) {
            handle = bind(export);
            functions[export.ordinal()] = handle;
        }
        try {
            return (int) handle.invokeExact(arguments);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int abiVersion() {
        try {
            return (int) Linker.nativeLinker()
                    .downcallHandle(symbol("oncegate_abi_version"), FunctionDescriptor.of(JAVA_INT))
                    .invokeExact();
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
    public int beginBatch(
            long engine, long requests, long count, long options, long buffer, long admissions,
            long error) {
        try {
            return (int) C.BEGIN_BATCH.invokeExact(
                    engine, requests, count, options, buffer, admissions, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int beginBatchQuick(
            long engine, long requests, long count, long options, long buffer, long admissions,
            long error) {
        try {
            return (int) C.BEGIN_BATCH_QUICK.invokeExact(
                    engine, requests, count, options, buffer, admissions, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int beginHashed(
            long engine, long hashed, long options, long buffer, long admission, long error) {
        try {
            return (int) C.BEGIN_HASHED.invokeExact(
                    engine, hashed, options, buffer, admission, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int beginHashedQuick(
            long engine, long hashed, long options, long buffer, long admission, long error) {
        try {
            return (int) C.BEGIN_HASHED_QUICK.invokeExact(
                    engine, hashed, options, buffer, admission, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int beginHashedBatch(
            long engine, long hashed, long count, long options, long buffer, long admissions,
            long error) {
        try {
            return (int) C.BEGIN_HASHED_BATCH.invokeExact(
                    engine, hashed, count, options, buffer, admissions, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    @Override
    public int beginHashedBatchQuick(
            long engine, long hashed, long count, long options, long buffer, long admissions,
            long error) {
        try {
            return (int) C.BEGIN_HASHED_BATCH_QUICK.invokeExact(
                    engine, hashed, count, options, buffer, admissions, error);
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
    public int leaseRenewQuick(
            long engine, long lease, long durationMs, long remainingMs, long error) {
        try {
            return (int) C.LEASE_RENEW_QUICK.invokeExact(
                    engine, lease, durationMs, remainingMs, error);
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
    public int leaseCompleteQuick(long engine, long lease, long outcome, long stored, long error) {
        try {
            return (int) C.LEASE_COMPLETE_QUICK.invokeExact(engine, lease, outcome, stored, error);
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
    public int leaseAbandonQuick(long engine, long lease, long error) {
        try {
            return (int) C.LEASE_ABANDON_QUICK.invokeExact(engine, lease, error);
        } catch (Throwable thrown) {
            throw unexpected(thrown);
        }
    }

    private static Error unexpected(Throwable thrown) {
        if (thrown instanceof Error error) {
            return error;
        }
        return new AssertionError("a foreign call throws nothing", thrown);
    }

    private static MemorySegment symbol(String name) {
        return symbols.find(name).orElseThrow(
                () -> new UnsatisfiedLinkError("the library has no function " + name));
    }

    /** A handle that takes an array of longs, as {@link #call} has them. */
    private MethodHandle bind(Export export) {
        int count = export.parameters();
        MemoryLayout[] layouts = new MemoryLayout[count];
        for (int i = 0; i < count; i++) {
            layouts[i] = switch (export.parameter(i)) {
                case LONG -> JAVA_LONG;
                case INT -> JAVA_INT;
                case DOUBLE -> JAVA_DOUBLE;
                case BYTES -> C.BYTES;
            };
        }
        MethodHandle handle = Linker.nativeLinker().downcallHandle(
                symbol(export.symbol()), FunctionDescriptor.of(JAVA_INT, layouts));
        for (int i = 0; i < count; i++) {
            switch (export.parameter(i)) {
                case DOUBLE -> handle = MethodHandles.filterArguments(handle, i, C.TO_DOUBLE);
                case BYTES -> handle = MethodHandles.filterArguments(handle, i, C.TO_BYTES);
                default -> { }
            }
        }
        Class<?>[] longs = new Class<?>[count];
        Arrays.fill(longs, long.class);
        MethodType type = methodType(int.class, longs);
        return MethodHandles.explicitCastArguments(handle, type).asSpreader(long[].class, count);
    }

    /** The {@code oncegate_bytes} at an address, as an argument. */
    private static MemorySegment bytes(long at) {
        return MemorySegment.ofAddress(at).reinterpret(C.BYTES.byteSize());
    }

    /** What is bound when the library has been loaded. */
    private static final class C {
        /** Nothing that is called so may block or take long. */
        private static final Linker.Option QUICK = Linker.Option.critical(false);

        static final MemoryLayout BYTES = MemoryLayout.structLayout(JAVA_LONG, JAVA_LONG);
        static final MethodHandle TO_DOUBLE;
        static final MethodHandle TO_BYTES;

        static {
            try {
                MethodHandles.Lookup lookup = MethodHandles.lookup();
                TO_DOUBLE = lookup.findStatic(
                        Double.class, "longBitsToDouble", methodType(double.class, long.class));
                TO_BYTES = lookup.findStatic(
                        FfmBinding.class, "bytes", methodType(MemorySegment.class, long.class));
            } catch (ReflectiveOperationException impossible) {
                throw new AssertionError(impossible);
            }
        }

        static final MethodHandle BEGIN = bind("begin", 6);
        static final MethodHandle BEGIN_QUICK = bind("begin", 6, QUICK);
        static final MethodHandle BEGIN_BATCH = bind("begin_batch", 7);
        static final MethodHandle BEGIN_BATCH_QUICK = bind("begin_batch", 7, QUICK);
        static final MethodHandle BEGIN_HASHED = bind("begin_hashed", 6);
        static final MethodHandle BEGIN_HASHED_QUICK = bind("begin_hashed", 6, QUICK);
        static final MethodHandle BEGIN_HASHED_BATCH = bind("begin_hashed_batch", 7);
        static final MethodHandle BEGIN_HASHED_BATCH_QUICK = bind("begin_hashed_batch", 7, QUICK);
        static final MethodHandle LEASE_TAKE_UP = bind("lease_take_up", 4, QUICK);
        static final MethodHandle LEASE_RENEW = bind("lease_renew", 5);
        static final MethodHandle LEASE_RENEW_QUICK = bind("lease_renew", 5, QUICK);
        static final MethodHandle LEASE_COMPLETE = bind("lease_complete", 5);
        static final MethodHandle LEASE_COMPLETE_QUICK = bind("lease_complete", 5, QUICK);
        static final MethodHandle LEASE_ABANDON = bind("lease_abandon", 3);
        static final MethodHandle LEASE_ABANDON_QUICK = bind("lease_abandon", 3, QUICK);

        private static MethodHandle bind(String name, int parameters, Linker.Option... options) {
            MemoryLayout[] longs = new MemoryLayout[parameters];
            Arrays.fill(longs, JAVA_LONG);
            return Linker.nativeLinker().downcallHandle(
                    symbol("oncegate_" + name),
                    FunctionDescriptor.of(JAVA_INT, longs),
                    options);
        }
    }
}
