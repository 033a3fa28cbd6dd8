package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.Objects;

/**
 * On whose behalf a request is made: no record is ever met by a request of another scope.
 *
 * <p>There is no default; one tenant alone is {@link #singleTenant() said to be so}.
 */
public final class Scope {
    private static final Scope SINGLE = new Scope(1, null);
    private static final Scope UNAUTHENTICATED = new Scope(2, null);

    final int kind;
    final byte[] name;

    private Scope(int kind, String name) {
        this.kind = kind;
        this.name = name == null ? new byte[0] : name.getBytes(StandardCharsets.UTF_8);
    }

    /**
     * A scope with a name: a tenant, an account.
     *
     * @param name 1 to 255 bytes in UTF-8
     * @return the scope
     */
    public static Scope named(String name) {
        return new Scope(0, Objects.requireNonNull(name, "name"));
    }

    /**
     * There is one tenant, and that is meant so.
     *
     * @return the scope
     */
    public static Scope singleTenant() {
        return SINGLE;
    }

    /**
     * Nobody is known to stand behind the request; it has a quota of its own.
     *
     * @return the scope
     */
    public static Scope unauthenticated() {
        return UNAUTHENTICATED;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Scope scope
                && scope.kind == kind
                && java.util.Arrays.equals(scope.name, name);
    }

    @Override
    public int hashCode() {
        return 31 * kind + java.util.Arrays.hashCode(name);
    }

    /** Says of which kind the scope is, and not its name. */
    @Override
    public String toString() {
        return "Scope[" + (kind == 0 ? "named" : kind == 1 ? "single tenant" : "unauthenticated") + "]";
    }
}
