package dev.oncegate;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;

/**
 * Fields of a JSON object that have not been read yet: each is taken out as it is read, and what
 * is left at the end is a mistake.
 */
final class VectorFields {
    private final JsonObject left;

    VectorFields(JsonObject left) {
        this.left = left;
    }

    static VectorFields of(JsonElement element) {
        if (!element.isJsonObject()) {
            throw new VectorFailure("an object is expected, and not " + element);
        }
        return new VectorFields(element.getAsJsonObject());
    }

    boolean has(String name) {
        return left.has(name);
    }

    JsonElement take(String name) {
        return left.remove(name);
    }

    /** An empty object where there is none. */
    VectorFields object(String name) {
        JsonElement value = take(name);
        return value == null ? new VectorFields(new JsonObject()) : of(value);
    }

    List<JsonElement> list(String name) {
        JsonElement value = take(name);
        if (value == null) {
            return List.of();
        }
        if (!value.isJsonArray()) {
            throw new VectorFailure(name + ": a list is expected, and not " + value);
        }
        return value.getAsJsonArray().asList();
    }

    List<String> texts(String name) {
        return list(name).stream().map(value -> primitive(name, value).getAsString()).toList();
    }

    String text(String name, String fallback) {
        JsonElement value = take(name);
        if (value == null) {
            return fallback;
        }
        JsonPrimitive text = primitive(name, value);
        if (!text.isString()) {
            throw new VectorFailure(name + ": text is expected, and not " + value);
        }
        return text.getAsString();
    }

    String text(String name) {
        String text = text(name, null);
        if (text == null) {
            throw new VectorFailure("`" + name + "` is missing");
        }
        return text;
    }

    long number(String name, long fallback) {
        JsonElement value = take(name);
        return value == null ? fallback : number(name, value);
    }

    static long number(String name, JsonElement value) {
        try {
            return Long.parseLong(primitive(name, value).getAsString());
        } catch (NumberFormatException none) {
            throw new VectorFailure(name + ": a whole number is expected, and not " + value);
        }
    }

    double real(String name, double fallback) {
        JsonElement value = take(name);
        return value == null ? fallback : primitive(name, value).getAsDouble();
    }

    OptionalDouble real(String name) {
        return has(name) ? OptionalDouble.of(real(name, 0)) : OptionalDouble.empty();
    }

    Duration millis(String name) {
        return Duration.ofMillis(number(name, 0));
    }

    boolean flag(String name) {
        JsonElement value = take(name);
        if (value != null && !primitive(name, value).isBoolean()) {
            throw new VectorFailure(name + ": true or false is expected, and not " + value);
        }
        return value != null && value.getAsBoolean();
    }

    /** The text of this name, or the hexadecimal digits of the one with _hex behind it; or null. */
    byte[] bytes(String name) {
        if (has(name)) {
            return text(name).getBytes(StandardCharsets.UTF_8);
        }
        String digits = text(name + "_hex", null);
        return digits == null ? null : HexFormat.of().parseHex(digits);
    }

    <T> T choice(String name, String fallback, Map<String, T> choices) {
        String given = text(name, fallback);
        if (!choices.containsKey(given)) {
            throw new VectorFailure(name + ": there is no " + given);
        }
        return choices.get(given);
    }

    /** Compares what was found with what is expected under this name, if anything is. */
    void same(String name, Object found) {
        JsonElement expected = take(name);
        if (expected != null && !expected.equals(json(found))) {
            throw new VectorFailure(name + ": expected " + expected + ", found " + found);
        }
    }

    private static JsonElement json(Object value) {
        if (value instanceof List<?> items) {
            JsonArray array = new JsonArray();
            items.forEach(item -> array.add(json(item)));
            return array;
        }
        if (value instanceof Boolean flag) {
            return new JsonPrimitive(flag);
        }
        return value instanceof Number number
                ? new JsonPrimitive(number) : new JsonPrimitive(value.toString());
    }

    void finish(String what) {
        List<String> names = new ArrayList<>(left.keySet());
        if (!names.isEmpty()) {
            throw new VectorFailure(what + ": nothing is known of `" + names.get(0) + "` here");
        }
    }

    private static JsonPrimitive primitive(String name, JsonElement value) {
        if (!value.isJsonPrimitive()) {
            throw new VectorFailure(name + ": a single value is expected, and not " + value);
        }
        return value.getAsJsonPrimitive();
    }
}
