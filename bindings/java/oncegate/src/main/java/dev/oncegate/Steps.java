package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;

/**
 * The finished steps of a request, which later attempts find: see {@link Lease#steps}.
 *
 * <p>A process may die between the work of a step and {@link #finish}; then the step runs again.
 * So pass {@link Lease#downstreamKey} to the service below.
 */
public final class Steps {
    private static final int TOO_SMALL = Status.BUFFER_TOO_SMALL.number();

    private final Lease lease;

    Steps(Lease lease) {
        this.lease = lease;
    }

    /**
     * Looks for the result of a step.
     *
     * @param name 1 to 255 bytes in UTF-8
     * @return what it left; empty: do the work
     * @throws FencedException the attempt is no longer the caller's
     */
    public Optional<byte[]> find(String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        return filled(bytes.length, (frame, token) -> {
            long argument = frame.argument(bytes);
            int rest = frame.offerRest();
            int status = frame.status(Export.STEP_FIND, lease.engine().handle(), token, argument,
                    frame.pointer(Frame.BUFFER), frame.pointer(Frame.OUT),
                    frame.pointer(Frame.OUT + 8));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            return frame.memory.getInt(Frame.OUT + 8) == 0
                    ? Optional.empty()
                    : Optional.of(frame.read(rest, (int) frame.memory.getLong(Frame.OUT)));
        });
    }

    /**
     * Notes that a step is finished. One that is finished already stays as it was.
     *
     * @param name 1 to 255 bytes in UTF-8; at most 64 steps
     * @param result what it left
     * @throws FencedException the attempt is no longer the caller's
     * @throws FullException the steps of the record take more than the engine allows
     */
    public void finish(String name, byte[] result) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        Frames.use(Frames.size(Frames.SMALL + (long) bytes.length + result.length), frame -> {
            frame.call(Export.STEP_FINISH, lease.engine().handle(), lease.pointer(frame),
                    frame.argument(bytes), frame.argument(result));
            return null;
        });
    }

    /**
     * The step that was finished last and was not undone, for whoever compensates: undo what it
     * did, note that by {@link #undone}, and ask again until there is none. Then fail the record
     * for good.
     *
     * @return empty where none is left
     * @throws FencedException the attempt is no longer the caller's
     */
    public Optional<Step> last() {
        return filled(0, (frame, token) -> {
            int at = frame.room(RetryLayout.Step.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.STEP_LAST, lease.engine().handle(), token,
                    frame.pointer(Frame.BUFFER), frame.pointer(at), frame.pointer(Frame.OUT));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            if (frame.memory.getInt(Frame.OUT) == 0) {
                return Optional.empty();
            }
            return Optional.of(new Step(
                    frame.text(
                            rest + frame.size(at + RetryLayout.Step.NAME_OFFSET),
                            frame.size(at + RetryLayout.Step.NAME_LEN)),
                    frame.read(
                            rest + frame.size(at + RetryLayout.Step.RESULT_OFFSET),
                            frame.size(at + RetryLayout.Step.RESULT_LEN))));
        });
    }

    /**
     * Notes that a step was undone: it runs again if there is another attempt.
     *
     * @param name the step's
     * @throws NotFoundException no step of this name is finished
     * @throws FencedException the attempt is no longer the caller's
     */
    public void undone(String name) {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        Frames.use(Frames.SMALL + bytes.length, frame -> {
            frame.call(Export.STEP_UNDONE, lease.engine().handle(), lease.pointer(frame),
                    frame.argument(bytes));
            return null;
        });
    }

    /** The headers of a call to a service below. */
    List<Outcome.Pair> headers(String service) {
        byte[] bytes = service.getBytes(StandardCharsets.UTF_8);
        return filled(bytes.length, (frame, token) -> {
            long argument = frame.argument(bytes);
            int at = frame.room(Layout.StoredOutcome.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.ATTEMPT_HEADERS, lease.engine().handle(), token,
                    argument, frame.pointer(Frame.BUFFER), frame.pointer(at));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            return Outcomes.read(frame, at, rest).metadata();
        });
    }

    /** What reads an answer of unknown size; null: the frame is too small. */
    private interface Reading<T> {
        T read(Frame frame, long token);
    }

    private <T> T filled(int bytes, Reading<T> reading) {
        return Frames.filled(Frames.SMALL + bytes, frame -> reading.read(frame, lease.pointer(frame)));
    }
}
