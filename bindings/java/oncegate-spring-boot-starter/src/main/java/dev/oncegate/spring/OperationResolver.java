package dev.oncegate.spring;

import jakarta.servlet.http.HttpServletRequest;

/**
 * Says what is asked for. By default that is the method, the path and the query; a bean of this
 * type is needed where they do not say it all, as where the host decides.
 */
@FunctionalInterface
public interface OperationResolver {
    /**
     * The operation of a request with a key.
     *
     * @param request the request, with its body still unread
     * @return 1 to 1,024 bytes in UTF-8
     */
    String resolve(HttpServletRequest request);
}
