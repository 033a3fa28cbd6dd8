package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledForJreRange;
import org.junit.jupiter.api.condition.JRE;
import org.junit.jupiter.api.io.TempDir;

/** Loading the native library: from the jar or from a file, and what it says where it fails. */
class LibraryTest {
    private static final String EXPECTED = System.getProperty("oncegate.expected");
    private static final String PATH = "-Doncegate.library.path=";
    private static final String BINDING = "-Doncegate.binding=";

    @TempDir
    private Path directory;

    private static String place(Class<?> known) throws Exception {
        return Path.of(known.getProtectionDomain().getCodeSource().getLocation().toURI())
                .toString();
    }

    private static String jna() throws Exception {
        return place(Class.forName("com.sun.jna.Native"));
    }

    /** Runs {@link Loads} in a process of its own; the lines that it prints. */
    private List<String> loadsFrom(String classPath, String... options) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin/java").toString());
        if (Runtime.version().feature() >= 22) {
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        command.add("-Djava.io.tmpdir=" + Files.createDirectories(directory.resolve("tmp")));
        command.addAll(List.of(options));
        command.addAll(List.of("-cp", classPath, Loads.class.getName()));
        Path out = directory.resolve("out");
        // JVMs warn of what they load there.
        Process process = new ProcessBuilder(command).redirectOutput(out.toFile())
                .redirectError(directory.resolve("errors").toFile()).start();
        assertTrue(process.waitFor(60, TimeUnit.SECONDS));
        List<String> lines = Files.readAllLines(out);
        assertEquals(0, process.exitValue(), Files.readString(directory.resolve("errors")));
        return lines;
    }

    private List<String> loads(String... options) throws Exception {
        return loadsFrom(String.join(File.pathSeparator,
                place(Engine.class), place(Loads.class), jna()), options);
    }

    /** Refused twice, in the same words. */
    private static void refused(List<String> lines, String... words) {
        assertEquals(2, lines.size(), () -> String.join("\n", lines));
        assertEquals(lines.get(0), lines.get(1));
        for (String word : words) {
            assertTrue(lines.get(0).contains(word), () -> lines.get(0) + "\nhas no " + word);
        }
        assertTrue(lines.get(0).startsWith("UNSUPPORTED: the native library was not"));
        assertTrue(lines.get(0).endsWith("name a file by -Doncegate.library.path=<file>, a binding"
                + " by -Doncegate.binding=ffm or jna"), lines.get(0));
    }

    /** A library of this C code. */
    private String compiled(String code) throws Exception {
        Path source = directory.resolve("other.c");
        Path library = directory.resolve("libother.so");
        Files.writeString(source, code, StandardCharsets.UTF_8);
        Process cc = new ProcessBuilder("cc", "-shared", "-fPIC", "-o", library.toString(),
                source.toString()).inheritIO().start();
        assertTrue(cc.waitFor(60, TimeUnit.SECONDS));
        assertEquals(0, cc.exitValue());
        return library.toString();
    }

    /**
     * Goal: these tests run by the binding that they are meant to, and on the jar.
     * Method: its name, and where the classes come from.
     */
    @Test
    void theBindingIsTheExpectedOne() throws Exception {
        assertEquals(EXPECTED, Library.BINDING.name());
        assertTrue(place(Engine.class).endsWith(".jar"), place(Engine.class));
    }

    /**
     * Goal: the library is loaded from the jar, or from the file that was named, by the binding
     * that was named, and leaves nothing behind.
     * Method: processes of their own; what is in their directory for temporary files afterwards.
     */
    @Test
    void itIsLoadedFromTheJarOrAFile() throws Exception {
        String replays = " Replayed[outcome=Outcome[200, 0 bytes, 0 pairs]]";
        String usual = Runtime.version().feature() >= 22 ? "ffm" : "jna";
        assertEquals(List.of(usual + replays, usual + replays), loads());
        Path file = directory.resolve("named.so");
        try (var in = Engine.class.getClassLoader().getResourceAsStream(
                "META-INF/native/" + Library.platform() + "/liboncegate.so")) {
            Files.copy(in, file);
        }
        assertEquals(List.of("jna" + replays, "jna" + replays),
                loads(PATH + file, BINDING + "jna"));
        try (Stream<Path> left = Files.list(directory.resolve("tmp"))) {
            // JNA has a directory of its own.
            assertEquals(List.of(), left.map(path -> path.getFileName().toString())
                    .filter(name -> name.startsWith("oncegate")).toList());
        }
    }

    /**
     * Goal: on a JVM that has foreign functions nobody needs JNA; below its absence is said.
     * Method: a class path without it.
     */
    @Test
    void withoutJna() throws Exception {
        String classes = place(Engine.class) + File.pathSeparator + place(Loads.class);
        refused(loadsFrom(classes, BINDING + "jna"),
                "net.java.dev.jna:jna is not on the class path");
        if (Runtime.version().feature() >= 22) {
            assertTrue(loadsFrom(classes).get(0).startsWith("ffm Replayed"));
        }
    }

    /**
     * Goal: a file that cannot be loaded is named, with the reason and what to do.
     * Method: no file, a file that is no library, and names of bindings that there are not.
     */
    @Test
    void whatCannotBeLoadedIsNamed() throws Exception {
        Path missing = directory.resolve("missing.so");
        refused(loads(PATH + missing), "there is no such file", missing.toString(),
                "with Java " + Runtime.version().feature(), Library.platform());
        Path text = Files.writeString(directory.resolve("text.so"), "no library");
        refused(loads(PATH + text, BINDING + EXPECTED), text.toString());
        refused(loads(BINDING + "rmi"), "there is no binding rmi");
    }

    /**
     * Goal: where the jar brings no library for the platform, that is what it says.
     * Method: another name of the operating system.
     */
    @Test
    void aPlatformWithoutALibraryIsNamed() throws Exception {
        refused(loads("-Dos.name=Plan 9", BINDING + "jna"),
                "there is no such resource", "META-INF/native/plan9-");
    }

    /**
     * Goal: a library of an older version, or one that lacks a function, is refused when it is
     * loaded.
     * Method: libraries made of a few lines of C.
     */
    @Test
    void anotherLibraryIsRefused() throws Exception {
        String older = compiled("int oncegate_abi_version(void) { return 0; }\n");
        refused(loads(PATH + older, BINDING + EXPECTED), "its ABI version is 0; needed: 1");
        String foreign = compiled("int oncegate_abi_version(void) { return 1; }\n");
        refused(loads(PATH + foreign, BINDING + EXPECTED), "oncegate_layouts");
        String none = compiled("int something(void) { return 1; }\n");
        refused(loads(PATH + none, BINDING + EXPECTED), "oncegate_abi_version");
    }

    /**
     * Goal: a library with another layout of a structure is refused, by the name of what differs.
     * Method: one that has every function, and tells the same but of one field; and one that does
     * not know that field.
     */
    @Test
    void anotherLayoutIsRefused() throws Exception {
        Map<String, Long> layouts = new TreeMap<>(Layouts.of(Library.BINDING).known);
        layouts.put("oncegate_outcome.body", 24L);
        refused(loads(PATH + compiled(library(layouts)), BINDING + EXPECTED),
                "in it oncegate_outcome.body is at or has 24 bytes; these classes expect 16");
        layouts.remove("oncegate_outcome.body");
        refused(loads(PATH + compiled(library(layouts)), BINDING + EXPECTED),
                "it has no oncegate_outcome.body");
    }

    /** A library that has every function, and these layouts. */
    private static String library(Map<String, Long> layouts) {
        StringBuilder code = new StringBuilder("#include <string.h>\n"
                + "int oncegate_abi_version(void) { return 1; }\n"
                + "struct layout { const char *s, *f; unsigned long o, z; };\n"
                + "static const struct layout known[] = {\n");
        layouts.forEach((name, value) -> {
            String[] parts = name.split("\\.");
            code.append(parts.length == 1
                    ? String.format("{\"%s\", 0, 0, %d},\n", name, value)
                    : String.format("{\"%s\", \"%s\", %d, 8},\n", parts[0], parts[1], value));
        });
        code.append("};\nint oncegate_layouts("
                + "struct layout *l, unsigned long n, unsigned long *count, void *e) {\n"
                + "*count = sizeof known / sizeof *known;\n"
                + "if (n >= *count) memcpy(l, known, sizeof known);\nreturn 0; }\n");
        for (Export export : Export.values()) {
            if (export != Export.LAYOUTS) {
                code.append("int ").append(export.symbol()).append("(void) { return 0; }\n");
            }
        }
        for (String direct : BindingTest.direct().keySet()) {
            code.append("int ").append(direct).append("(void) { return 0; }\n");
        }
        return code.toString();
    }

    /**
     * Goal: a JVM without final foreign functions says so.
     * Method: their binding by its name.
     */
    @Test
    @EnabledForJreRange(max = JRE.JAVA_21)
    void foreignFunctionsNeedANewerJvm() throws Exception {
        refused(loads(BINDING + "ffm"), "the binding ffm needs Java 22");
    }
}
