package dev.oncegate;

import java.util.Locale;

/**
 * Functions of the library that {@link Binding#call} calls, by the header's names without the
 * prefix, and the kinds of their parameters: {@code p} a pointer, a handle or 64 bits, {@code i}
 * 32 bits, {@code d} a double as its bits, {@code b} an {@code oncegate_bytes} by value, given by
 * its address.
 */
enum Export {
    LAYOUTS("pppp"),
    STATUS_DESCRIBE("ipppp"),
    METADATA_NEXT("bpppp"),
    ENGINE_OPEN("ppp"),
    ENGINE_CLOSE("pp"),
    REQUIRED_BYTES("ppp"),
    ENGINE_ADVANCE_CLOCK("ppp"),
    ENGINE_SWEEP("pppp"),
    ENGINE_EVENTS("pppppp"),
    ENGINE_SET_QUOTA("pibpp"),
    ENGINE_REMOVE_QUOTA("pibp"),
    ENGINE_RESOLVE("ppipp"),
    ENGINE_ROTATE_SECRET("pbp"),
    ENGINE_FINISH_ROTATION("pp"),
    ENGINE_BURY_DEAD("ppp"),
    ENGINE_STATS("ppp"),
    ENGINE_TIER_STATS("ppp"),
    ENGINE_FLUSH_TIER("ppp"),
    FINGERPRINT("pppp"),
    LEASE_FAIL("ppippp"),
    LEASE_ABANDON_SOON("ppp"),
    LEASE_IS_LOCAL_ONLY("pppp"),

    WAITS_OPEN("ppp"),
    WAITS_CLOSE("pp"),
    WAITS_SUBMIT("pppppp"),
    WAITS_CANCEL("ppp"),
    WAITS_TAKE("ppppppp"),

    TIMERS_OPEN("ppp"),
    TIMERS_CLOSE("pp"),
    TIMERS_INSERT("ppppp"),
    TIMERS_CANCEL("pppp"),
    TIMERS_TAKE("pppppp"),

    RETRY_LATER("pppbbpp"),
    HINT_RETRY_AFTER("bpppp"),
    NEXT_ATTEMPT("pppppp"),
    NEXT_ATTEMPTS("ppppppp"),
    ADVANCE("pppp"),
    SET_OPERATION("pbppp"),
    BACKOFF_PREVIEW("ppppppp"),
    SET_RETRY_BUDGET("ppp"),
    SET_OPERATION_BUDGET("pbpp"),
    SET_SCOPE_BUDGET("pibpp"),
    REMOVE_SCOPE_BUDGET("pibp"),
    SET_LOAD("pdp"),
    JUDGE("iipp"),
    METHOD_CLASS("bpp"),

    STEP_FIND("ppbpppp"),
    STEP_FINISH("ppbbp"),
    STEP_LAST("pppppp"),
    STEP_UNDONE("ppbp"),
    DOWNSTREAM_KEY("ppbbppp"),
    ATTEMPT_HEADERS("ppbppp"),

    RECONCILE_POLL("ppppppp"),
    RECONCILE_ANSWER("ppipp"),
    LETTERS("pppppppppp"),
    LETTER_SHOW("pppppppp"),
    LETTER_REDRIVE("ppp"),
    LETTER_DISCARD("ppp"),
    LETTERS_REDRIVE("ppppp"),
    LETTERS_DISCARD("ppppp");

    /** Kinds of parameters. */
    enum Parameter {
        LONG,
        INT,
        DOUBLE,
        BYTES
    }

    private final String symbol;
    private final Parameter[] parameters;

    Export(String kinds) {
        symbol = "oncegate_" + name().toLowerCase(Locale.ROOT);
        parameters = new Parameter[kinds.length()];
        for (int i = 0; i < parameters.length; i++) {
            parameters[i] = switch (kinds.charAt(i)) {
                case 'p' -> Parameter.LONG;
                case 'i' -> Parameter.INT;
                case 'd' -> Parameter.DOUBLE;
                case 'b' -> Parameter.BYTES;
                default -> throw new AssertionError(kinds);
            };
        }
    }

    String symbol() {
        return symbol;
    }

    int parameters() {
        return parameters.length;
    }

    Parameter parameter(int index) {
        return parameters[index];
    }
}
