package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** What these classes know of the header, against the header and the library. */
class BindingTest {
    /** Functions of the header that are not called from Java, and why. */
    private static final Map<String, String> LEFT_OUT = Map.of(
            "oncegate_version", "a jar has one version, its own",
            "oncegate_check_abi", "the loader compares the numbers, and says both",
            "oncegate_waits_descriptor", "a JVM polls no descriptor that it did not open",
            "oncegate_timers_descriptor", "the same",
            "oncegate_due_open", "the same, and so the next three",
            "oncegate_due_descriptor", "workers wait in a call",
            "oncegate_due_advance", "Engine.advance",
            "oncegate_due_close", "none is opened");

    private static final Pattern FUNCTION = Pattern.compile(
            "(?:oncegate_status |uint32_t |const char \\*)(oncegate_\\w+)\\(([^)]*)\\);");

    /** Each function of the header, and the kinds of its parameters as {@link Export} has them. */
    private static Map<String, String> header() throws IOException {
        Path file = Path.of(System.getProperty("oncegate.root"), "ffi/include/oncegate.h");
        String text = Files.readString(file)
                .replaceAll("(?m)//.*$", "").replaceAll("(?s)/\\*.*?\\*/", "");
        Map<String, String> functions = new TreeMap<>();
        Matcher matcher = FUNCTION.matcher(text);
        while (matcher.find()) {
            StringBuilder kinds = new StringBuilder();
            for (String parameter : matcher.group(2).split(",")) {
                kinds.append(kind(parameter.strip()));
            }
            functions.put(matcher.group(1), kinds.toString());
        }
        return functions;
    }

    private static String kind(String parameter) {
        if (parameter.equals("void")) {
            return "";
        }
        if (parameter.contains("*")) {
            return "p";
        }
        return switch (parameter.replaceFirst(" \\w+$", "")) {
            case "struct oncegate_bytes" -> "b";
            case "uint32_t", "int32_t", "oncegate_status" -> "i";
            case "double" -> "d";
            case "uint64_t", "size_t" -> "p";
            default -> throw new AssertionError("a parameter of another kind: " + parameter);
        };
    }

    /** As {@link Export} gives them to the bindings. */
    private static String kinds(Export export) {
        StringBuilder kinds = new StringBuilder();
        for (int i = 0; i < export.parameters(); i++) {
            kinds.append(switch (export.parameter(i)) {
                case LONG -> 'p';
                case INT -> 'i';
                case DOUBLE -> 'd';
                case BYTES -> 'b';
            });
        }
        return kinds.toString();
    }

    /** The functions that have a method each, by the declarations that JNA needs. */
    static Map<String, String> direct() {
        Map<String, String> functions = new TreeMap<>();
        for (Class<?> inner : JnaBinding.class.getDeclaredClasses()) {
            for (Method method : inner.getDeclaredMethods()) {
                if (Modifier.isNative(method.getModifiers())) {
                    assertEquals(Set.of(long.class), method.getParameterCount() == 0
                            ? Set.of(long.class) : Set.of(method.getParameterTypes()[0]));
                    functions.put(method.getName(),
                            String.join("", Collections.nCopies(method.getParameterCount(), "p")));
                }
            }
        }
        return functions;
    }

    /**
     * Goal: every function of the header is called as the header says, or is left out on purpose.
     * Method: names and kinds of parameters of all, against the header of this tree.
     */
    @Test
    void functionsAreThoseOfTheHeader() throws IOException {
        Map<String, String> header = header();
        assertTrue(header.size() > 60, () -> "found only " + header.keySet());
        Map<String, String> here = new TreeMap<>(direct());
        here.put("oncegate_abi_version", "");
        assertEquals("ppppppp", here.get("oncegate_begin_batch"));
        for (Export export : Export.values()) {
            assertEquals(null, here.put(export.symbol(), kinds(export)), export.symbol());
        }
        for (String name : LEFT_OUT.keySet()) {
            assertTrue(header.containsKey(name), () -> name + " is not in the header");
            assertEquals(null, here.put(name, header.get(name)), name);
        }
        assertEquals(Set.of(), differences(header, here));
    }

    /** What only one of the two has. */
    private static Set<String> differences(Map<String, ?> there, Map<String, ?> here) {
        Set<String> only = new TreeSet<>();
        there.forEach((name, value) -> {
            if (!value.equals(here.get(name))) {
                only.add(name + ' ' + value + " there, " + here.get(name) + " here");
            }
        });
        here.forEach((name, value) -> {
            if (!there.containsKey(name)) {
                only.add(name + ' ' + value + " only here");
            }
        });
        return only;
    }

    /**
     * Goal: every structure and field that the library has is known here, at its place.
     * Method: the library's report against the layouts, in both directions; loading compares only
     * what these classes have.
     */
    @Test
    void layoutsAreThoseOfTheLibrary() throws Exception {
        Layouts library = Layouts.of(Library.BINDING);
        Map<String, Long> here = new TreeMap<>();
        for (Class<?> group : new Class<?>[] {Layout.class, RetryLayout.class}) {
            for (Class<?> structure : group.getDeclaredClasses()) {
                for (Field field : structure.getDeclaredFields()) {
                    String name = Layouts.name(structure);
                    here.put(field.getName().equals("SIZE") ? name
                            : name + "." + field.getName().toLowerCase(java.util.Locale.ROOT),
                            (long) field.getInt(null));
                }
            }
        }
        here.put("oncegate_layout", (long) Layouts.ENTRY);
        here.put("oncegate_layout.structure", (long) Layouts.STRUCTURE);
        here.put("oncegate_layout.field", (long) Layouts.FIELD);
        here.put("oncegate_layout.offset", (long) Layouts.OFFSET);
        here.put("oncegate_layout.size", (long) Layouts.SIZE);
        assertEquals(Set.of(), differences(library.known, here));
    }

    /**
     * Goal: a status is what the header calls it, and the engine's table has a text for it.
     * Method: each `#define` between ONCEGATE_OK and ONCEGATE_TOO_MANY_HANDLES.
     */
    @Test
    void statusesAreThoseOfTheHeader() throws IOException {
        Path file = Path.of(System.getProperty("oncegate.root"), "ffi/include/oncegate.h");
        String text = Files.readString(file);
        text = text.substring(text.indexOf("#define ONCEGATE_OK 0\n") + 1,
                text.indexOf("#define ONCEGATE_ON_OUTAGE_REFUSE"));
        Set<String> header = new TreeSet<>();
        Matcher matcher = Pattern.compile("#define ONCEGATE_(\\w+) (\\d+)\n").matcher(text);
        while (matcher.find()) {
            header.add(matcher.group(1) + " " + matcher.group(2));
        }
        Set<String> here = new TreeSet<>();
        Arrays.stream(Status.values()).forEach(status -> {
            here.add(status + " " + status.number());
            assertTrue(status.text().length() > 5, status::name);
        });
        assertEquals(header, here);
    }

    /**
     * Goal: whoever asks a store across machines in vain learns whether to ask again.
     * Method: the exceptions of both statuses of such a store.
     */
    @Test
    void tiersThatAreAwayComeBack() {
        OncegateException away = Refusal.of(Status.TIER_UNAVAILABLE).exception();
        OncegateException unsafe = Refusal.of(Status.TIER_UNSAFE).exception();
        assertEquals(TierException.class, away.getClass());
        assertEquals(TierException.class, unsafe.getClass());
        assertTrue(away.isTransient());
        assertFalse(unsafe.isTransient());
    }
}
