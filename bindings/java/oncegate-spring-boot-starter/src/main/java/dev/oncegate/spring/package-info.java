/**
 * oncegate for Spring Boot: an engine, a servlet filter for requests with an
 * {@code Idempotency-Key}, an annotation for methods, health and meters. All of it is set by the
 * properties under {@code oncegate}.
 */
package dev.oncegate.spring;
