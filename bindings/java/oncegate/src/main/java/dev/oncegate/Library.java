package dev.oncegate;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;
import java.util.stream.Collectors;

/** Finds the native library, loads it once for the process, and checks that it fits. */
final class Library {
    /** The version of the header that this code was written by. */
    static final int ABI_VERSION = 1;

    private static final String PATH_PROPERTY = "oncegate.library.path";
    private static final String BINDING_PROPERTY = "oncegate.binding";
    private static final String FILE = "liboncegate.so";

    /** The directory of the copy: nobody else can put a file there, or read it. */
    private static final FileAttribute<?> ONLY_MINE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"));

    /** The first JVM in which foreign functions are final. */
    private static final int FFM_SINCE = 22;

    /** Null where loading failed; {@link #require} says why. */
    static final Binding BINDING;

    private static final LibraryException FAILURE;

    static {
        Binding binding = null;
        LibraryException failure = null;
        try {
            binding = load();
        } catch (LibraryException refused) {
            failure = refused;
        }
        BINDING = binding;
        FAILURE = failure;
    }

    private Library() {}

    /** Throws what went wrong, where loading failed. */
    static void require() {
        if (FAILURE != null) {
            throw new LibraryException(FAILURE.getMessage(), FAILURE);
        }
    }

    private static Binding load() {
        String named = System.getProperty(PATH_PROPERTY);
        String resource = "META-INF/native/" + platform() + "/" + FILE;
        try {
            if (named != null) {
                Path file = Path.of(named);
                if (!Files.isRegularFile(file)) {
                    throw new IOException("there is no such file");
                }
                return checked(bind(file.toAbsolutePath()));
            }
            Path directory = Files.createTempDirectory("oncegate", ONLY_MINE);
            Path file = directory.resolve(FILE);
            try {
                extract(resource, file);
                return checked(bind(file));
            } finally {
                // What is mapped stays; nothing is left behind, however this process ends.
                Files.deleteIfExists(file);
                Files.delete(directory);
            }
        } catch (IOException | RuntimeException | LinkageError cause) {
            String from = named != null
                    ? named + ", which " + PATH_PROPERTY + " names"
                    : "the resource " + resource;
            throw new LibraryException("the native library was not loaded: " + rootOf(cause)
                    + "; looked for " + from + "; on " + platform() + " with Java "
                    + Runtime.version().feature() + "; name a file by -D" + PATH_PROPERTY
                    + "=<file>, a binding by -D" + BINDING_PROPERTY + "=ffm or jna", cause);
        }
    }

    private static String rootOf(Throwable cause) {
        Throwable root = cause;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        // The message of JNA goes on with where it looked for what it was not asked for.
        return root.getMessage() == null
                ? root.toString()
                : root.getMessage().lines().limit(2).collect(Collectors.joining(" "));
    }

    private static Binding checked(Binding binding) throws IOException {
        int version = binding.abiVersion();
        if (Integer.compareUnsigned(version, ABI_VERSION) < 0) {
            throw new IOException("its ABI version is " + version + "; needed: " + ABI_VERSION);
        }
        binding.bind();
        Layouts layouts = Layouts.of(binding);
        layouts.check(Layout.class);
        layouts.check(RetryLayout.class);
        return binding;
    }

    private static Binding bind(Path file) throws IOException {
        boolean ffm = Runtime.version().feature() >= FFM_SINCE;
        String wanted = System.getProperty(BINDING_PROPERTY, ffm ? "ffm" : "jna");
        switch (wanted) {
            case "jna":
                try {
                    return new JnaBinding(file);
                } catch (NoClassDefFoundError cause) {
                    throw new IOException("net.java.dev.jna:jna is not on the class path", null);
                }
            case "ffm":
                if (!ffm) {
                    throw new IOException("the binding ffm needs Java " + FFM_SINCE);
                }
                return foreign(file);
            default:
                throw new IOException("there is no binding " + wanted);
        }
    }

    /** The class is in the part of the jar that only newer JVMs see. */
    private static Binding foreign(Path file) throws IOException {
        try {
            return (Binding) Class.forName("dev.oncegate.FfmBinding")
                    .getDeclaredConstructor(Path.class)
                    .newInstance(file);
        } catch (ClassNotFoundException cause) {
            throw new IOException("this copy of the classes has no META-INF/versions/22", null);
        } catch (InvocationTargetException cause) {
            throw new IOException(cause.getTargetException());
        } catch (ReflectiveOperationException cause) {
            throw new IOException(cause);
        }
    }

    /** Operating system and architecture, as the resources are named. */
    static String platform() {
        String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String machine = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        return system.replace(" ", "") + "-" + (machine.equals("amd64") ? "x86_64" : machine);
    }

    private static void extract(String resource, Path file) throws IOException {
        try (InputStream in = Library.class.getClassLoader().getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("there is no such resource");
            }
            Files.copy(in, file);
        }
    }
}
