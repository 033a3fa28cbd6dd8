package dev.oncegate;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Locale;

/** Finds the native library, loads it once for the process, and checks that it fits. */
final class Library {
    /** The version of the header that this code was written by. */
    static final int ABI_VERSION = 1;

    private static final String PATH_PROPERTY = "oncegate.library.path";
    private static final String BINDING_PROPERTY = "oncegate.binding";
    private static final String FILE = "liboncegate.so";

    /** The first JVM in which foreign functions are final. */
    private static final int FFM_SINCE = 22;

    private static Path path;

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

    /** The file that was loaded. */
    static Path path() {
        return path;
    }

    private static Binding load() {
        String from = "";
        try {
            String named = System.getProperty(PATH_PROPERTY);
            if (named != null) {
                path = Path.of(named);
                from = "from " + path + " (" + PATH_PROPERTY + ")";
                if (!Files.isRegularFile(path)) {
                    throw new IOException("no such file");
                }
            } else {
                String resource = "META-INF/native/" + platform() + "/" + FILE;
                from = "from the resource " + resource;
                path = extracted(resource);
            }
            Binding binding = bind();
            if (Integer.compareUnsigned(binding.abiVersion(), ABI_VERSION) < 0) {
                throw new IOException("its ABI version is " + binding.abiVersion()
                        + ", and this class library needs " + ABI_VERSION);
            }
            return binding;
        } catch (IOException | RuntimeException | LinkageError cause) {
            Throwable first = cause;
            while (first.getCause() != null) {
                first = first.getCause();
            }
            throw new LibraryException("oncegate's native library was not loaded " + from
                    + " on " + platform() + ", Java " + Runtime.version().feature() + ": "
                    + first.getMessage() + ". Name a file with -D" + PATH_PROPERTY
                    + "=…, or a binding with -D" + BINDING_PROPERTY + "=ffm|jna.", cause);
        }
    }

    private static Binding bind() throws IOException {
        boolean ffm = Runtime.version().feature() >= FFM_SINCE;
        String wanted = System.getProperty(BINDING_PROPERTY, ffm ? "ffm" : "jna");
        switch (wanted) {
            case "jna":
                return new JnaBinding(path);
            case "ffm":
                if (!ffm) {
                    throw new IOException("the binding ffm needs Java " + FFM_SINCE);
                }
                return foreign();
            default:
                throw new IOException("there is no binding " + wanted);
        }
    }

    /** The class is in the part of the jar that only newer JVMs see. */
    private static Binding foreign() throws IOException {
        try {
            return (Binding) Class.forName("dev.oncegate.FfmBinding")
                    .getDeclaredConstructor(Path.class)
                    .newInstance(path);
        } catch (ReflectiveOperationException cause) {
            throw new IOException("the binding ffm is missing in this jar", cause);
        }
    }

    /** Operating system and architecture, as the resources are named. */
    static String platform() {
        String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String machine = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        if (machine.equals("amd64")) {
            machine = "x86_64";
        }
        return system.replace(" ", "") + "-" + machine;
    }

    /** Copies the library out of the jar, into a directory that only this user can enter. */
    private static Path extracted(String resource) throws IOException {
        try (InputStream in = Library.class.getClassLoader().getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("there is no such resource");
            }
            Path directory = Files.createTempDirectory("oncegate",
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
            Path file = directory.resolve(FILE);
            Files.copy(in, file);
            file.toFile().deleteOnExit();
            directory.toFile().deleteOnExit();
            return file;
        }
    }
}
