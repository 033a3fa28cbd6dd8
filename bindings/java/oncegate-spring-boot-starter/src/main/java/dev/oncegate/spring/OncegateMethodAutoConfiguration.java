package dev.oncegate.spring;

import dev.oncegate.Engine;
import org.springframework.aop.config.AopConfigUtils;
import org.springframework.beans.factory.BeanFactory;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.beans.factory.config.BeanDefinition;
import org.springframework.beans.factory.config.BeanFactoryPostProcessor;
import org.springframework.beans.factory.support.BeanDefinitionRegistry;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Role;
import tools.jackson.databind.json.JsonMapper;

/** Advises methods with {@link Idempotent}. */
@AutoConfiguration(after = OncegateAutoConfiguration.class)
@Role(BeanDefinition.ROLE_INFRASTRUCTURE)
public class OncegateMethodAutoConfiguration {
    @Bean
    @Role(BeanDefinition.ROLE_INFRASTRUCTURE)
    static IdempotentAdvisor oncegateAdvisor(
            ObjectProvider<OncegateProperties> properties,
            ObjectProvider<Engine> engine,
            ObjectProvider<JsonMapper> mapper,
            BeanFactory beans) {
        // Advisors are made before most beans, which are taken only when a method needs them.
        return new IdempotentAdvisor(properties.getObject(), engine::getObject,
                () -> mapper.getIfAvailable(JsonMapper::new), beans);
    }

    /** Proxies are made whatever other advice the application has. */
    @Bean
    static BeanFactoryPostProcessor oncegateProxies() {
        return beans -> {
            if (beans instanceof BeanDefinitionRegistry registry) {
                AopConfigUtils.registerAutoProxyCreatorIfNecessary(registry);
            }
        };
    }
}
