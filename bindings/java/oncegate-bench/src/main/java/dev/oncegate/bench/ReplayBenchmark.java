package dev.oncegate.bench;

import dev.oncegate.Admission;
import dev.oncegate.Answer;
import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.Hashed;
import dev.oncegate.Outcome;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a duplicate of a finished request costs, one at a time and 64 in a call, in a table that the
 * caches hold and in one that they do not. Digests are the caller's: what is measured is the
 * crossing and the look-up, and not a hash.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ReplayBenchmark {
    private static final int BATCH = 64;
    private static final int BODY = 48;
    private static final dev.oncegate.Scope TENANT = dev.oncegate.Scope.singleTenant();

    /** Records, all of which are asked for in turn. */
    @Param({"1024", "1048576"})
    public int records;

    private Engine engine;
    private final List<Hashed> finished = new ArrayList<>();
    private int next;

    /** An engine in which every request has finished. */
    @Setup
    public void open() {
        engine = Engine.open(EngineOptions.builder().capacity(2L * records + 1_000).build());
        Outcome outcome = Outcome.of(201, new byte[BODY]);
        Random random = new Random(1);
        for (int i = 0; i < records; i++) {
            byte[] digest = new byte[Hashed.FINGERPRINT_BYTES];
            random.nextBytes(digest);
            Hashed known = Hashed.of(TENANT, digest, 0);
            Answer answer = engine.beginHashed(known, BeginOptions.defaults());
            ((Admission.Admitted) answer).lease().complete(outcome);
            finished.add(known);
        }
    }

    /** Ends it. */
    @TearDown
    public void close() {
        engine.close();
    }

    /** One at a time. */
    @Benchmark
    public Admission replayHashed() {
        next = next + 1 & records - 1;
        return engine.beginHashed(finished.get(next), BeginOptions.defaults());
    }

    /** 64 in a call; counted for each. */
    @Benchmark
    @OperationsPerInvocation(BATCH)
    public List<Answer> replayHashedBatch() {
        next = next + BATCH & records - 1;
        return engine.beginAllHashed(finished.subList(next, next + BATCH), BeginOptions.defaults());
    }
}
