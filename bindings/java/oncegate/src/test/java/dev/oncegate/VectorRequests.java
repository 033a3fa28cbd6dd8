package dev.oncegate;

import com.google.gson.JsonElement;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Engines, requests, outcomes, policies and budgets, as vectors spell them. */
final class VectorRequests {
    private static final Map<String, OnLapse> LAPSES = Map.of(
            "RECLAIM", OnLapse.RECLAIM, "UNKNOWN", OnLapse.UNKNOWN, "FAILED", OnLapse.FAILED);

    private VectorRequests() {}

    static Engine open(VectorFields given) {
        byte[] usual = new byte[32];
        for (int at = 0; at < usual.length; at++) {
            usual[at] = (byte) (at + 1);
        }
        byte[] secret = given.bytes("secret");
        EngineOptions.Builder options = EngineOptions.builder()
                .clock(EngineOptions.Clock.MANUAL)
                .secret(secret == null ? usual : secret)
                .capacity(given.number("capacity", 1_000))
                .jitterSeed(given.number("jitter_seed", 1))
                .refusePredictableKeys(given.flag("refuse_predictable_keys"));
        if (given.has("lease_ms")) {
            options.lease(given.millis("lease_ms"));
        }
        if (given.has("dedup_window_ms")) {
            options.dedupWindow(given.millis("dedup_window_ms"));
        }
        if (given.has("wait_ms")) {
            options.waitUpTo(given.millis("wait_ms"));
        }
        if (given.has("outcome_limit")) {
            options.outcomeLimit(given.number("outcome_limit", 0));
        }
        if (given.has("inline_outcome")) {
            options.inlineOutcome(given.number("inline_outcome", 0));
        }
        if (given.has("max_waiters")) {
            options.maxWaiters(given.number("max_waiters", 0));
        }
        if (given.has("quota_max_live")) {
            options.defaultQuota(Quota.ofLive(given.number("quota_max_live", 0)));
        }
        chosen(options, given);
        given.finish("options");
        return Engine.open(options.build());
    }

    private static void chosen(EngineOptions.Builder options, VectorFields given) {
        if (given.has("key_min_len") || given.has("key_max_len")) {
            options.keyLength(given.number("key_min_len", 1), given.number("key_max_len", 255));
        }
        if (given.has("on_lapse")) {
            options.onLapse(given.choice("on_lapse", null, LAPSES));
        }
        if (given.has("on_full")) {
            options.onFull(OnFull.valueOf(given.text("on_full")));
        }
        if (given.has("fingerprint_mode")) {
            options.fingerprintMode(
                    EngineOptions.FingerprintMode.valueOf(given.text("fingerprint_mode")));
        }
        if (given.has("keys")) {
            options.keys(EngineOptions.Keys.valueOf(given.text("keys")));
        }
        if (given.has("retry_policy")) {
            options.retryPolicy(policy(given.object("retry_policy")));
        }
    }

    static Request request(VectorFields step) {
        byte[] name = step.bytes("scope");
        String kind = step.text("scope_kind", "NAMED");
        Scope scope = switch (kind) {
            case "NAMED" -> Scope.named(
                    name == null ? "acme" : new String(name, StandardCharsets.UTF_8));
            case "SINGLE_TENANT" -> Scope.singleTenant();
            case "UNAUTHENTICATED" -> Scope.unauthenticated();
            default -> throw new VectorFailure("scope_kind: there is no " + kind);
        };
        String operation = step.text("operation", "POST /charges");
        byte[] key = step.bytes("key");
        Payload payload = payload(step);
        String keyKind = step.text("key_kind", "GIVEN");
        return switch (keyKind) {
            case "GIVEN" -> Request.of(scope, operation, key == null ? new byte[0] : key)
                    .withPayload(payload);
            case "FROM_PAYLOAD" -> Request.keyedByPayload(scope, operation, payload);
            default -> throw new VectorFailure("key_kind: there is no " + keyKind);
        };
    }

    private static Payload payload(VectorFields step) {
        byte[] given = step.bytes("payload");
        byte[] bytes = given == null ? new byte[0] : given;
        String boundary = step.text("boundary", "");
        String kind = step.text("payload_kind", "NONE");
        Payload payload = switch (kind) {
            case "NONE" -> Payload.none();
            case "RAW" -> Payload.raw(bytes);
            case "JSON" -> Payload.json(bytes);
            case "FORM" -> Payload.form(bytes);
            case "MULTIPART" -> Payload.multipart(bytes, boundary);
            default -> throw new VectorFailure("payload_kind: there is no " + kind);
        };
        List<String> excluded = step.texts("excluded");
        if (!excluded.isEmpty()) {
            payload = payload.excluding(excluded.toArray(String[]::new));
        }
        List<String> included = step.texts("included");
        return included.isEmpty() ? payload : payload.including(included.toArray(String[]::new));
    }

    static BeginOptions options(VectorFields step) {
        BeginOptions options = BeginOptions.defaults().runDue(step.flag("run_due"));
        if (step.has("lease_ms")) {
            options = options.lease(step.millis("lease_ms"));
        }
        if (step.has("dedup_window_ms")) {
            options = options.dedupWindow(step.millis("dedup_window_ms"));
        }
        if (step.has("wait_ms")) {
            options = options.waitUpTo(step.millis("wait_ms"));
        }
        if (step.has("on_lapse")) {
            options = options.onLapse(step.choice("on_lapse", null, LAPSES));
        }
        return options;
    }

    /** Whether the step says anything of an outcome. */
    static boolean hasOutcome(VectorFields step) {
        return step.has("outcome_status") || step.has("body") || step.has("body_hex")
                || step.has("metadata") || step.has("withheld");
    }

    static Outcome outcome(VectorFields step) {
        int status = (int) step.number("outcome_status", 0);
        byte[] body = step.bytes("body");
        if (step.flag("withheld")) {
            return Outcome.withheld(status);
        }
        Outcome outcome = Outcome.of(status, body == null ? new byte[0] : body);
        for (JsonElement pair : step.list("metadata")) {
            outcome = outcome.with(
                    pair.getAsJsonArray().get(0).getAsString(),
                    pair.getAsJsonArray().get(1).getAsString());
        }
        return outcome;
    }

    static RetryPolicy policy(VectorFields given) {
        RetryPolicy policy = shape(given, given.text("preset", "CUSTOM"));
        if (given.has("max_attempts")) {
            policy = policy.maxAttempts((int) given.number("max_attempts", 0));
        }
        if (given.has("max_ms")) {
            policy = policy.ceiling(given.millis("max_ms"));
        }
        if (given.has("jitter")) {
            String jitter = given.text("jitter");
            double share = given.real("jitter_share", 0);
            policy = jitter.equals("PROPORTIONAL")
                    ? policy.proportionalJitter(share)
                    : policy.jitter(RetryPolicy.Jitter.valueOf(jitter));
        }
        policy = limits(policy, given);
        given.finish("policy");
        return policy;
    }

    private static RetryPolicy shape(VectorFields given, String preset) {
        if (!preset.equals("CUSTOM")) {
            RetryPolicy policy = RetryPolicy.preset(RetryPolicy.Preset.valueOf(preset));
            if (given.has("initial_ms")) {
                policy = policy.initial(given.millis("initial_ms"));
            }
            return given.has("multiplier")
                    ? policy.multiplier(given.real("multiplier", 0)) : policy;
        }
        String backoff = given.text("backoff");
        Duration initial = given.millis("initial_ms");
        return switch (backoff) {
            case "EXPONENTIAL" -> RetryPolicy.exponential(initial)
                    .multiplier(given.real("multiplier", 0));
            case "LINEAR" -> RetryPolicy.linear(initial, given.millis("increment_ms"));
            case "CONSTANT" -> RetryPolicy.constant(initial);
            case "LIST" -> RetryPolicy.delays(given.list("delays_ms").stream()
                    .map(ms -> Duration.ofMillis(VectorFields.number("delays_ms", ms)))
                    .toArray(Duration[]::new));
            default -> throw new VectorFailure("backoff: there is no " + backoff);
        };
    }

    private static RetryPolicy limits(RetryPolicy given, VectorFields fields) {
        RetryPolicy policy = given;
        if (fields.has("deadline_ms")) {
            policy = policy.deadline(fields.millis("deadline_ms"));
        }
        if (fields.has("expected_ms")) {
            policy = policy.expected(fields.millis("expected_ms"));
        }
        if (fields.has("attempt_timeout_ms")) {
            policy = policy.attemptTimeout(fields.millis("attempt_timeout_ms"));
        }
        if (fields.has("hint_max_ms")) {
            policy = policy.hintBounds(Duration.ZERO, fields.millis("hint_max_ms"));
        }
        if (fields.has("hint_beyond_drawn_ms")) {
            policy = policy.hintBeyondDrawn(fields.millis("hint_beyond_drawn_ms"));
        }
        return fields.flag("ignore_hints") ? policy.ignoreHints() : policy;
    }

    static RetryBudget budget(VectorFields given) {
        String kind = given.text("kind");
        RetryBudget budget = switch (kind) {
            case "BUCKET" -> bucket(given);
            case "RATIO" -> RetryBudget.ratio()
                    .ratio(given.real("ratio", 0), given.number("min_per_second", 0))
                    .window(given.millis("ttl_ms"), given.number("slices", 0));
            case "CONCURRENCY" -> RetryBudget.concurrency()
                    .share(given.real("share", 0), given.number("min_retries", 0));
            default -> throw new VectorFailure("kind: there is no " + kind);
        };
        given.finish("budget");
        return budget;
    }

    private static RetryBudget bucket(VectorFields given) {
        RetryBudget budget = RetryBudget.bucket(
                RetryBudget.Bucket.valueOf(given.text("preset", "PLAIN")));
        if (given.has("capacity")) {
            budget = budget.capacity(given.real("capacity", 0));
        }
        if (given.has("success")) {
            budget = budget.refill(given.real("success", 0), given.real("refill_per_second", 0));
        }
        if (given.has("cost_transient")) {
            budget = budget.costs(given.real("cost_transient", 0),
                    given.real("cost_throttled", 0), given.real("cost_timeout", 0));
        }
        return budget;
    }

    static AttemptError attemptError(VectorFields step) {
        String errorClass = step.text("error_class", "503");
        String kind = step.text("kind", "TRANSIENT");
        AttemptError error = switch (kind) {
            case "TRANSIENT" -> AttemptError.transientError(errorClass);
            case "THROTTLED" -> AttemptError.throttled(errorClass);
            case "TIMEOUT" -> AttemptError.timeout(errorClass);
            default -> throw new VectorFailure("kind: there is no " + kind);
        };
        Duration after = step.millis("hint_after_ms");
        String hint = step.text("hint", "NONE");
        error = switch (hint) {
            case "NONE" -> error;
            case "AFTER" -> error.hintAfter(after);
            case "REFUSED" -> error.refused();
            default -> throw new VectorFailure("hint: there is no " + hint);
        };
        if (step.flag("terminal")) {
            error = error.terminal();
        }
        return hasOutcome(step) ? error.outcome(outcome(step)) : error;
    }

    /** All counts, by the names of the header. */
    static Map<String, Long> counts(Stats stats) {
        Map<String, Long> counts = new HashMap<>();
        counts.put("begun", stats.begun());
        counts.put("created", stats.created());
        counts.put("reused", stats.reused());
        counts.put("expired", stats.expired());
        counts.put("retried", stats.retried());
        counts.put("replayed", stats.replayed());
        counts.put("in_progress", stats.inProgress());
        counts.put("scheduled", stats.scheduled());
        counts.put("mismatched", stats.mismatched());
        counts.put("unresolved", stats.unresolved());
        counts.put("outcome_gone", stats.outcomeGone());
        counts.put("fenced", stats.fenced());
        counts.put("lapsed", stats.lapsed());
        counts.put("completed", stats.completed());
        counts.put("waiters", stats.waiters());
        counts.put("hand_offs", stats.handOffs());
        counts.put("live_running", stats.liveRunning());
        counts.put("live_waiting", stats.liveWaiting());
        counts.put("live_succeeded", stats.liveSucceeded());
        counts.put("live_failed", stats.liveFailed());
        counts.put("live_unknown", stats.liveUnknown());
        counts.put("dead_letters", stats.deadLetters());
        counts.put("buried", stats.buried());
        return counts;
    }
}
