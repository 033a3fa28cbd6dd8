package dev.oncegate.spring;

import dev.oncegate.Admission;
import dev.oncegate.OncegateException;
import dev.oncegate.Status;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;

/**
 * Why the filter answers in the handler's place (RFC 9457).
 *
 * @param status the status
 * @param code stable, for programs
 * @param detail for people; never a value that the client sent
 * @param retryAfter when to ask again; null: nothing is said of that
 */
record Problem(int status, String code, String detail, Duration retryAfter) {
    private static final int BAD_REQUEST = 400;
    private static final int CONFLICT = 409;
    private static final int UNPROCESSABLE = 422;
    private static final int TOO_MANY = 429;
    private static final int FAILED = 500;
    private static final int UNAVAILABLE = 503;

    private static final Map<Integer, String> TITLES = Map.of(
            BAD_REQUEST, "Bad Request", 403, "Forbidden", CONFLICT, "Conflict",
            413, "Content Too Large", 414, "URI Too Long",
            UNPROCESSABLE, "Unprocessable Content", TOO_MANY, "Too Many Requests",
            FAILED, "Internal Server Error", UNAVAILABLE, "Service Unavailable");

    Problem(int status, String code, String detail) {
        this(status, code, detail, null);
    }

    static Problem badRequest(String code, String detail) {
        return new Problem(BAD_REQUEST, code, detail);
    }

    static Problem noScope() {
        return new Problem(403, "no-scope",
                "only a caller who is known may send a request with a key");
    }

    static Problem tooLarge(int limit) {
        return new Problem(413, "payload-too-large",
                "a request with a key has " + limit + " bytes at most");
    }

    static Problem incomplete() {
        return badRequest(
                "payload-incomplete", "the body of the request broke off; nothing was run");
    }

    /** The attempt ended without a response. */
    static Problem aborted() {
        return new Problem(FAILED, "aborted",
                "the attempt ended without a response; ask again with the same key");
    }

    /** The service gave a scope, an operation or a setting that no record can have. */
    static Problem misconfigured() {
        return new Problem(FAILED, "misconfigured",
                "the service's own settings were refused, so nothing was run");
    }

    /** What a client hears of an error of the engine. */
    static Problem of(OncegateException error, Duration pollAfter) {
        return of(error.status(), error.getMessage(), error.retryAfter().orElse(pollAfter));
    }

    /** The same, of what is told of an error. */
    static Problem of(Status status, String message, Duration later) {
        return switch (status) {
            case INVALID_KEY -> badRequest("invalid-key", message);
            case INVALID_PAYLOAD -> badRequest("invalid-payload", message);
            case INVALID_OPERATION -> new Problem(414, "operation-too-long", message);
            case QUOTA_EXCEEDED -> new Problem(TOO_MANY, "quota-exceeded", message, later);
            case FENCED -> new Problem(CONFLICT, "fenced", "the attempt outlived its lease and "
                    + "another one took over; ask again with the same key for its result", later);
            case FULL, TOO_MANY_WAITERS, ROTATION_PENDING -> new Problem(UNAVAILABLE, "full",
                    "no room for a new record; ask again later with the same key", later);
            case BUDGET_EXHAUSTED -> new Problem(UNAVAILABLE, "retry-budget-exhausted",
                    "too many requests are being retried; ask again later with the same key",
                    later);
            case TIER_UNAVAILABLE -> new Problem(UNAVAILABLE, "tier-unavailable", "requests cannot "
                    + "be deduplicated at the moment; ask again later with the same key", later);
            case INVALID_SCOPE, INVALID_CONFIG, INVALID_OPTION, INVALID_OUTCOME, INVALID_TOKEN,
                    NOT_FOUND, BAD_SIZE, BAD_VALUE, NOT_UTF8, NULL_ARGUMENT -> misconfigured();
            default -> new Problem(UNAVAILABLE, "unavailable",
                    "requests cannot be deduplicated here, so none is run");
        };
    }

    /** What a duplicate hears that runs nothing, and has no outcome to be answered with. */
    static Problem of(Admission admission, Duration pollAfter) {
        if (admission instanceof Admission.InProgress running) {
            Duration rest = running.remaining();
            return new Problem(CONFLICT, "in-progress", "a request with this key is still running",
                    rest.compareTo(pollAfter) < 0 ? rest : pollAfter);
        }
        if (admission instanceof Admission.Scheduled scheduled) {
            return new Problem(CONFLICT, "scheduled",
                    "a request with this key waits for its next attempt", scheduled.dueIn());
        }
        if (admission instanceof Admission.Mismatched) {
            return new Problem(
                    UNPROCESSABLE, "mismatched", "this key was used with another payload");
        }
        if (admission instanceof Admission.Unresolved) {
            return new Problem(CONFLICT, "unresolved", "nobody knows whether the request with this "
                    + "key took effect; it does not run again until that is resolved");
        }
        return new Problem(CONFLICT, "outcome-gone", "the request with this key has finished, but "
                + "its response was not kept");
    }

    /** Writes it to a response that nothing was written to. */
    void write(HttpServletResponse response, String types) throws IOException {
        byte[] body = json(types == null || types.isEmpty() ? "about:blank" : types + code)
                .getBytes(StandardCharsets.UTF_8);
        response.setStatus(status);
        response.setContentType("application/problem+json");
        // It holds for this moment only.
        response.setHeader("Cache-Control", "no-store");
        if (retryAfter != null) {
            // Rounded up, and never zero: a client must not come back at once.
            long seconds = retryAfter.plusMillis(999).toSeconds();
            response.setHeader("Retry-After", Long.toString(Math.max(seconds, 1)));
        }
        response.setContentLength(body.length);
        response.getOutputStream().write(body);
    }

    private String json(String type) {
        return "{\"type\":" + quoted(type) + ",\"title\":" + quoted(TITLES.get(status))
                + ",\"status\":" + status + ",\"code\":" + quoted(code)
                + ",\"detail\":" + quoted(detail) + "}";
    }

    private static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        text.chars().forEach(c -> {
            if (c == '"' || c == '\\') {
                json.append('\\').append((char) c);
            } else if (c < ' ') {
                json.append(String.format("\\u%04x", c));
            } else {
                json.append((char) c);
            }
        });
        return json.append('"').toString();
    }
}
