package dev.oncegate.spring;

import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.NestedConfigurationProperty;

/** What is set under {@code oncegate}. What is not set is as the engine's own defaults say. */
@ConfigurationProperties("oncegate")
public class OncegateProperties {
    /** Whether the service has no tenants, and that is meant so. Otherwise it has a scope. */
    private boolean singleTenant;

    /** The engine that is opened, unless there is a bean of it. */
    @NestedConfigurationProperty
    private final EngineSettings engine = new EngineSettings();

    /** The server by which several hosts share their records. */
    @NestedConfigurationProperty
    private final RedisSettings redis = new RedisSettings();

    /** The servlet filter. */
    @NestedConfigurationProperty
    private final HttpSettings http = new HttpSettings();

    /** Methods with the annotation Idempotent. */
    @NestedConfigurationProperty
    private final MethodSettings methods = new MethodSettings();

    public boolean isSingleTenant() {
        return singleTenant;
    }

    public void setSingleTenant(boolean singleTenant) {
        this.singleTenant = singleTenant;
    }

    public EngineSettings getEngine() {
        return engine;
    }

    public RedisSettings getRedis() {
        return redis;
    }

    public HttpSettings getHttp() {
        return http;
    }

    public MethodSettings getMethods() {
        return methods;
    }
}
