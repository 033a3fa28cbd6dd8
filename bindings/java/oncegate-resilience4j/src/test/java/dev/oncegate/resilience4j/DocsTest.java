package dev.oncegate.resilience4j;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The page of this module. */
class DocsTest {
    /**
     * Goal: the code of the page compiles, and prints what the page says.
     * Method: compiled and run as it stands.
     */
    @Test
    void theCodeOfThePage(@TempDir Path folder) throws Exception {
        String page = Files.readString(
                Path.of(System.getProperty("basedir"), "../../../docs/resilience4j.md"));
        Path source = Files.writeString(folder.resolve("Charges.java"), block(page, "java"));
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        int failed = ToolProvider.getSystemJavaCompiler().run(null, null, said, "-Xlint:all",
                "-Werror", "-classpath", System.getProperty("java.class.path"), "-d",
                folder.toString(), source.toString());
        assertEquals(0, failed, said::toString);
        PrintStream console = System.out;
        ByteArrayOutputStream printed = new ByteArrayOutputStream();
        try (URLClassLoader loader = new URLClassLoader(new URL[] {folder.toUri().toURL()})) {
            System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
            loader.loadClass("Charges").getMethod("main", String[].class)
                    .invoke(null, (Object) new String[0]);
        } finally {
            System.setOut(console);
        }
        assertEquals(block(page, "text"), printed.toString(StandardCharsets.UTF_8));
    }

    private static String block(String page, String language) {
        String fence = "```" + language + "\n";
        int from = page.indexOf(fence) + fence.length();
        return page.substring(from, page.indexOf("```", from));
    }
}
