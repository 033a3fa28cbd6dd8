package dev.oncegate.bench;

import com.sun.jna.Native;
import java.lang.invoke.MethodHandle;
import java.lang.reflect.Array;
import java.util.Optional;

/** A function of the C library that does nearly nothing, by the binding that is measured. */
final class Trivial {
    private static final boolean JNA = "jna".equals(System.getProperty("oncegate.binding", "ffm"));

    private Trivial() {}

    /** Calls {@code abs}. */
    static int call(int number) {
        return JNA ? ByJna.abs(number) : ByForeignFunctions.abs(number);
    }

    private static final class ByJna {
        static {
            Native.register("c");
        }

        static native int abs(int number);
    }

    /** Made by reflection: this module is compiled for JVMs that do not have them. */
    private static final class ByForeignFunctions {
        private static final MethodHandle ABS = handle();

        static int abs(int number) {
            try {
                return (int) ABS.invokeExact(number);
            } catch (Throwable thrown) {
                throw new AssertionError(thrown);
            }
        }

        private static MethodHandle handle() {
            try {
                Class<?> linkers = Class.forName("java.lang.foreign.Linker");
                Class<?> layouts = Class.forName("java.lang.foreign.MemoryLayout");
                Class<?> options = Class.forName("java.lang.foreign.Linker$Option");
                Class<?> descriptors = Class.forName("java.lang.foreign.FunctionDescriptor");
                Object layout = Class.forName("java.lang.foreign.ValueLayout")
                        .getField("JAVA_INT").get(null);
                Object parameters = Array.newInstance(layouts, 1);
                Array.set(parameters, 0, layout);
                Object descriptor = descriptors
                        .getMethod("of", layouts, parameters.getClass())
                        .invoke(null, layout, parameters);
                Object linker = linkers.getMethod("nativeLinker").invoke(null);
                Object lookup = linkers.getMethod("defaultLookup").invoke(linker);
                Optional<?> symbol = (Optional<?>) Class.forName("java.lang.foreign.SymbolLookup")
                        .getMethod("find", String.class).invoke(lookup, "abs");
                Object none = Array.newInstance(options, 0);
                return (MethodHandle) linkers.getMethod("downcallHandle",
                                Class.forName("java.lang.foreign.MemorySegment"), descriptors,
                                none.getClass())
                        .invoke(linker, symbol.orElseThrow(), descriptor, none);
            } catch (ReflectiveOperationException impossible) {
                throw new AssertionError(impossible);
            }
        }
    }
}
