package dev.oncegate.spring;

import dev.oncegate.Engine;
import dev.oncegate.Lease;
import java.lang.reflect.Method;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import org.aopalliance.aop.Advice;
import org.aopalliance.intercept.MethodInvocation;
import org.springframework.aop.support.AopUtils;
import org.springframework.aop.support.StaticMethodMatcherPointcutAdvisor;
import org.springframework.beans.factory.BeanFactory;
import org.springframework.context.expression.AnnotatedElementKey;
import org.springframework.core.annotation.AnnotatedElementUtils;
import tools.jackson.databind.ObjectMapper;

/** Finds the methods with {@link Idempotent}, of all beans. */
public final class IdempotentAdvisor extends StaticMethodMatcherPointcutAdvisor {
    private static final long serialVersionUID = 1L;

    private final transient OncegateProperties properties;
    private final transient Supplier<Engine> engine;
    private final transient Supplier<ObjectMapper> mapper;
    private final transient BeanFactory beans;
    private final transient ConcurrentHashMap<AnnotatedElementKey, IdempotentMethod> methods =
            new ConcurrentHashMap<>();
    private transient Advice advice;

    IdempotentAdvisor(
            OncegateProperties properties, Supplier<Engine> engine, Supplier<ObjectMapper> mapper,
            BeanFactory beans) {
        this.properties = properties;
        this.engine = engine;
        this.mapper = mapper;
        this.beans = beans;
        setOrder(properties.getMethods().getOrder());
    }

    /**
     * The attempt that the calling method runs in, on this thread: its number, its fencing token,
     * and {@link Lease#renew} for a method that takes long. The advice ends it.
     *
     * @return empty outside of methods with {@link Idempotent}
     */
    public static Optional<Lease> attempt() {
        return IdempotentInterceptor.current();
    }

    /** Also checks what the annotation says, so that mistakes show when the application starts. */
    @Override
    public boolean matches(Method method, Class<?> target) {
        Method specific = AopUtils.getMostSpecificMethod(method, target);
        if (!AnnotatedElementUtils.hasAnnotation(specific, Idempotent.class)) {
            return false;
        }
        methods.computeIfAbsent(
                new AnnotatedElementKey(specific, target), key -> found(specific, target));
        return true;
    }

    private IdempotentMethod found(Method method, Class<?> target) {
        Idempotent annotation =
                AnnotatedElementUtils.findMergedAnnotation(method, Idempotent.class);
        return new IdempotentMethod(annotation, method, target, properties, mapper.get(), beans);
    }

    private IdempotentMethod methodOf(MethodInvocation call) {
        Class<?> target = AopUtils.getTargetClass(call.getThis());
        Method specific = AopUtils.getMostSpecificMethod(call.getMethod(), target);
        return methods.computeIfAbsent(
                new AnnotatedElementKey(specific, target), key -> found(specific, target));
    }

    @Override
    public synchronized Advice getAdvice() {
        if (advice == null) {
            advice = new IdempotentInterceptor(engine.get(), this::methodOf);
        }
        return advice;
    }
}
