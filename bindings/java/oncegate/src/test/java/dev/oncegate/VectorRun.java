package dev.oncegate;

import com.google.gson.JsonElement;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** A vector under way: its engine, and what its steps have made, by name. */
final class VectorRun {
    /** How long a step waits for what another thread does at once. */
    private static final long PATIENCE_NANOS = 30_000_000_000L;

    private final Engine engine;
    private final Map<String, Lease> leases = new HashMap<>();
    private final Map<String, Long> fences = new HashMap<>();
    private final Map<String, CompletableFuture<Admission>> waits = new HashMap<>();
    /** All of them: a lease that is forgotten gives its attempt back. */
    private final List<Lease> held = new ArrayList<>();

    private VectorRun(Engine engine) {
        this.engine = engine;
    }

    static void run(VectorFields vector) {
        vector.text("id");
        vector.text("about");
        VectorFields options = vector.object("options");
        List<JsonElement> steps = vector.list("steps");
        vector.finish("vector");
        try (Engine engine = VectorRequests.open(options)) {
            VectorRun run = new VectorRun(engine);
            try {
                run.steps(steps);
            } finally {
                run.waits.values().forEach(wait -> wait.cancel(false));
                run.held.forEach(Lease::detach);
            }
        }
    }

    private void steps(List<JsonElement> steps) {
        int number = 0;
        for (JsonElement element : steps) {
            number++;
            VectorFields step = VectorFields.of(element);
            String op = step.text("op");
            VectorFields expect = step.object("expect");
            try {
                settle(() -> step(op, step, expect), step, expect);
            } catch (VectorFailure why) {
                throw new VectorFailure("step " + number + ", " + op, why);
            }
        }
    }

    /** Compares the status with what is expected, and looks whether everything was. */
    private static void settle(Runnable call, VectorFields step, VectorFields expect) {
        String status = "OK";
        String field = "";
        String message = "";
        try {
            call.run();
        } catch (OncegateException refused) {
            status = refused.status().name();
            field = refused.field();
            message = refused.getMessage();
        }
        String expected = expect.text("status", "OK");
        if (!expected.equals(status)) {
            throw new VectorFailure(
                    "status: expected " + expected + ", found " + status + ": " + message);
        }
        expect.same("field", field);
        expect.finish("expect");
        step.finish("step");
    }

    private void step(String op, VectorFields step, VectorFields expect) {
        switch (op) {
            case "begin" -> begin(step, expect);
            case "begin_batch" -> beginBatch(step);
            case "submit" -> submit(step);
            case "take" -> take(step, expect);
            case "cancel" -> cancel(step);
            case "complete" -> complete(step, expect);
            case "fail" -> fail(step);
            case "abandon" -> lease(step).abandon();
            case "renew" -> expect.same("remaining_ms",
                    lease(step).renew(step.millis("duration_ms")).toMillis());
            case "take_up" -> takeUp(step, expect);
            case "resolve" -> resolve(step);
            case "retry_later" -> retryLater(step, expect);
            case "next_attempt" -> nextAttempt(step, expect);
            case "set_operation" -> setOperation(step);
            case "set_budget" -> setBudget(step);
            case "preview" -> preview(step, expect);
            case "fingerprint" -> expect.same("fingerprint",
                    HexFormat.of().formatHex(engine.fingerprint(VectorRequests.request(step))));
            case "fences" -> fences(step);
            case "stats" -> VectorRequests.counts(settled()).forEach(expect::same);
            case "advance" -> engine.advanceClock(step.millis("by_ms"));
            default -> throw new VectorFailure("there is no step " + op);
        }
    }

    private void begin(VectorFields step, VectorFields expect) {
        Names names = new Names(step);
        BeginOptions options = VectorRequests.options(step);
        told(names, expect, engine.begin(VectorRequests.request(step), options));
    }

    private void beginBatch(VectorFields step) {
        BeginOptions options = VectorRequests.options(step);
        List<VectorFields> requests = step.list("requests").stream().map(VectorFields::of).toList();
        List<Answer> answers = engine.beginAll(
                requests.stream().map(VectorRequests::request).toList(), options);
        for (int at = 0; at < answers.size(); at++) {
            VectorFields request = requests.get(at);
            Answer answer = answers.get(at);
            VectorFields expect = request.object("expect");
            Names names = new Names(request);
            settle(() -> told(names, expect, answer.orThrow()), request, expect);
        }
    }

    /** Compares an answer with what is expected, and keeps its lease. */
    private void told(Names names, VectorFields expect, Admission answer) {
        if (answer instanceof Admission.Admitted admitted) {
            Lease lease = admitted.lease();
            keep(names, lease);
            expect.same("verdict", "ADMITTED");
            expect.same("how", lease.how());
            expect.same("attempt", lease.attempt());
            expect.same("time_ms", lease.duration().toMillis());
        } else if (answer instanceof Admission.Replayed replayed) {
            expect.same("verdict", "REPLAYED");
            sameOutcome(expect, replayed.outcome());
        } else if (answer instanceof Admission.InProgress running) {
            expect.same("verdict", "IN_PROGRESS");
            expect.same("attempt", running.attempt());
            expect.same("time_ms", running.remaining().toMillis());
        } else if (answer instanceof Admission.Scheduled scheduled) {
            expect.same("verdict", "SCHEDULED");
            expect.same("attempt", scheduled.nextAttempt());
            expect.same("time_ms", scheduled.dueIn().toMillis());
        } else if (answer instanceof Admission.Mismatched) {
            expect.same("verdict", "MISMATCHED");
        } else if (answer instanceof Admission.Unresolved) {
            expect.same("verdict", "UNRESOLVED");
        } else {
            expect.same("verdict", "OUTCOME_GONE");
        }
    }

    private void keep(Names names, Lease lease) {
        held.add(lease);
        if (names.lease != null) {
            leases.put(names.lease, lease);
        }
        if (names.fence != null) {
            fences.put(names.fence, lease.fencingToken());
        }
    }

    private static void sameOutcome(VectorFields expect, Outcome outcome) {
        expect.same("outcome_status", outcome.status());
        byte[] body = expect.bytes("body");
        if (body != null && !java.util.Arrays.equals(body, outcome.body())) {
            throw new VectorFailure("body: found " + HexFormat.of().formatHex(outcome.body()));
        }
        expect.same("metadata", outcome.metadata().stream()
                .map(pair -> List.of(pair.name(), pair.value())).toList());
    }

    private Lease lease(VectorFields step) {
        String name = step.text("lease");
        Lease lease = leases.get(name);
        if (lease == null) {
            throw new VectorFailure("there is no lease " + name);
        }
        return lease;
    }

    /** Lets a request wait, and comes back when it is queued. */
    private void submit(VectorFields step) {
        String name = step.text("wait");
        long before = engine.stats().waiters();
        waits.put(name, engine.beginAsync(
                VectorRequests.request(step), VectorRequests.options(step)));
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (engine.stats().waiters() <= before) {
            if (System.nanoTime() > deadline) {
                throw new VectorFailure("a request that is submitted has to wait");
            }
            Thread.onSpinWait();
        }
    }

    /**
     * The counts when all who wait have their places: whoever is woken by a jump of the clock leaves
     * his for a moment, in a thread of the binding.
     */
    private Stats settled() {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (true) {
            Stats stats = engine.stats();
            long waiting = waits.values().stream().filter(wait -> !wait.isDone()).count();
            if (stats.waiters() == waiting || System.nanoTime() > deadline) {
                return stats;
            }
            Thread.onSpinWait();
        }
    }

    /** The answer of whichever of these waits has one. */
    private void take(VectorFields step, VectorFields expect) {
        List<String> names = step.texts("waits");
        Names given = new Names(step);
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (System.nanoTime() < deadline) {
            for (String name : names) {
                CompletableFuture<Admission> wait = waits.get(name);
                if (wait != null && wait.isDone()) {
                    waits.remove(name);
                    told(given, expect, answer(wait));
                    return;
                }
            }
            Thread.onSpinWait();
        }
        throw new VectorFailure("none of " + names + " has an answer");
    }

    private static Admission answer(CompletableFuture<Admission> wait) {
        try {
            return wait.join();
        } catch (CompletionException failed) {
            if (failed.getCause() instanceof OncegateException refused) {
                throw refused;
            }
            throw failed;
        }
    }

    private void cancel(VectorFields step) {
        String name = step.text("wait");
        CompletableFuture<Admission> wait = waits.remove(name);
        if (wait == null || !wait.cancel(false)) {
            throw new VectorFailure("there is no wait " + name);
        }
    }

    private void complete(VectorFields step, VectorFields expect) {
        Stored stored = lease(step).complete(VectorRequests.outcome(step));
        expect.same("stored", stored == Stored.WITH_BYTES ? "STORED" : "STORED_WITHOUT_BYTES");
    }

    private void fail(VectorFields step) {
        Lease lease = lease(step);
        String kind = step.text("failure");
        Duration delay = step.millis("delay_ms");
        Outcome outcome = VectorRequests.outcome(step);
        lease.fail(switch (kind) {
            case "RETRYABLE" -> Failure.retryable(delay);
            case "TERMINAL" -> Failure.terminal(outcome);
            case "UNKNOWN" -> Failure.unknown();
            default -> throw new VectorFailure("failure: there is no " + kind);
        });
    }

    private void takeUp(VectorFields step, VectorFields expect) {
        Lease lease = engine.takeUp(lease(step).token());
        lease.detach();
        expect.same("attempt", lease.attempt());
        expect.same("how", lease.how());
        expect.same("remaining_ms", lease.duration().toMillis());
        keep(new Names(step), lease);
    }

    private void resolve(VectorFields step) {
        Request request = VectorRequests.request(step);
        String resolution = step.text("resolution");
        Outcome outcome = VectorRequests.outcome(step);
        engine.resolve(request, switch (resolution) {
            case "SUCCEEDED" -> Resolution.succeeded(outcome);
            case "FAILED" -> Resolution.failed(outcome);
            case "RUN_AGAIN" -> Resolution.runAgain();
            default -> throw new VectorFailure("resolution: there is no " + resolution);
        });
    }

    private void retryLater(VectorFields step, VectorFields expect) {
        Lease lease = lease(step);
        AttemptError error = VectorRequests.attemptError(step);
        String operation = step.text("operation", "charge");
        byte[] context = step.bytes("context");
        Later later = lease.retryLater(error, operation, context == null ? new byte[0] : context);
        if (later instanceof Later.Scheduled scheduled) {
            expect.same("later", "SCHEDULED");
            expect.same("next_attempt", scheduled.nextAttempt());
            expect.same("due_in_ms", scheduled.dueIn().toMillis());
        } else if (later instanceof Later.Ended ended) {
            expect.same("later", "BURIED");
            expect.same("reason", ended.why());
        }
    }

    private void nextAttempt(VectorFields step, VectorFields expect) {
        Names names = new Names(step);
        Optional<Attempt> found = engine.nextAttempt(Duration.ZERO);
        expect.same("found", found.isPresent());
        found.ifPresent(attempt -> {
            keep(names, attempt.lease());
            expect.same("attempt", attempt.number());
            expect.same("remaining_ms", attempt.lease().duration().toMillis());
            expect.same("operation", attempt.operation());
            expect.same("context", new String(attempt.context(), StandardCharsets.UTF_8));
        });
    }

    private void setOperation(VectorFields step) {
        String operation = step.text("operation");
        RetryPolicy policy = step.has("policy")
                ? VectorRequests.policy(step.object("policy")) : null;
        engine.setOperation(operation, policy, step.number("max_in_flight", 0));
    }

    private void setBudget(VectorFields step) {
        RetryBudget budget = VectorRequests.budget(step.object("budget"));
        String level = step.text("level");
        String operation = step.text("operation", "");
        String scope = step.text("scope", "");
        switch (level) {
            case "ENGINE" -> engine.budgets().set(budget);
            case "OPERATION" -> engine.budgets().setOperation(operation, budget);
            case "SCOPE" -> engine.budgets().setScope(Scope.named(scope), budget);
            default -> throw new VectorFailure("level: there is no " + level);
        }
    }

    private static void preview(VectorFields step, VectorFields expect) {
        RetryPolicy policy = VectorRequests.policy(step.object("policy"));
        long seed = step.number("seed", 0);
        RetryPolicy.Preview preview = policy.preview(seed, (int) step.number("most", 0));
        expect.same("delays_ms", preview.delays().stream().map(Duration::toMillis).toList());
        expect.same("reason", preview.ended().map(Buried::name).orElse("NONE"));
    }

    private void fences(VectorFields step) {
        long before = 0;
        for (String name : step.texts("ascending")) {
            Long fence = fences.get(name);
            if (fence == null || fence <= before) {
                throw new VectorFailure(name + " does not ascend in " + fences);
            }
            before = fence;
        }
    }

    /** The names that a step gives to its lease and to its fencing token. */
    private static final class Names {
        private final String lease;
        private final String fence;

        private Names(VectorFields step) {
            lease = step.text("lease", null);
            fence = step.text("fence", null);
        }
    }
}
