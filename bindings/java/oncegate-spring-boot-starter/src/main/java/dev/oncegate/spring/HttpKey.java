package dev.oncegate.spring;

import java.util.List;

/**
 * Reads the key of a request. The draft asks for a String of RFC 8941, in double quotes; most
 * clients send the bare value. Both are accepted, and name the same key.
 *
 * @param value the key; null where there is none, or a malformed one
 * @param malformed why the header holds no key; never what it held
 */
record HttpKey(String value, String malformed) {
    private static final HttpKey NONE = new HttpKey(null, null);

    static HttpKey read(List<String> values) {
        if (values.isEmpty()) {
            return NONE;
        }
        if (values.size() > 1) {
            return refused("more than one idempotency key");
        }
        String value = trimmed(values.get(0));
        if (value.isEmpty()) {
            return refused("an empty idempotency key");
        }
        if (value.charAt(0) == '"') {
            return unquote(value);
        }
        // A proxy joins two headers by a comma.
        boolean plain = value.chars().allMatch(c -> c > ' ' && c <= '~' && c != '"' && c != ',');
        return plain ? new HttpKey(value, null)
                : refused("an unquoted key takes visible ASCII without quotes, commas");
    }

    /** Parameters after the value are ignored, as RFC 8941 asks for where none are defined. */
    private static HttpKey unquote(String quoted) {
        StringBuilder key = new StringBuilder();
        for (int i = 1; i < quoted.length(); i++) {
            char c = quoted.charAt(i);
            if (c == '"') {
                boolean ends = i + 1 == quoted.length() || quoted.charAt(i + 1) == ';';
                return ends ? new HttpKey(key.toString(), null)
                        : refused("characters after the quoted key");
            }
            if (c == '\\') {
                i++;
                if (i == quoted.length() || "\"\\".indexOf(quoted.charAt(i)) < 0) {
                    return refused("an escape that RFC 8941 does not know");
                }
                key.append(quoted.charAt(i));
            } else if (c < ' ' || c > '~') {
                return refused("a character that a quoted key may not hold");
            } else {
                key.append(c);
            }
        }
        return refused("a quoted key without its closing quote");
    }

    private static String trimmed(String value) {
        int from = 0;
        int to = value.length();
        while (from < to && isBlank(value.charAt(from))) {
            from++;
        }
        while (to > from && isBlank(value.charAt(to - 1))) {
            to--;
        }
        return value.substring(from, to);
    }

    private static boolean isBlank(char c) {
        return c == ' ' || c == '\t';
    }

    private static HttpKey refused(String why) {
        return new HttpKey(null, why);
    }
}
