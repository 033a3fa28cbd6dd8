package dev.oncegate.spring;

import dev.oncegate.BeginOptions;
import dev.oncegate.Judgement;
import dev.oncegate.Outcome;
import dev.oncegate.Payload;
import dev.oncegate.Request;
import dev.oncegate.Scope;
import java.lang.reflect.Method;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Future;
import org.springframework.beans.factory.BeanFactory;
import org.springframework.boot.convert.DurationStyle;
import org.springframework.context.expression.BeanFactoryResolver;
import org.springframework.context.expression.MethodBasedEvaluationContext;
import org.springframework.core.DefaultParameterNameDiscoverer;
import org.springframework.core.ParameterNameDiscoverer;
import org.springframework.core.ReactiveAdapterRegistry;
import org.springframework.core.ResolvableType;
import org.springframework.expression.Expression;
import org.springframework.expression.spel.standard.SpelExpressionParser;
import tools.jackson.databind.JavaType;
import tools.jackson.databind.ObjectMapper;

/** A method with the annotation, checked when the application starts. */
final class IdempotentMethod {
    private static final ParameterNameDiscoverer NAMES = new DefaultParameterNameDiscoverer();
    private static final SpelExpressionParser PARSER = new SpelExpressionParser();
    private static final int SUCCESS = 200;

    final BeginOptions begin;
    final boolean isAsync;
    private final Idempotent annotation;
    private final Method method;
    private final MethodSettings settings;
    private final ObjectMapper mapper;
    private final BeanFactory beans;
    private final JavaType type;
    private final String operation;
    private final Expression key;
    private final Expression scope;
    private final Expression payload;

    IdempotentMethod(
            Idempotent annotation, Method method, Class<?> target, OncegateProperties properties,
            ObjectMapper mapper, BeanFactory beans) {
        this.annotation = annotation;
        this.method = method;
        this.mapper = mapper;
        this.beans = beans;
        settings = properties.getMethods();
        String name = target.getName() + "." + method.getName();
        if (annotation.scope().isEmpty() && !properties.isSingleTenant()) {
            throw new MissingScopeException("@Idempotent on " + name + " has no scope",
                    "give it a scope");
        }
        key = parsed(annotation.key());
        scope = parsed(annotation.scope());
        payload = parsed(annotation.payload());
        if (key == null) {
            throw new IllegalStateException("@Idempotent on " + name + " has no key");
        }
        operation = annotation.operation().isEmpty() ? name : annotation.operation();
        begin = begin(annotation);
        ResolvableType result = ResolvableType.forMethodReturnType(method, target);
        isAsync = CompletionStage.class.isAssignableFrom(method.getReturnType());
        if (!isAsync && isLater(method.getReturnType())) {
            throw new IllegalStateException("@Idempotent on " + name + ": the result comes later, "
                    + "by a type whose end is not known here; limit: CompletionStage");
        }
        type = mapper.constructType(isAsync
                ? result.as(CompletionStage.class).getGeneric().getType() : result.getType());
    }

    private static boolean isLater(Class<?> type) {
        return Future.class.isAssignableFrom(type)
                || ReactiveAdapterRegistry.getSharedInstance().getAdapter(type) != null;
    }

    private static Expression parsed(String expression) {
        return expression.isEmpty() ? null : PARSER.parseExpression(expression);
    }

    private static BeginOptions begin(Idempotent annotation) {
        // Said in any case: stages wait for as long as it takes, unless a limit is set.
        BeginOptions begin = BeginOptions.defaults().waitUpTo(annotation.waitUpTo().isEmpty()
                ? Duration.ZERO : DurationStyle.detectAndParse(annotation.waitUpTo()));
        if (!annotation.window().isEmpty()) {
            begin = begin.dedupWindow(DurationStyle.detectAndParse(annotation.window()));
        }
        return annotation.lease().isEmpty()
                ? begin : begin.lease(DurationStyle.detectAndParse(annotation.lease()));
    }

    Request request(Object target, Object[] arguments) {
        MethodBasedEvaluationContext context =
                new MethodBasedEvaluationContext(target, method, arguments, NAMES);
        context.setBeanResolver(new BeanFactoryResolver(beans));
        Scope whose = scope == null
                ? Scope.singleTenant() : Scope.named(text("scope", scope.getValue(context)));
        Request request = Request.of(whose, operation, text("key", key.getValue(context)));
        return payload == null ? request : request.withPayload(
                Payload.json(mapper.writeValueAsBytes(payload.getValue(context))));
    }

    private String text(String what, Object value) {
        if (value == null) {
            throw new IllegalArgumentException(
                    "the " + what + " of a call of " + operation + " is null");
        }
        return value.toString();
    }

    /** What is kept of a result; withheld where it is no JSON. */
    Outcome outcome(Object result) {
        try {
            return Outcome.of(SUCCESS, mapper.writerFor(type).writeValueAsBytes(result));
        } catch (RuntimeException thrown) {
            System.getLogger(IdempotentMethod.class.getName()).log(System.Logger.Level.WARNING,
                    "a result of " + operation + " could not be kept", thrown);
            return Outcome.withheld(SUCCESS);
        }
    }

    /** The result of what was kept. */
    Object result(Outcome outcome) {
        Class<?> raw = type.getRawClass();
        return raw == void.class || raw == Void.class || outcome.body().length == 0
                ? null : mapper.readValue(outcome.body(), type);
    }

    Judgement judge(Throwable thrown) {
        Map<Judgement, Class<? extends Throwable>[]> own = Map.of(
                Judgement.UNKNOWN, annotation.unknownFor(),
                Judgement.FINAL, annotation.finalFor(),
                Judgement.RETRYABLE, annotation.retryableFor());
        // The most cautious comes first.
        for (Judgement judgement :
                new Judgement[] {Judgement.UNKNOWN, Judgement.FINAL, Judgement.RETRYABLE}) {
            for (Class<? extends Throwable> each : own.get(judgement)) {
                if (each.isInstance(thrown)) {
                    return judgement;
                }
            }
        }
        if (thrown instanceof Error) {
            return Judgement.RETRYABLE;
        }
        return thrown instanceof RuntimeException ? settings.getUnchecked() : settings.getChecked();
    }
}
