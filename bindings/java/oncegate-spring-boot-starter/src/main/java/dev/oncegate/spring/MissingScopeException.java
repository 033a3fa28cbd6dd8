package dev.oncegate.spring;

/** Nothing says on whose behalf requests are made, so the application does not start. */
public final class MissingScopeException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    MissingScopeException(String what) {
        this(what, "give a bean of the type ScopeResolver");
    }

    MissingScopeException(String what, String instead) {
        super(what + "; either " + instead + ", or set oncegate.single-tenant=true, if the service "
                + "has no tenants");
    }
}
