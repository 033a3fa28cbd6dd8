package dev.oncegate.spring;

import dev.oncegate.BeginOptions;
import dev.oncegate.Engine;
import dev.oncegate.Judgement;
import dev.oncegate.MethodClass;
import dev.oncegate.OutcomePolicy;
import dev.oncegate.Scope;
import jakarta.servlet.http.HttpServletRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.springframework.http.server.PathContainer;
import org.springframework.web.util.pattern.PathPattern;
import org.springframework.web.util.pattern.PathPatternParser;

/** The settings of the filter, checked when the application starts. */
final class HttpRules {
    /** They describe the result, and say nothing of who asked for it. */
    private static final List<String> KEPT = List.of(
            "cache-control", "content-disposition", "content-encoding", "content-language",
            "content-location", "content-type", "etag", "last-modified", "link", "location",
            "vary");

    /** Credentials; headers of one connection (RFC 9110, section 7.6.1); those of one message. */
    private static final Set<String> NEVER = Set.of(
            "set-cookie", "set-cookie2", "authorization", "authentication-info",
            "proxy-authentication-info", "www-authenticate", "proxy-authenticate",
            "proxy-authorization", "cookie", "connection", "keep-alive", "proxy-connection", "te",
            "trailer", "transfer-encoding", "upgrade", "content-length", "date", "age");

    private static final int LARGEST_PAYLOAD = 64 << 20;
    private static final int LARGEST_OUTCOME = 1_000_000;

    final Engine engine;
    final ScopeResolver scope;
    final OperationResolver operation;
    final String keyHeader;
    final boolean keyOptional;
    final boolean dedupByPayload;
    final int payloadLimit;
    final int responseLimit;
    final List<String> kept;
    final String replayHeader;
    final BeginOptions begin;
    final Duration pollAfter;
    final String problemTypes;
    final OutcomePolicy policy;
    private final List<PathPattern> paths;
    private final Set<String> methods;

    HttpRules(
            Engine engine,
            HttpSettings settings,
            ScopeResolver scope,
            OperationResolver operation) {
        this.engine = engine;
        this.scope = scope;
        this.operation = operation == null ? HttpRules::operationOf : operation;
        paths = settings.getPaths().stream().map(PathPatternParser.defaultInstance::parse).toList();
        methods = Set.copyOf(settings.getMethods());
        keyHeader = settings.getKeyHeader();
        keyOptional = settings.isKeyOptional();
        dedupByPayload = settings.isDedupByPayload();
        payloadLimit = within("payload-limit", settings.getPayloadLimit(), LARGEST_PAYLOAD);
        responseLimit = within("response-limit", settings.getResponseLimit(), LARGEST_OUTCOME);
        kept = kept(settings.getKeepHeaders());
        replayHeader = settings.getReplayHeader();
        pollAfter = settings.getPollAfter();
        problemTypes = settings.getProblemTypes();
        begin = begin(settings);
        policy = policy(settings);
    }

    /** The rules of one tenant alone. */
    static ScopeResolver singleTenant() {
        return request -> java.util.Optional.of(Scope.singleTenant());
    }

    private static int within(String name, int found, int most) {
        if (found < 1 || found > most) {
            throw new IllegalArgumentException(
                    "oncegate.http." + name + ": found " + found + "; limit: 1 to " + most);
        }
        return found;
    }

    private static List<String> kept(List<String> more) {
        List<String> all = new ArrayList<>(KEPT);
        for (String header : more) {
            String name = header.toLowerCase(Locale.ROOT);
            if (NEVER.contains(name)) {
                throw new IllegalArgumentException("oncegate.http.keep-headers: found a header of "
                        + "one client, connection or message: " + name);
            }
            if (!all.contains(name)) {
                all.add(name);
            }
        }
        return List.copyOf(all);
    }

    private static BeginOptions begin(HttpSettings settings) {
        BeginOptions begin = BeginOptions.defaults().waitUpTo(settings.getWait());
        if (settings.getLease() != null) {
            begin = begin.lease(settings.getLease());
        }
        return settings.getDedupWindow() == null
                ? begin : begin.dedupWindow(settings.getDedupWindow());
    }

    private static OutcomePolicy policy(HttpSettings settings) {
        OutcomePolicy policy = settings.getPolicy().policy.onException(settings.getOnException());
        for (Map.Entry<Integer, Judgement> status : settings.getStatuses().entrySet()) {
            policy = policy.status(status.getKey(), status.getValue());
        }
        return policy;
    }

    /** What a request needs; {@link MethodClass#SAFE} where it is passed on as it is. */
    MethodClass classOf(HttpServletRequest request) {
        String method = request.getMethod();
        if (!methods.isEmpty() && !methods.contains(method)) {
            return MethodClass.SAFE;
        }
        String path = request.getRequestURI().substring(request.getContextPath().length());
        PathContainer parsed = PathContainer.parsePath(path);
        return paths.stream().anyMatch(pattern -> pattern.matches(parsed))
                ? MethodClass.of(method) : MethodClass.SAFE;
    }

    /** Without scheme and host, which HTTP/2 sends in the target and HTTP/1 does not. */
    private static String operationOf(HttpServletRequest request) {
        String query = request.getQueryString();
        return request.getMethod() + " " + request.getRequestURI()
                + (query == null ? "" : "?" + query);
    }
}
