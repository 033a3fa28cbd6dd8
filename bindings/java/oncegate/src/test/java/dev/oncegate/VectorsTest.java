package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Conformance vectors, which every language runs. {@code tests/vectors/README.md} says what a
 * vector is, and what the environment asks a runner for.
 */
class VectorsTest {
    /**
     * Goal: the binding does what the vectors say, like every other language.
     * Method: every vector of every file, on an engine of its own.
     */
    @Test
    void everyVectorHolds() throws IOException {
        List<Path> paths;
        try (Stream<Path> all = Files.list(folder())) {
            paths = all.filter(path -> path.toString().endsWith(".json")).sorted().toList();
        }
        assertFalse(paths.isEmpty(), "no vectors in " + folder());
        List<String> report = new ArrayList<>();
        for (Path path : paths) {
            JsonElement file = JsonParser.parseString(Files.readString(path));
            for (JsonElement vector : file.getAsJsonObject().getAsJsonArray("vectors")) {
                report.add(line(vector.getAsJsonObject()));
            }
        }
        String where = System.getenv("ONCEGATE_VECTORS_REPORT");
        if (where != null) {
            // One for each binding and JVM that the tests run on.
            String binding = System.getProperty("oncegate.expected", "")
                    + "-" + Runtime.version().feature();
            Files.write(Path.of(where + "." + binding), report);
        }
        List<String> failed = report.stream().filter(line -> line.startsWith("failed")).toList();
        boolean mayFail = "1".equals(System.getenv("ONCEGATE_VECTORS_TWISTED"));
        assertTrue(mayFail || failed.isEmpty(), () -> String.join("\n", failed));
    }

    private static Path folder() {
        String given = System.getenv("ONCEGATE_VECTORS");
        String root = System.getProperty("oncegate.root", "../../..");
        return given != null ? Path.of(given) : Path.of(root, "tests", "vectors");
    }

    private static String line(JsonObject vector) {
        String id = vector.get("id").getAsString();
        try {
            VectorRun.run(new VectorFields(vector.deepCopy()));
            return "ok " + id;
        } catch (RuntimeException | LinkageError why) {
            return "failed " + id + ": " + why.toString().replace('\n', ' ');
        }
    }
}
