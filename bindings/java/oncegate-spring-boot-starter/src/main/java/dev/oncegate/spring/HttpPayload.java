package dev.oncegate.spring;

import dev.oncegate.Payload;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.Part;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.UUID;
import org.springframework.util.MimeTypeUtils;

/**
 * Makes a payload of a body, by what its headers announce. What is encoded, unknown, or announced
 * twice is compared byte by byte. An empty body is no payload, whatever its type: clients set a
 * type for all requests.
 */
final class HttpPayload {
    private static final String MULTIPART = "multipart/form-data";

    private HttpPayload() {}

    static Payload of(HttpServletRequest request, byte[] body) {
        if (body.length == 0) {
            return Payload.none();
        }
        String essence = essenceOf(request);
        if (essence.equals("application/json") || essence.equals("text/json")
                || essence.endsWith("+json")) {
            return Payload.json(body);
        }
        String boundary = essence.equals(MULTIPART)
                ? MimeTypeUtils.parseMimeType(request.getContentType()).getParameter("boundary")
                : null;
        if (boundary != null) {
            return Payload.multipart(body, boundary.replace("\"", ""));
        }
        return essence.equals("application/x-www-form-urlencoded")
                ? Payload.form(body) : Payload.raw(body);
    }

    /** Whether the container takes the body apart: then its stream is not read here. */
    static boolean isMultipart(HttpServletRequest request) {
        return essenceOf(request).equals(MULTIPART);
    }

    /** The type without its parameters; empty where the body is to be compared byte by byte. */
    private static String essenceOf(HttpServletRequest request) {
        List<String> types = Collections.list(request.getHeaders("Content-Type"));
        if (types.size() != 1 || request.getHeader("Content-Encoding") != null) {
            return "";
        }
        return essence(types.get(0));
    }

    static String essence(String type) {
        int end = type.indexOf(';');
        return (end < 0 ? type : type.substring(0, end)).strip().toLowerCase(Locale.ROOT);
    }

    /**
     * The payload of parts that the container has taken apart, which the handler finds as ever.
     *
     * @return null where they have more bytes than the limit
     */
    static Payload ofParts(HttpServletRequest request, int limit)
            throws IOException, ServletException {
        // It is no part of what is compared.
        String boundary = UUID.randomUUID().toString();
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        for (Part part : request.getParts()) {
            text(whole, "--" + boundary + "\r\n");
            for (String name : part.getHeaderNames()) {
                for (String value : part.getHeaders(name)) {
                    text(whole, name + ": " + value + "\r\n");
                }
            }
            text(whole, "\r\n");
            if (part.getSize() > limit - whole.size()) {
                return null;
            }
            try (InputStream bytes = part.getInputStream()) {
                bytes.transferTo(whole);
            }
            text(whole, "\r\n");
        }
        if (whole.size() == 0) {
            return Payload.none();
        }
        text(whole, "--" + boundary + "--\r\n");
        return Payload.multipart(whole.toByteArray(), boundary);
    }

    private static void text(ByteArrayOutputStream to, String text) {
        to.writeBytes(text.getBytes(StandardCharsets.UTF_8));
    }
}
