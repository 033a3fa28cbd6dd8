package dev.oncegate.spring;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * A method of a bean that runs once for each key: duplicates get the stored result, or an
 * {@link IdempotentCallRefusedException}.
 *
 * <p>The result is kept as JSON, and read back as the declared type. A method that returns a
 * {@code CompletionStage} has ended when the stage is done. As with other advice, calls within a
 * bean do not come by it. The advice is around that of transactions, so that a result is stored
 * only after its transaction was committed.
 */
@Documented
@Target(ElementType.METHOD)
@Retention(RetentionPolicy.RUNTIME)
public @interface Idempotent {
    /**
     * The key, as an expression over the parameters: {@code #order.id}.
     *
     * @return an expression (SpEL) whose value is not null
     */
    String key();

    /**
     * On whose behalf, as an expression. It may be left out only where
     * {@code oncegate.single-tenant} is set: otherwise the application does not start.
     *
     * @return an expression (SpEL) whose value is not null
     */
    String scope() default "";

    /**
     * What duplicates are compared with, as an expression: its value as JSON.
     *
     * @return an expression (SpEL); by default nothing is compared
     */
    String payload() default "";

    /**
     * What is asked for, which should outlive a change of names.
     *
     * @return 1 to 1,024 bytes in UTF-8; by default class and method
     */
    String operation() default "";

    /**
     * How long the result answers duplicates.
     *
     * @return such as {@code 24h}; by default as the engine's options say
     */
    String window() default "";

    /**
     * How long an attempt may run before its lease lapses.
     *
     * @return such as {@code 30s}; by default as the engine's options say
     */
    String lease() default "";

    /**
     * How long a duplicate waits for a running attempt; it holds its thread, unless the method
     * returns a {@code CompletionStage}.
     *
     * @return such as {@code 5s}; by default not at all
     */
    String waitUpTo() default "";

    /**
     * Exceptions that are final: duplicates get an {@link IdempotentFailureReplayedException}.
     *
     * @return classes, which include their subclasses
     */
    Class<? extends Throwable>[] finalFor() default {};

    /**
     * Exceptions after which the next attempt may start.
     *
     * @return classes, which include their subclasses
     */
    Class<? extends Throwable>[] retryableFor() default {};

    /**
     * Exceptions after which nobody knows whether the method took effect.
     *
     * @return classes, which include their subclasses
     */
    Class<? extends Throwable>[] unknownFor() default {};
}
