package dev.oncegate.resilience4j;

import io.github.resilience4j.core.registry.EntryAddedEvent;
import io.github.resilience4j.core.registry.EntryRemovedEvent;
import io.github.resilience4j.core.registry.EntryReplacedEvent;
import io.github.resilience4j.core.registry.RegistryEventConsumer;
import io.github.resilience4j.retry.Retry;
import io.github.resilience4j.retry.RetryRegistry;
import java.util.NoSuchElementException;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/**
 * The retries of a registry, each with the engine in front. It consumes the events of the
 * registry: give it to {@link RetryRegistry#of(io.github.resilience4j.retry.RetryConfig,
 * RegistryEventConsumer)}, or {@link #attach} it to one that is there.
 */
public final class AdmittedRetries implements RegistryEventConsumer<Retry> {
    private final ConcurrentHashMap<String, AdmittedRetry> retries = new ConcurrentHashMap<>();
    private final Function<Retry, AdmittedRetry> admit;

    /**
     * A consumer that has an engine admit each retry.
     *
     * @param admit makes one of a retry: {@code retry -> AdmittedRetry.of(engine, retry)}
     */
    public AdmittedRetries(Function<Retry, AdmittedRetry> admit) {
        this.admit = Objects.requireNonNull(admit, "admit");
    }

    /**
     * Follows a registry, and takes up the retries that it has.
     *
     * @param registry which
     * @return this
     */
    public AdmittedRetries attach(RetryRegistry registry) {
        registry.getEventPublisher()
                .onEntryAdded(this::onEntryAddedEvent)
                .onEntryRemoved(this::onEntryRemovedEvent)
                .onEntryReplaced(this::onEntryReplacedEvent);
        registry.getAllRetries().forEach(
                retry -> retries.computeIfAbsent(retry.getName(), name -> admit.apply(retry)));
        return this;
    }

    /**
     * The retry of a name.
     *
     * @param name its name in the registry
     * @return with the engine in front
     * @throws NoSuchElementException the registry has none of this name
     */
    public AdmittedRetry get(String name) {
        AdmittedRetry found = retries.get(name);
        if (found == null) {
            throw new NoSuchElementException("the registry has no retry " + name);
        }
        return found;
    }

    @Override
    public void onEntryAddedEvent(EntryAddedEvent<Retry> event) {
        Retry retry = event.getAddedEntry();
        retries.put(retry.getName(), admit.apply(retry));
    }

    @Override
    public void onEntryRemovedEvent(EntryRemovedEvent<Retry> event) {
        retries.remove(event.getRemovedEntry().getName());
    }

    @Override
    public void onEntryReplacedEvent(EntryReplacedEvent<Retry> event) {
        Retry retry = event.getNewEntry();
        retries.put(retry.getName(), admit.apply(retry));
    }
}
