package dev.oncegate;

/**
 * A finished step of a request.
 *
 * @param name what it is called
 * @param result what it left
 */
public record Step(String name, byte[] result) {}
