package dev.oncegate;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/** What tests begin with. */
final class Given {
    static final Scope ACME = Scope.named("acme");

    private static final AtomicLong KEYS = new AtomicLong();

    private Given() {}

    /** Small, and its clock stands still. */
    static EngineOptions.Builder options() {
        return EngineOptions.builder()
                .capacity(1_000)
                .clock(EngineOptions.Clock.MANUAL)
                .jitterSeed(1);
    }

    static Engine engine() {
        return Engine.open(options().build());
    }

    static Request request(String key) {
        return Request.of(ACME, "POST /charges", key);
    }

    /** A request that no other test makes. */
    static Request fresh() {
        return request("key-" + KEYS.incrementAndGet());
    }

    static Lease admitted(Answer answer) {
        return assertInstanceOf(Admission.Admitted.class, answer).lease();
    }

    static Outcome replayed(Answer answer) {
        return assertInstanceOf(Admission.Replayed.class, answer).outcome();
    }

    /** What a refused call throws: its status and the field that it names. */
    static OncegateException refused(Status status, String field, Supplier<?> call) {
        OncegateException thrown = assertThrows(OncegateException.class, call::get);
        org.junit.jupiter.api.Assertions.assertEquals(
                status + " " + field, thrown.status() + " " + thrown.field(),
                thrown::getMessage);
        return thrown;
    }

    static OncegateException refused(Status status, String field, Runnable call) {
        return refused(status, field, () -> {
            call.run();
            return null;
        });
    }
}
