package dev.oncegate.spring;

import dev.oncegate.EngineOptions;
import dev.oncegate.Lease;
import dev.oncegate.Scope;
import jakarta.servlet.AsyncContext;
import jakarta.servlet.http.Cookie;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.servlet.ServletRegistrationBean;
import org.springframework.context.annotation.Bean;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.context.request.async.DeferredResult;
import org.springframework.web.multipart.MultipartFile;
import org.springframework.web.server.ResponseStatusException;
import org.springframework.web.servlet.mvc.method.annotation.SseEmitter;

/** A service of many kinds of handlers, for the tests. */
@SpringBootApplication
class Site {
    /** How often each handler ran. */
    static final Map<String, AtomicInteger> RAN = new ConcurrentHashMap<>();

    /** What a slow handler waits for, and tells, by its key. */
    static final Map<String, Gate> GATES = new ConcurrentHashMap<>();

    static final class Gate {
        final CountDownLatch entered = new CountDownLatch(1);
        final CountDownLatch open = new CountDownLatch(1);

        static void await(CountDownLatch latch) {
            try {
                if (!latch.await(30, TimeUnit.SECONDS)) {
                    throw new AssertionError("nothing came");
                }
            } catch (InterruptedException interrupted) {
                throw new AssertionError(interrupted);
            }
        }

        void pass() {
            entered.countDown();
            await(open);
        }
    }

    static int ran(String name) {
        AtomicInteger count = RAN.get(name);
        return count == null ? 0 : count.get();
    }

    private static int run(String name) {
        return RAN.computeIfAbsent(name, key -> new AtomicInteger()).incrementAndGet();
    }

    @Bean
    ScopeResolver scopes() {
        return request -> Optional.ofNullable(request.getHeader("X-Account")).map(Scope::named);
    }

    /** Its clock stands still until a test moves it. */
    @Bean
    EngineOptionsCustomizer clock() {
        return options -> options.clock(EngineOptions.Clock.MANUAL);
    }

    @Bean
    ServletRegistrationBean<HttpServlet> raw() {
        ServletRegistrationBean<HttpServlet> bean =
                new ServletRegistrationBean<>(new Raw(), "/raw");
        bean.setAsyncSupported(true);
        return bean;
    }

    /** Its answers are made below Spring, and its error pages by the container. */
    @Bean
    ServletRegistrationBean<HttpServlet> rough() {
        ServletRegistrationBean<HttpServlet> bean =
                new ServletRegistrationBean<>(new Rough(), "/rough/*");
        bean.setAsyncSupported(true);
        return bean;
    }

    /** A servlet that leaves what it began to the container. */
    static final class Rough extends HttpServlet {
        private static final long serialVersionUID = 1L;

        @Override
        protected void doPost(HttpServletRequest request, HttpServletResponse response)
                throws IOException {
            String how = request.getPathInfo();
            int times = run("rough" + how);
            if (how.equals("/forgotten") && times == 1) {
                // Nobody completes it: the container does, when its time is over.
                request.startAsync().setTimeout(10);
            } else if (how.equals("/short")) {
                response.setContentLength(times == 1 ? 100 : 5);
                response.getWriter().print("short");
            } else if (how.equals("/redirected")) {
                response.sendRedirect("/elsewhere/" + times);
            } else if (how.equals("/reset")) {
                response.setHeader("Link", "<wrong>");
                response.getWriter().print("wrong");
                response.reset();
                response.getOutputStream().print("right " + times);
            } else if (how.equals("/parts")) {
                response.getWriter().print(request.getInputStream().readAllBytes().length);
            } else if (how.equals("/trailers")) {
                response.setTrailerFields(() -> Map.of("Checksum", "7"));
                response.getWriter().print("trailers");
            } else {
                response.getWriter().print("ran " + times);
            }
        }
    }

    /** A servlet that completes its response itself, in another thread. */
    static final class Raw extends HttpServlet {
        private static final long serialVersionUID = 1L;

        @Override
        protected void doPost(HttpServletRequest request, HttpServletResponse response) {
            int times = run("raw");
            AsyncContext context = request.startAsync();
            context.start(() -> {
                try {
                    context.getResponse().setContentType("text/plain");
                    context.getResponse().getWriter().print("raw " + times);
                } catch (IOException thrown) {
                    throw new AssertionError(thrown);
                } finally {
                    context.complete();
                }
            });
        }
    }

    @RestController
    static class Handlers {
        @PostMapping("/charges")
        ResponseEntity<Map<String, Object>> charge(
                @RequestHeader(name = "Idempotency-Key", required = false) String key,
                @RequestBody Map<String, Object> body,
                HttpServletRequest request,
                HttpServletResponse response) {
            int times = run("charges " + key);
            Gate gate = key == null ? null : GATES.get(key);
            if (gate != null) {
                gate.pass();
            }
            response.addCookie(new Cookie("session", "secret"));
            response.setHeader("Authorization", "secret");
            response.addHeader("Link", "<a>");
            response.addHeader("Link", "<b>");
            int attempt = IdempotencyFilter.attempt(request).map(Lease::attempt).orElse(0);
            return ResponseEntity.status(HttpStatus.CREATED)
                    .header("Location", "/charges/7")
                    .header("X-Charge", "7")
                    .body(Map.of("amount", body.get("amount"), "attempt", attempt, "ran", times));
        }

        @GetMapping("/charges")
        String list() {
            return "ran " + run("list");
        }

        @PostMapping("/failing")
        String failing() {
            if (run("failing") == 1) {
                throw new IllegalStateException("broken");
            }
            return "ran again";
        }

        @PostMapping("/unavailable")
        ResponseEntity<String> unavailable() {
            return ResponseEntity.status(503).body("ran " + run("unavailable"));
        }

        @PostMapping("/missing")
        String missing() {
            throw new ResponseStatusException(HttpStatus.NOT_FOUND, "ran " + run("missing"));
        }

        @PostMapping("/deferred")
        DeferredResult<String> deferred() {
            DeferredResult<String> result = new DeferredResult<>();
            int times = run("deferred");
            new Thread(() -> result.setResult("deferred " + times)).start();
            return result;
        }

        @PostMapping("/callable")
        Callable<String> callable() {
            return () -> "callable " + run("callable");
        }

        @PostMapping("/broken-async")
        Callable<String> brokenAsync() {
            return () -> {
                if (run("broken-async") == 1) {
                    throw new IllegalStateException("broken later");
                }
                return "ran again";
            };
        }

        @PostMapping("/never")
        DeferredResult<String> never() {
            return run("never") == 1 ? new DeferredResult<>(10L) : immediate();
        }

        private static DeferredResult<String> immediate() {
            DeferredResult<String> result = new DeferredResult<>();
            result.setResult("ran again");
            return result;
        }

        @PostMapping("/events")
        SseEmitter events(@RequestHeader("Idempotency-Key") String key) {
            run("events");
            SseEmitter emitter = new SseEmitter();
            new Thread(() -> {
                try {
                    emitter.send("first");
                    GATES.get(key).pass();
                    emitter.send("second");
                    emitter.complete();
                } catch (IOException thrown) {
                    emitter.completeWithError(thrown);
                }
            }).start();
            return emitter;
        }

        @PostMapping("/large")
        byte[] large(@RequestParam int size) {
            run("large");
            return new byte[size];
        }

        @PostMapping(path = "/forms", consumes = MediaType.APPLICATION_FORM_URLENCODED_VALUE)
        String form(@RequestParam String name, @RequestParam(required = false) String from) {
            run("forms");
            return name + " " + from;
        }

        @PostMapping(path = "/uploads", consumes = MediaType.MULTIPART_FORM_DATA_VALUE)
        String upload(@RequestParam MultipartFile file, @RequestParam String name)
                throws IOException {
            return name + " " + new String(file.getBytes()) + " " + run("uploads");
        }

        @PutMapping("/settings")
        String put(@RequestBody String body) {
            return body + " " + run("settings");
        }

        @DeleteMapping("/settings")
        ResponseEntity<Void> delete() {
            run("delete");
            return ResponseEntity.noContent().build();
        }

        @PostMapping("/unprotected")
        String unprotected() {
            return "ran " + run("unprotected");
        }
    }
}
