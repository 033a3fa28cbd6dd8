/**
 * oncegate: a retried request runs once.
 *
 * <p>One record per logical request owns its lease, its stored outcome and the start of its next
 * attempt: attempt n+1 cannot start until attempt n has ended or has been fenced off. Open an
 * {@link dev.oncegate.Engine}, describe a {@link dev.oncegate.Request}, and
 * {@link dev.oncegate.Engine#begin begin} it; the {@link dev.oncegate.Admission} says whether to
 * run it.
 *
 * <h2>Threads</h2>
 *
 * <p>Any thread, platform or virtual, may call any method of any object of this package, at the
 * same time as others. Values ({@code Request}, {@code Outcome}, options, answers) are immutable.
 * A {@link dev.oncegate.Lease} may be handed to another thread; of several threads that end it,
 * one succeeds and the others get a {@link dev.oncegate.FencedException}. Calls that do not wait
 * take from some hundred nanoseconds to some microseconds and block nobody. Calls that wait take a
 * time limit; on a virtual thread they park it and hold no carrier.
 *
 * <p>{@link dev.oncegate.Engine#close} waits for calls under way; those that wait end within
 * 50 ms with a {@link dev.oncegate.ClosedException}, as does every call after it.
 *
 * <h2>Lifetime</h2>
 *
 * <p>Engines and leases are closed by their users. What was lost without that is given back when
 * the garbage collector finds it: leases are abandoned, engines closed. That is a safety net, since
 * nobody knows when it happens.
 *
 * <h2>Errors</h2>
 *
 * <p>What the engine says of a request is a value. What went wrong is an
 * {@link dev.oncegate.OncegateException}, by subclass; none holds a key, a payload or a secret.
 */
package dev.oncegate;
