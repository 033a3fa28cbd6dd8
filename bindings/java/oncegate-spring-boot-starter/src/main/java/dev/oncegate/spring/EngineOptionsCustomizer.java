package dev.oncegate.spring;

import dev.oncegate.EngineOptions;

/** Sets what has no property, before the engine is opened. */
@FunctionalInterface
public interface EngineOptionsCustomizer {
    /**
     * Changes the options.
     *
     * @param options with the properties set
     */
    void customize(EngineOptions.Builder options);
}
