package dev.oncegate.spring;

import dev.oncegate.Payload;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import java.io.IOException;

/**
 * The body of a request, or what is wrong with it.
 *
 * @param bytes null: the container has taken it apart, and the handler asks it for the parts
 * @param payload what duplicates are compared with
 * @param problem null where there is none
 */
record HttpBody(byte[] bytes, Payload payload, Problem problem) {
    static HttpBody read(HttpServletRequest request, int limit) {
        if (request.getContentLengthLong() > limit) {
            return refused(Problem.tooLarge(limit));
        }
        try {
            return HttpPayload.isMultipart(request) ? parts(request, limit) : whole(request, limit);
        } catch (IOException brokeOff) {
            return refused(Problem.incomplete());
        }
    }

    private static HttpBody parts(HttpServletRequest request, int limit) throws IOException {
        Payload payload;
        try {
            payload = HttpPayload.ofParts(request, limit);
        } catch (IOException | ServletException malformed) {
            // Whether it broke off, nobody can tell: containers say both in the same way.
            return refused(Problem.badRequest(
                    "invalid-payload", "the parts of the body could not be taken apart"));
        } catch (IllegalStateException refused) {
            // Without a cause the servlet takes no parts, and reads the body itself; with one they
            // are beyond the limits of the container.
            return refused.getCause() == null
                    ? whole(request, limit) : refused(Problem.tooLarge(limit));
        }
        return payload == null
                ? refused(Problem.tooLarge(limit)) : new HttpBody(null, payload, null);
    }

    private static HttpBody whole(HttpServletRequest request, int limit) throws IOException {
        byte[] bytes = request.getInputStream().readNBytes(limit + 1);
        return bytes.length > limit ? refused(Problem.tooLarge(limit))
                : new HttpBody(bytes, HttpPayload.of(request, bytes), null);
    }

    private static HttpBody refused(Problem problem) {
        return new HttpBody(null, null, problem);
    }
}
