package dev.oncegate;

/**
 * A request of which nobody knows whether it took effect, for {@link Engine#questions}.
 *
 * @param id names the question, for its answer
 * @param fencingToken of the attempt in doubt, which its writes carry
 * @param attempt the number of that attempt
 * @param operation what it ran
 * @param context what it was given
 */
public record Question(
        long id, long fencingToken, int attempt, String operation, byte[] context) {
    static Question read(Frame frame, int at, int rest) {
        return new Question(
                frame.memory.getLong(at + RetryLayout.Question.ID),
                frame.memory.getLong(at + RetryLayout.Question.FENCING_TOKEN),
                frame.memory.getInt(at + RetryLayout.Question.ATTEMPT),
                frame.text(
                        rest + frame.size(at + RetryLayout.Question.OPERATION_OFFSET),
                        frame.size(at + RetryLayout.Question.OPERATION_LEN)),
                frame.read(
                        rest + frame.size(at + RetryLayout.Question.CONTEXT_OFFSET),
                        frame.size(at + RetryLayout.Question.CONTEXT_LEN)));
    }
}
