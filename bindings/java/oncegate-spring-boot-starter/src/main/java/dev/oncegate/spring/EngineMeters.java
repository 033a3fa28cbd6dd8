package dev.oncegate.spring;

import dev.oncegate.Engine;
import dev.oncegate.Stats;
import dev.oncegate.TierStats;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.time.Duration;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;

/** The engine's statistics as meters. No tag holds anything of a request. */
final class EngineMeters implements MeterBinder {
    private static final double NANOS = 1e9;

    private final Engine engine;
    private final long maxAgeNanos;

    /** What all meters of one scrape read. */
    private Stats stats;
    private long takenAt;

    EngineMeters(Engine engine, Duration maxAge) {
        this.engine = engine;
        maxAgeNanos = maxAge.toNanos();
    }

    private synchronized Stats stats() {
        long now = System.nanoTime();
        if (stats == null || now - takenAt >= maxAgeNanos) {
            stats = engine.stats();
            takenAt = now;
        }
        return stats;
    }

    @Override
    public void bindTo(MeterRegistry registry) {
        requests(registry);
        attempts(registry);
        table(registry);
        retries(registry);
        latency(registry, "begin", Stats::begin);
        latency(registry, "complete", Stats::complete);
        latency(registry, "dispatch", Stats::dispatchLag);
        if (engine.hasTier()) {
            tier(registry, engine, Engine::tierStats);
        }
    }

    private void requests(MeterRegistry registry) {
        String name = "oncegate.requests";
        String what = "requests that were begun, by the answer";
        count(registry, name, what, "answer", "created", Stats::created);
        count(registry, name, what, "answer", "replayed", Stats::replayed);
        count(registry, name, what, "answer", "in_progress", Stats::inProgress);
        count(registry, name, what, "answer", "scheduled", Stats::scheduled);
        count(registry, name, what, "answer", "mismatched", Stats::mismatched);
        count(registry, name, what, "answer", "unresolved", Stats::unresolved);
        count(registry, name, what, "answer", "outcome_gone", Stats::outcomeGone);
        count(registry, name, what, "answer", "full", Stats::full);
        count(registry, name, what, "answer", "quota", Stats::quota);
    }

    private void attempts(MeterRegistry registry) {
        String name = "oncegate.attempts";
        String what = "what became of attempts";
        count(registry, name, what, "event", "completed", Stats::completed);
        count(registry, name, what, "event", "retried", Stats::retried);
        count(registry, name, what, "event", "expired", Stats::expired);
        count(registry, name, what, "event", "lapsed", Stats::lapsed);
        count(registry, name, what, "event", "fenced", Stats::fenced);
        count(registry, name, what, "event", "handed_over", Stats::handOffs);
        gauge(registry, "oncegate.waiters", "callers that wait for an attempt", Stats::waiters);
    }

    private void table(MeterRegistry registry) {
        String name = "oncegate.records";
        String what = "live records, by state";
        gauge(registry, name, what, "state", "running", Stats::liveRunning);
        gauge(registry, name, what, "state", "waiting", Stats::liveWaiting);
        gauge(registry, name, what, "state", "succeeded", Stats::liveSucceeded);
        gauge(registry, name, what, "state", "failed", Stats::liveFailed);
        gauge(registry, name, what, "state", "unknown", Stats::liveUnknown);
        String gone = "oncegate.evictions";
        String why = "what gave way to others";
        count(registry, gone, why, "kind", "expired", Stats::evictedExpired);
        count(registry, gone, why, "kind", "early", Stats::evictedEarly);
        count(registry, gone, why, "kind", "outcome", Stats::outcomesEvicted);
        gauge(registry, "oncegate.fill", "live records, as a share of the capacity", Stats::fill);
        gauge(registry, "oncegate.outcome.fill", "outcomes, as a share of their room",
                Stats::outcomeFill);
        gauge(registry, "oncegate.stuck", "transitions that stand still", Stats::stuck);
        Gauge.builder("oncegate.memory", this, meters -> meters.stats().bytes())
                .description("memory of the table").baseUnit("bytes").register(registry);
    }

    private void retries(MeterRegistry registry) {
        String name = "oncegate.retries";
        String what = "records that the engine retries, by state";
        gauge(registry, name, what, "state", "waiting", Stats::retriesWaiting);
        gauge(registry, name, what, "state", "ready", Stats::retriesReady);
        gauge(registry, name, what, "state", "in_flight", Stats::retriesInFlight);
        gauge(registry, "oncegate.backoff.factor", "of adaptive backoff; zero: it is off",
                Stats::backoffFactor);
        gauge(registry, "oncegate.dead.letters", "dead letters that are there",
                Stats::deadLetters);
        String letters = "oncegate.dead.letter.events";
        String became = "what became of dead letters";
        count(registry, letters, became, "event", "buried", Stats::buried);
        count(registry, letters, became, "event", "redriven", Stats::redriven);
        count(registry, letters, became, "event", "discarded", Stats::discarded);
        count(registry, letters, became, "event", "lost", Stats::lettersLost);
    }

    /** The statistics of the tier of {@code from}, which the meters do not keep alive. */
    static <T> void tier(MeterRegistry registry, T from, Function<T, TierStats> stats) {
        new TierMeters<>(registry, from, stats).register();
    }

    private record TierMeters<T>(MeterRegistry registry, T from, Function<T, TierStats> stats) {
        void register() {
            count("granted", TierStats::granted);
            count("imported", TierStats::imported);
            count("elsewhere", TierStats::elsewhere);
            count("refused", TierStats::refused);
            count("local_only", TierStats::localOnly);
            count("unknown", TierStats::unknown);
            count("delivered_late", TierStats::deliveredLate);
            count("undelivered_lost", TierStats::undeliveredLost);
            count("conflict", TierStats::conflicts);
            count("session_lost", TierStats::sessionsLost);
            count("letter_logged", TierStats::lettersLogged);
            count("letter_lost", TierStats::lettersLost);
            gauge("letters.waiting", "dead letters that wait to be told",
                    TierStats::lettersWaiting);
            gauge("undelivered", "ends of attempts that wait to be told", TierStats::undelivered);
            gauge("breaker.open", "1: the breaker refuses calls for a moment",
                    told -> told.breakerOpen() ? 1 : 0);
            gauge("hazards", "what about the server endangers the promises",
                    told -> told.hazards().size());
        }

        private void count(String value, ToDoubleFunction<TierStats> of) {
            FunctionCounter.builder("oncegate.tier", from,
                    each -> of.applyAsDouble(stats.apply(each)))
                    .description("what the engine and its tier have done").tag("event", value)
                    .register(registry);
        }

        private void gauge(String name, String what, ToDoubleFunction<TierStats> of) {
            Gauge.builder("oncegate.tier." + name, from,
                    each -> of.applyAsDouble(stats.apply(each)))
                    .description(what).register(registry);
        }
    }

    /** Quantiles that the engine has taken; a timer would have to see each call. */
    private void latency(
            MeterRegistry registry, String call, Function<Stats, Stats.Latency> of) {
        quantile(registry, call, "0.5", stats -> of.apply(stats).p50Nanos());
        quantile(registry, call, "0.99", stats -> of.apply(stats).p99Nanos());
        quantile(registry, call, "0.999", stats -> of.apply(stats).p999Nanos());
    }

    private void quantile(
            MeterRegistry registry, String call, String quantile, ToDoubleFunction<Stats> nanos) {
        ToDoubleFunction<EngineMeters> seconds =
                meters -> nanos.applyAsDouble(meters.stats()) / NANOS;
        Gauge.builder("oncegate.latency", this, seconds)
                .description("how long calls take, of one in 1,024").baseUnit("seconds")
                .tag("call", call).tag("quantile", quantile).register(registry);
    }

    private void count(
            MeterRegistry registry, String name, String what, String tag, String value,
            ToDoubleFunction<Stats> of) {
        FunctionCounter.builder(name, this, meters -> of.applyAsDouble(meters.stats()))
                .description(what).tag(tag, value).register(registry);
    }

    private void gauge(
            MeterRegistry registry, String name, String what, String tag, String value,
            ToDoubleFunction<Stats> of) {
        Gauge.builder(name, this, meters -> of.applyAsDouble(meters.stats()))
                .description(what).tag(tag, value).register(registry);
    }

    private void gauge(
            MeterRegistry registry, String name, String what, ToDoubleFunction<Stats> of) {
        Gauge.builder(name, this, meters -> of.applyAsDouble(meters.stats()))
                .description(what).register(registry);
    }
}
