package dev.oncegate;

/**
 * What a sweep did.
 *
 * @param visited slots that were visited
 * @param cleared records that were over, and are gone
 * @param lapsed leases that were found lapsed
 */
public record Swept(long visited, long cleared, long lapsed) {}
