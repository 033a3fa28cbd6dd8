package dev.oncegate.spring;

import dev.oncegate.Scope;
import jakarta.servlet.http.HttpServletRequest;
import java.util.Optional;

/**
 * Says whose request it is. Take that from what was authenticated, never from a header that the
 * client chooses: the scope is what keeps one tenant from being answered with another's response.
 */
@FunctionalInterface
public interface ScopeResolver {
    /**
     * The scope of a request with a key.
     *
     * @param request the request, with its body still unread
     * @return whose it is; empty: the caller is unknown, which is answered with 403
     */
    Optional<Scope> resolve(HttpServletRequest request);
}
