package dev.oncegate.resilience4j;

import dev.oncegate.Outcome;
import java.util.function.Function;

/**
 * How results are kept for duplicates.
 *
 * @param <T> the results
 */
public interface ResultCodec<T> {
    /** The number of outcomes that hold a result. */
    int SUCCESS = 200;

    /**
     * What is kept of a result. Where this fails, the result goes to its caller, and duplicates are
     * told that it is gone: nothing runs again.
     *
     * @param result the result
     * @return what is kept
     */
    Outcome encode(T result);

    /**
     * The result of what was kept.
     *
     * @param outcome what was kept
     * @return the result
     */
    T decode(Outcome outcome);

    /**
     * A codec of two functions.
     *
     * @param encode what is kept of a result
     * @param decode the result of what was kept
     * @param <T> the results
     * @return the codec
     */
    static <T> ResultCodec<T> of(Function<T, Outcome> encode, Function<Outcome, T> decode) {
        return new ResultCodec<>() {
            @Override
            public Outcome encode(T result) {
                return encode.apply(result);
            }

            @Override
            public T decode(Outcome outcome) {
                return decode.apply(outcome);
            }
        };
    }

    /**
     * Results that are text.
     *
     * @return the codec
     */
    static ResultCodec<String> text() {
        return of(text -> Outcome.of(SUCCESS, text), Outcome::bodyText);
    }

    /**
     * Results that are bytes.
     *
     * @return the codec
     */
    static ResultCodec<byte[]> bytes() {
        return of(bytes -> Outcome.of(SUCCESS, bytes), Outcome::body);
    }

    /**
     * Work that leaves no result.
     *
     * @return the codec; every result is null
     */
    static ResultCodec<Void> none() {
        return of(nothing -> Outcome.of(SUCCESS), outcome -> null);
    }
}
