package dev.oncegate.spring;

import dev.oncegate.Admission;
import dev.oncegate.Engine;
import dev.oncegate.Failure;
import dev.oncegate.FencedException;
import dev.oncegate.FullException;
import dev.oncegate.InvalidInputException;
import dev.oncegate.Lease;
import dev.oncegate.OncegateException;
import dev.oncegate.Outcome;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.function.Function;
import org.aopalliance.intercept.MethodInterceptor;
import org.aopalliance.intercept.MethodInvocation;

/** Admits the calls of methods with the annotation, and ends their attempts. */
final class IdempotentInterceptor implements MethodInterceptor {
    /** Marks an outcome that is a failure; its value is the class of the exception. */
    private static final String FAILURE = "oncegate-failure";

    private static final int FAILED = 500;
    private static final ThreadLocal<Lease> CURRENT = new ThreadLocal<>();

    private final Engine engine;
    private final Function<MethodInvocation, IdempotentMethod> methods;

    IdempotentInterceptor(Engine engine, Function<MethodInvocation, IdempotentMethod> methods) {
        this.engine = engine;
        this.methods = methods;
    }

    static Optional<Lease> current() {
        return Optional.ofNullable(CURRENT.get());
    }

    @Override
    public Object invoke(MethodInvocation call) throws Throwable {
        IdempotentMethod method = methods.apply(call);
        var request = method.request(call.getThis(), call.getArguments());
        if (method.isAsync) {
            return later(method, call, engine.beginAsync(request, method.begin));
        }
        Admission admission = engine.begin(request, method.begin);
        return admission instanceof Admission.Admitted admitted
                ? run(method, call, admitted.lease()) : answer(method, admission);
    }

    private static Object answer(IdempotentMethod method, Admission admission) {
        if (!(admission instanceof Admission.Replayed replayed)) {
            throw new IdempotentCallRefusedException(admission);
        }
        Outcome outcome = replayed.outcome();
        outcome.metadata(FAILURE).ifPresent(errorClass -> {
            throw new IdempotentFailureReplayedException(errorClass);
        });
        return method.result(outcome);
    }

    private static Object run(IdempotentMethod method, MethodInvocation call, Lease owned)
            throws Throwable {
        // Closing gives the attempt back, should ending it be refused.
        try (Lease lease = owned) {
            Object result;
            try {
                result = proceed(call, lease);
            } catch (Throwable thrown) {
                fail(method, lease, thrown);
                throw thrown;
            }
            complete(method, lease, result);
            return result;
        }
    }

    private static Object proceed(MethodInvocation call, Lease lease) throws Throwable {
        Lease outer = CURRENT.get();
        CURRENT.set(lease);
        try {
            return call.proceed();
        } finally {
            if (outer == null) {
                CURRENT.remove();
            } else {
                CURRENT.set(outer);
            }
        }
    }

    private static CompletableFuture<Object> later(
            IdempotentMethod method, MethodInvocation call, CompletableFuture<Admission> asked) {
        CompletableFuture<Object> answer = new CompletableFuture<>();
        // Whoever cancels the answer no longer waits; a call that runs is not touched.
        answer.whenComplete((result, thrown) -> asked.cancel(false));
        asked.whenComplete((admission, refused) -> {
            if (refused != null) {
                answer.completeExceptionally(unwrapped(refused));
            } else if (admission instanceof Admission.Admitted admitted) {
                runLater(method, call, admitted.lease(), answer);
            } else {
                settle(answer, () -> answer(method, admission));
            }
        });
        return answer;
    }

    private static void runLater(
            IdempotentMethod method, MethodInvocation call, Lease lease,
            CompletableFuture<Object> answer) {
        CompletionStage<?> stage;
        try {
            stage = (CompletionStage<?>) proceed(call, lease);
            if (stage == null) {
                throw new NullPointerException("the method gave no stage");
            }
        } catch (Throwable thrown) {
            stage = CompletableFuture.failedFuture(thrown);
        }
        stage.whenComplete((result, wrapped) -> settle(answer, () -> {
            try (lease) {
                if (wrapped == null) {
                    complete(method, lease, result);
                    return result;
                }
                Throwable thrown = unwrapped(wrapped);
                fail(method, lease, thrown);
                throw new CompletionException(thrown);
            }
        }));
    }

    private static void settle(
            CompletableFuture<Object> answer, java.util.function.Supplier<Object> result) {
        try {
            answer.complete(result.get());
        } catch (Throwable thrown) {
            answer.completeExceptionally(unwrapped(thrown));
        }
    }

    private static Throwable unwrapped(Throwable thrown) {
        return thrown instanceof CompletionException && thrown.getCause() != null
                ? thrown.getCause() : thrown;
    }

    private static void complete(IdempotentMethod method, Lease lease, Object result) {
        Outcome outcome = method.outcome(result);
        try {
            try {
                lease.complete(outcome);
            } catch (InvalidInputException | FullException refused) {
                // It ran: whatever its result was, it never runs again.
                lease.complete(Outcome.withheld(outcome.status()));
            }
        } catch (FencedException fenced) {
            throw new IdempotentCallFencedException(fenced, result);
        }
    }

    /** What the method threw is what its caller gets, whatever comes of ending the attempt. */
    private static void fail(IdempotentMethod method, Lease lease, Throwable thrown) {
        try {
            switch (method.judge(thrown)) {
                case FINAL -> lease.fail(Failure.terminal(
                        Outcome.of(FAILED).with(FAILURE, thrown.getClass().getName())));
                case RETRYABLE -> lease.fail(Failure.retryable(Duration.ZERO));
                default -> lease.fail(Failure.unknown());
            }
        } catch (OncegateException refused) {
            thrown.addSuppressed(refused);
        }
    }
}
