package dev.oncegate.spring;

import dev.oncegate.Failure;
import dev.oncegate.FencedException;
import dev.oncegate.FullException;
import dev.oncegate.InvalidInputException;
import dev.oncegate.Judgement;
import dev.oncegate.Lease;
import dev.oncegate.OncegateException;
import dev.oncegate.Outcome;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** An attempt that runs in a request, and what becomes of its record. */
final class Exchange {
    /** Where it is found in the request. */
    static final String ATTRIBUTE = Exchange.class.getName();

    private final HttpRules rules;
    private final HttpServletResponse client;

    /** The headers that were set further out, which stay if the handler's response does not. */
    private final Map<String, List<String>> outer = new HashMap<>();

    final Lease lease;
    final HeldResponse response;
    private boolean ended;

    Exchange(HttpRules rules, Lease lease, HttpServletResponse client) {
        this.rules = rules;
        this.lease = lease;
        this.client = client;
        for (String name : client.getHeaderNames()) {
            outer.put(name, new ArrayList<>(client.getHeaders(name)));
        }
        response = new HeldResponse(client, rules.responseLimit, this::passing);
    }

    /**
     * The response is passed on before it is whole. One that is final finishes its record before
     * that: nothing runs again. One that is not keeps its lease until the handler has ended, since
     * it may work on while it writes.
     */
    private synchronized void passing() {
        if (!ended && rules.policy.judge(client.getStatus()) == Judgement.FINAL) {
            end(() -> lease.complete(Outcome.withheld(client.getStatus())));
        }
    }

    /** The handler has ended. */
    synchronized void finish() throws IOException {
        Judgement judgement = rules.policy.judge(client.getStatus());
        if (ended) {
            return;
        }
        if (!response.isHolding()) {
            end(() -> fail(judgement));
        } else if (response.isShort()) {
            if (end(() -> fail(rules.policy.judgeException()))) {
                answer(Problem.aborted());
            }
        } else if (end(() -> conclude(judgement))) {
            response.send();
        }
    }

    private void conclude(Judgement judgement) {
        if (judgement != Judgement.FINAL) {
            fail(judgement);
            return;
        }
        Outcome whole = kept();
        try {
            lease.complete(whole);
        } catch (InvalidInputException | FullException refused) {
            // It ran: whatever its response was, it never runs again.
            lease.complete(Outcome.withheld(client.getStatus()));
        }
    }

    /** What is kept of a response. Trailers may hold the result itself. */
    private Outcome kept() {
        int status = client.getStatus();
        if (response.hasTrailers()) {
            return Outcome.withheld(status);
        }
        Outcome outcome = Outcome.of(status, response.body());
        for (String name : rules.kept) {
            for (String value : valuesOf(name)) {
                outcome = outcome.with(name, value);
            }
        }
        return outcome;
    }

    private Collection<String> valuesOf(String name) {
        if (name.equals("content-type")) {
            String type = client.getContentType();
            return type == null ? List.of() : List.of(type);
        }
        return client.getHeaders(name);
    }

    /** The handler has ended by an exception, or nobody knows how. */
    synchronized void broke() {
        if (ended) {
            return;
        }
        Judgement judgement = rules.policy.judgeException();
        if (response.isPassing()
                && rules.policy.judge(client.getStatus()) == Judgement.UNKNOWN) {
            // An effect that is unknown does not become known by that.
            judgement = Judgement.UNKNOWN;
        }
        Judgement how = judgement;
        response.drop();
        end(() -> fail(how));
    }

    /** The request is over, whatever came of it. */
    synchronized void over() {
        if (ended) {
            return;
        }
        if (!response.awaitsErrorPage()) {
            broke();
            return;
        }
        // The container wrote the error page itself: its bytes are not known here.
        response.drop();
        Judgement judgement = rules.policy.judge(client.getStatus());
        end(() -> {
            if (judgement == Judgement.FINAL) {
                lease.complete(Outcome.withheld(client.getStatus()));
            } else {
                fail(judgement);
            }
        });
    }

    private void fail(Judgement judgement) {
        lease.fail(judgement == Judgement.RETRYABLE
                ? Failure.retryable(Duration.ZERO) : Failure.unknown());
    }

    /**
     * Ends the attempt. False: that was refused, and the client is told so. Another attempt took
     * over, or may: two clients must not hold two results of one request.
     */
    private boolean end(Runnable how) {
        ended = true;
        // Closing gives the attempt back, should ending it be refused.
        try (lease) {
            how.run();
            return true;
        } catch (OncegateException refused) {
            if (!(refused instanceof FencedException)) {
                System.getLogger(Exchange.class.getName())
                        .log(System.Logger.Level.ERROR, "an attempt could not be ended", refused);
            }
            if (!response.isHolding()) {
                // The client has it, or gets another answer.
                return true;
            }
            answer(Problem.of(refused, rules.pollAfter));
            return false;
        }
    }

    /** Answers in the handler's place. */
    private void answer(Problem problem) {
        response.drop();
        client.reset();
        outer.forEach((name, values) -> values.forEach(value -> client.addHeader(name, value)));
        try {
            problem.write(client, rules.problemTypes);
        } catch (IOException left) {
            // The client hears of it when he asks again.
            System.getLogger(Exchange.class.getName())
                    .log(System.Logger.Level.DEBUG, "a client has left", left);
        }
    }
}
