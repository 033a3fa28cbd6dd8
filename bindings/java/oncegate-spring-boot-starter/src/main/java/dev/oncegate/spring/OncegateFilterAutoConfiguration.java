package dev.oncegate.spring;

import dev.oncegate.Engine;
import jakarta.servlet.DispatcherType;
import java.util.EnumSet;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnClass;
import org.springframework.boot.autoconfigure.condition.ConditionalOnWebApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnWebApplication.Type;
import org.springframework.boot.web.servlet.FilterRegistrationBean;
import org.springframework.boot.web.servlet.ServletListenerRegistrationBean;
import org.springframework.context.annotation.Bean;
import org.springframework.web.util.pattern.PathPattern;

/** Registers the filter, in an application that names paths. */
@AutoConfiguration(after = OncegateAutoConfiguration.class)
@ConditionalOnWebApplication(type = Type.SERVLET)
@ConditionalOnClass({FilterRegistrationBean.class, PathPattern.class})
public class OncegateFilterAutoConfiguration {
    @Bean
    FilterRegistrationBean<IdempotencyFilter> oncegateFilter(
            Engine engine,
            OncegateProperties properties,
            ObjectProvider<ScopeResolver> scopes,
            ObjectProvider<OperationResolver> operations) {
        HttpSettings settings = properties.getHttp();
        boolean protects = !settings.getPaths().isEmpty();
        ScopeResolver scope = scopes.getIfAvailable();
        if (protects && (scope == null) != properties.isSingleTenant()) {
            throw new MissingScopeException(scope == null
                    ? "oncegate.http.paths is set, and nothing says whose a request is"
                    : "there is a ScopeResolver, and oncegate.single-tenant is set");
        }
        HttpRules rules = new HttpRules(engine, settings,
                scope == null ? HttpRules.singleTenant() : scope, operations.getIfAvailable());
        FilterRegistrationBean<IdempotencyFilter> bean =
                new FilterRegistrationBean<>(new IdempotencyFilter(rules));
        bean.setEnabled(protects);
        bean.setOrder(settings.getOrder());
        bean.setAsyncSupported(true);
        bean.setDispatcherTypes(EnumSet.of(
                DispatcherType.REQUEST, DispatcherType.ASYNC, DispatcherType.ERROR));
        return bean;
    }

    @Bean
    ServletListenerRegistrationBean<IdempotencyFilter.Listener> oncegateListener() {
        return new ServletListenerRegistrationBean<>(new IdempotencyFilter.Listener());
    }
}
