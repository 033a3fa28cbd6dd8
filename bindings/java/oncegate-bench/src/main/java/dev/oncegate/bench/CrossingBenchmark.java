package dev.oncegate.bench;

import dev.oncegate.Admission;
import dev.oncegate.Answer;
import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.EngineOptions;
import dev.oncegate.Hashed;
import dev.oncegate.Outcome;
import dev.oncegate.Request;
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
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What a call costs, with the binding that {@code -Doncegate.binding} names. Batches count each
 * request: their figures are to be compared with those of single calls.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class CrossingBenchmark {
    private static final int BATCH = 64;
    private static final int RECORDS = 1 << 16;
    private static final dev.oncegate.Scope TENANT = dev.oncegate.Scope.named("acme");

    private Engine engine;
    private Request finished;
    private Request running;
    private Hashed hashed;
    private final List<Request> finishedBatch = new ArrayList<>();
    private final List<Request> runningBatch = new ArrayList<>();
    private final List<Hashed> hashedBatch = new ArrayList<>();
    private List<Request> fresh;
    private int next;

    /** One engine for each thread of the measurement. */
    @Setup
    public void open() {
        engine = Engine.open(EngineOptions.builder().capacity(RECORDS).build());
        Outcome outcome = Outcome.of(201, new byte[64]);
        Random random = new Random(1);
        for (int i = 0; i < BATCH; i++) {
            Request done = Request.of(TENANT, "POST /charges", "done-" + i);
            lease(engine.begin(done)).complete(outcome);
            finishedBatch.add(done);
            Request busy = Request.of(TENANT, "POST /charges", "busy-" + i);
            lease(engine.begin(busy)).detach();
            runningBatch.add(busy);
            byte[] digest = new byte[Hashed.FINGERPRINT_BYTES];
            random.nextBytes(digest);
            Hashed known = Hashed.of(TENANT, digest, i);
            lease(engine.beginHashed(known, BeginOptions.defaults())).detach();
            hashedBatch.add(known);
        }
        finished = finishedBatch.get(7);
        running = runningBatch.get(7);
        hashed = hashedBatch.get(7);
        fresh = new ArrayList<>();
        for (int i = 0; i < 4 * RECORDS; i++) {
            fresh.add(Request.of(TENANT, "POST /charges", "new-" + i));
        }
    }

    /** Ends it. */
    @TearDown
    public void close() {
        engine.close();
    }

    private static dev.oncegate.Lease lease(Answer answer) {
        return ((Admission.Admitted) answer).lease();
    }

    /** A foreign call that does nothing: the cost of the crossing alone. */
    @Benchmark
    public int trivial() {
        return Trivial.call(next);
    }

    /** Answered with the stored outcome. */
    @Benchmark
    public Admission replay() {
        return engine.begin(finished);
    }

    /** Answered without bytes. */
    @Benchmark
    public Admission conflict() {
        return engine.begin(running);
    }

    /** A new request, and its end. */
    @Benchmark
    public Object beginAndComplete() {
        Request request = fresh.get(next++ & 4 * RECORDS - 1);
        return lease(engine.begin(request)).complete(DONE);
    }

    private static final Outcome DONE = Outcome.of(201);

    /** The same as {@code conflict}, by digests: nothing is hashed. */
    @Benchmark
    public Admission conflictHashed() {
        return engine.beginHashed(hashed, BeginOptions.defaults());
    }

    /** The same as {@code conflictHashed}, 64 in a call. */
    @Benchmark
    @OperationsPerInvocation(BATCH)
    public List<Answer> conflictHashedBatch() {
        return engine.beginAllHashed(hashedBatch, BeginOptions.defaults());
    }

    /** The same as {@code replay}, 64 in a call. */
    @Benchmark
    @OperationsPerInvocation(BATCH)
    public List<Answer> replayBatch() {
        return engine.beginAll(finishedBatch);
    }

    /** The same as {@code conflict}, 64 in a call. */
    @Benchmark
    @OperationsPerInvocation(BATCH)
    public List<Answer> conflictBatch() {
        return engine.beginAll(runningBatch);
    }
}
