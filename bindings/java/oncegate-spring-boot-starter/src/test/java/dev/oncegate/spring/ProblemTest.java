package dev.oncegate.spring;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.oncegate.Status;
import java.io.IOException;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.springframework.mock.web.MockHttpServletResponse;

/** What clients hear of errors that no engine of these tests has. */
class ProblemTest {
    private static final Duration SECOND = Duration.ofSeconds(1);

    private static MockHttpServletResponse told(Status status, Duration later) throws IOException {
        MockHttpServletResponse response = new MockHttpServletResponse();
        Problem.of(status, "tier: redis.internal:6379", later).write(response, null);
        assertEquals(503, response.getStatus());
        assertFalse(response.getContentAsString().contains("redis"));
        return response;
    }

    /**
     * Goal: clients come again when a store across machines may be back, and are not told to where
     * it may not be used; they are told nothing of where it is.
     * Method: each error of such a store, with several times after which to come again.
     */
    @Test
    void tiersThatAreAwayAreToldAsSuch() throws IOException {
        String[] seconds = {"1", "1", "3"};
        Duration[] after = {SECOND, Duration.ofMillis(1), Duration.ofMillis(2_500)};
        for (int i = 0; i < after.length; i++) {
            MockHttpServletResponse away = told(Status.TIER_UNAVAILABLE, after[i]);
            assertTrue(away.getContentAsString().contains("\"code\":\"tier-unavailable\""));
            assertEquals(seconds[i], away.getHeader("Retry-After"));
        }
        MockHttpServletResponse unsafe = told(Status.TIER_UNSAFE, SECOND);
        assertTrue(unsafe.getContentAsString().contains("\"code\":\"unavailable\""));
        assertEquals(null, unsafe.getHeader("Retry-After"));
    }
}
