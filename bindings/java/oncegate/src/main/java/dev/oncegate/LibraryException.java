package dev.oncegate;

/**
 * The native library could not be loaded; the message says what was looked for and where, and how
 * to name another.
 */
public final class LibraryException extends OncegateException {
    private static final long serialVersionUID = 1L;

    LibraryException(String message, Throwable cause) {
        super(new Refusal(Status.UNSUPPORTED, "library", message, false, java.time.Duration.ZERO));
        initCause(cause);
    }
}
