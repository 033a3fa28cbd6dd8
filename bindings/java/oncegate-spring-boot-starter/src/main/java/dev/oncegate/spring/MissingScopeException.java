package dev.oncegate.spring;

/** Nothing says on whose behalf requests are made, so the application does not start. */
public final class MissingScopeException extends IllegalStateException {
    private static final long serialVersionUID = 1L;

    MissingScopeException(String what) {
        super(what + "; either give a bean of the type ScopeResolver, or set "
                + "oncegate.single-tenant=true, if the service has no tenants");
    }
}
