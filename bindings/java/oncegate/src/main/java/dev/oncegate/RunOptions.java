package dev.oncegate;

import java.util.Objects;

/** How {@link Engine#run(Request, RunOptions, Work)} begins and ends. */
public final class RunOptions {
    private static final RunOptions DEFAULTS =
            new RunOptions(BeginOptions.defaults(), OutcomePolicy.IETF);

    final BeginOptions begin;
    final OutcomePolicy policy;

    private RunOptions(BeginOptions begin, OutcomePolicy policy) {
        this.begin = begin;
        this.policy = policy;
    }

    /**
     * As the engine's options say, by the rules of the IETF draft.
     *
     * @return the options
     */
    public static RunOptions defaults() {
        return DEFAULTS;
    }

    /**
     * How the request is begun.
     *
     * @param begin with a wait, a duplicate waits for the running attempt
     * @return a changed copy
     */
    public RunOptions begin(BeginOptions begin) {
        return new RunOptions(Objects.requireNonNull(begin, "begin"), policy);
    }

    /**
     * How an outcome is judged.
     *
     * @param policy which results are final
     * @return a changed copy
     */
    public RunOptions policy(OutcomePolicy policy) {
        return new RunOptions(begin, Objects.requireNonNull(policy, "policy"));
    }
}
