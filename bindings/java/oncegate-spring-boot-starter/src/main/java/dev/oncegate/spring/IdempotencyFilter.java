package dev.oncegate.spring;

import dev.oncegate.Admission;
import dev.oncegate.Lease;
import dev.oncegate.MethodClass;
import dev.oncegate.OncegateException;
import dev.oncegate.Outcome;
import dev.oncegate.Request;
import dev.oncegate.Scope;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletRequestEvent;
import jakarta.servlet.ServletRequestListener;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.Collections;
import java.util.Optional;

/**
 * Runs each request with an idempotency key once, as draft-ietf-httpapi-idempotency-key-header
 * describes it: duplicates get the stored response, or are told why not, as
 * {@code application/problem+json} (RFC 9457).
 *
 * <p>Its place is inside of what authenticates and limits requests, so that nobody unknown can make
 * records, and outside of what must not be repeated.
 */
public final class IdempotencyFilter implements Filter {
    private final HttpRules rules;

    IdempotencyFilter(HttpRules rules) {
        this.rules = rules;
    }

    /**
     * The attempt that a handler runs in: its number, its fencing token, and
     * {@link Lease#renew} for a handler that takes long. The filter ends it.
     *
     * @param request the request of the handler
     * @return empty where the request has no record
     */
    public static Optional<Lease> attempt(ServletRequest request) {
        return exchange(request).map(exchange -> exchange.lease);
    }

    private static Optional<Exchange> exchange(ServletRequest request) {
        return Optional.ofNullable((Exchange) request.getAttribute(Exchange.ATTRIBUTE));
    }

    /** Ends what a request has left open. */
    static final class Listener implements ServletRequestListener {
        @Override
        public void requestDestroyed(ServletRequestEvent event) {
            ServletRequest request = event.getServletRequest();
            if (!request.isAsyncStarted()) {
                exchange(request).ifPresent(Exchange::over);
            }
        }
    }

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        if (!(request instanceof HttpServletRequest http)
                || !(response instanceof HttpServletResponse client)) {
            chain.doFilter(request, response);
            return;
        }
        Optional<Exchange> exchange = exchange(request);
        if (exchange.isPresent() && http.getDispatcherType() != DispatcherType.REQUEST) {
            again(http, client, chain, exchange.get());
        } else if (exchange.isEmpty() && http.getDispatcherType() == DispatcherType.REQUEST) {
            first(http, client, chain);
        } else {
            // Below another filter of this kind the request has its record already.
            chain.doFilter(request, response);
        }
    }

    /** A dispatch of a request whose attempt is under way, or has ended. */
    private static void again(
            HttpServletRequest request, HttpServletResponse client, FilterChain chain,
            Exchange exchange) throws IOException, ServletException {
        HttpServletResponse response = client;
        if (request.getDispatcherType() == DispatcherType.ERROR
                && exchange.response.awaitsErrorPage()) {
            exchange.response.beginErrorPage();
            response = exchange.response;
        }
        run(request, response, chain, exchange);
    }

    private void first(HttpServletRequest request, HttpServletResponse client, FilterChain chain)
            throws IOException, ServletException {
        MethodClass needs = rules.classOf(request);
        if (needs == MethodClass.SAFE) {
            chain.doFilter(request, client);
            return;
        }
        HttpKey key = HttpKey.read(Collections.list(request.getHeaders(rules.keyHeader)));
        if (key.malformed() != null) {
            refuse(client, Problem.badRequest("invalid-key", key.malformed()));
        } else if (key.value() != null
                || needs == MethodClass.PAYLOAD_DEDUP && rules.dedupByPayload) {
            protect(request, client, chain, key.value());
        } else if (needs == MethodClass.KEY_REQUIRED && !rules.keyOptional) {
            refuse(client, Problem.badRequest("missing-key",
                    "this request needs a key of its own in `" + rules.keyHeader + "`"));
        } else {
            chain.doFilter(request, client);
        }
    }

    private void protect(
            HttpServletRequest request, HttpServletResponse client, FilterChain chain, String key)
            throws IOException, ServletException {
        Optional<Scope> scope = rules.scope.resolve(request);
        if (scope.isEmpty()) {
            refuse(client, Problem.noScope());
            return;
        }
        String operation = rules.operation.resolve(request);
        if (operation == null || operation.isEmpty()) {
            refuse(client, Problem.misconfigured());
            return;
        }
        HttpBody body = HttpBody.read(request, rules.payloadLimit);
        if (body.problem() != null) {
            refuse(client, body.problem());
            return;
        }
        Request asked = key == null
                ? Request.keyedByPayload(scope.get(), operation, body.payload())
                : Request.of(scope.get(), operation, key).withPayload(body.payload());
        begin(request, client, chain, asked, body.bytes());
    }

    private void begin(
            HttpServletRequest request, HttpServletResponse client, FilterChain chain,
            Request asked, byte[] body) throws IOException, ServletException {
        Admission admission;
        try {
            admission = rules.engine.begin(asked, rules.begin);
        } catch (OncegateException refused) {
            refuse(client, Problem.of(refused, rules.pollAfter));
            return;
        }
        if (admission instanceof Admission.Admitted admitted) {
            Exchange exchange = new Exchange(rules, admitted.lease(), client);
            request.setAttribute(Exchange.ATTRIBUTE, exchange);
            ReadRequest read = new ReadRequest(request, body, exchange);
            run(read, exchange.response, chain, exchange);
        } else if (admission instanceof Admission.Replayed replayed) {
            replay(client, replayed.outcome());
        } else {
            refuse(client, Problem.of(admission, rules.pollAfter));
        }
    }

    private static void run(
            HttpServletRequest request, HttpServletResponse response, FilterChain chain,
            Exchange exchange) throws IOException, ServletException {
        try {
            chain.doFilter(request, response);
        } catch (Throwable thrown) {
            exchange.broke();
            throw thrown;
        }
        // What goes on elsewhere ends there; an error page is still to be written.
        if (!request.isAsyncStarted() && !exchange.response.awaitsErrorPage()) {
            exchange.finish();
        }
    }

    private void replay(HttpServletResponse client, Outcome outcome) throws IOException {
        for (String name : rules.kept) {
            if (client.containsHeader(name)) {
                client.setHeader(name, null);
            }
        }
        for (Outcome.Pair pair : outcome.metadata()) {
            if (pair.name().equals("content-type")) {
                client.setContentType(pair.value());
            } else if (rules.kept.contains(pair.name())) {
                // Metadata of other origin is replayed by the same list.
                client.addHeader(pair.name(), pair.value());
            }
        }
        client.setHeader(rules.replayHeader, "true");
        // A record that was resolved by hand may hold any number.
        boolean valid = outcome.status() >= 200 && outcome.status() <= 999;
        client.setStatus(valid ? outcome.status() : HttpServletResponse.SC_INTERNAL_SERVER_ERROR);
        int status = client.getStatus();
        if (status != HttpServletResponse.SC_NO_CONTENT
                && status != HttpServletResponse.SC_NOT_MODIFIED && outcome.body().length != 0) {
            client.setContentLength(outcome.body().length);
            client.getOutputStream().write(outcome.body());
        }
    }

    private void refuse(HttpServletResponse client, Problem problem) throws IOException {
        problem.write(client, rules.problemTypes);
    }
}
