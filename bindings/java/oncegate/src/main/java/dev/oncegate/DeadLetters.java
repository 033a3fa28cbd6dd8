package dev.oncegate;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The dead letters of an engine: see {@link Engine#deadLetters}. */
public final class DeadLetters {
    private static final int TOO_SMALL = Status.BUFFER_TOO_SMALL.number();

    /** How many attempts a history tells of at most. */
    private static final int PAST = 8;

    /** How many letters of a page are asked for at most. */
    private static final int MOST = 1024;

    private final Engine engine;

    DeadLetters(Engine engine) {
        this.engine = engine;
    }

    /**
     * Some dead letters, in the order of their places in the table.
     *
     * @param letters without their histories
     * @param next where to go on from; empty: there are no more
     */
    public record Page(List<DeadLetter> letters, Optional<DeadLetter.Id> next) {}

    /**
     * The first page of dead letters. Reads every place that it passes. What is buried, redriven
     * or discarded meanwhile may be on no page, and nothing is on two.
     *
     * @param filter which are meant
     * @param most how many at most, at least 1
     * @return the letters, and where to go on
     */
    public Page list(DeadLetter.Filter filter, int most) {
        return page(filter, null, most);
    }

    /**
     * The page after another one.
     *
     * @param filter which are meant
     * @param after {@link Page#next} of the page before
     * @param most how many at most, at least 1
     * @return the letters, and where to go on
     */
    public Page list(DeadLetter.Filter filter, DeadLetter.Id after, int most) {
        return page(filter, after, most);
    }

    private Page page(DeadLetter.Filter filter, DeadLetter.Id from, int most) {
        if (most < 1) {
            throw Refusal.of(Status.BAD_SIZE, "most", "found " + most + "; limit: at least 1")
                    .exception();
        }
        int capacity = Math.min(most, MOST);
        int bytes = Frames.SMALL + filterBytes(filter)
                + capacity * (RetryLayout.Letter.SIZE + 256);
        return Frames.filled(bytes, frame -> {
            long which = write(frame, filter);
            long start = from == null ? 0 : write(frame, from);
            int table = frame.room(capacity * RetryLayout.Letter.SIZE);
            int rest = frame.offerRest();
            int count = Frame.OUT;
            int next = Frame.OUT + 8;
            int more = Frame.OUT + 16;
            int status = frame.status(Export.LETTERS, engine.handle(), which, start,
                    frame.pointer(Frame.BUFFER), frame.pointer(table), capacity,
                    frame.pointer(count), frame.pointer(next), frame.pointer(more));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            int found = frame.size(count);
            Optional<DeadLetter.Id> after = frame.memory.getInt(more) == 0
                    ? Optional.empty() : Optional.of(id(frame, next));
            List<DeadLetter> letters = new ArrayList<>();
            for (int i = 0; i < found; i++) {
                letters.add(letter(frame, table + i * RetryLayout.Letter.SIZE, rest, List.of()));
            }
            return new Page(List.copyOf(letters), after);
        });
    }

    /**
     * One dead letter, and what its history tells.
     *
     * @param id which
     * @return the letter
     * @throws NotFoundException it was redriven or discarded, or never was
     */
    public DeadLetter show(DeadLetter.Id id) {
        return Frames.filled(Frames.SMALL, frame -> {
            long which = write(frame, id);
            int at = frame.room(RetryLayout.Letter.SIZE);
            int past = frame.room(PAST * RetryLayout.PastAttempt.SIZE);
            int rest = frame.offerRest();
            int status = frame.status(Export.LETTER_SHOW, engine.handle(), which,
                    frame.pointer(Frame.BUFFER), frame.pointer(at), frame.pointer(past), PAST,
                    frame.pointer(Frame.OUT));
            if (status == TOO_SMALL) {
                return null;
            }
            frame.check(status);
            List<DeadLetter.Past> history = new ArrayList<>();
            for (int i = 0; i < Math.min(PAST, frame.size(Frame.OUT)); i++) {
                history.add(past(frame, past + i * RetryLayout.PastAttempt.SIZE, rest));
            }
            return letter(frame, at, rest, List.copyOf(history));
        });
    }

    /**
     * Lets a dead letter run again, at once, with the context and the steps that it has. The
     * attempts before count no more against its policy.
     *
     * @param id which
     * @throws NotFoundException it was redriven or discarded, or never was
     * @throws FullException there is no room to note it
     */
    public void redrive(DeadLetter.Id id) {
        one(Export.LETTER_REDRIVE, id);
    }

    /**
     * Gives a dead letter up: the record has failed, and answers duplicates for the dedup window.
     *
     * @param id which
     * @throws NotFoundException it was redriven or discarded, or never was
     */
    public void discard(DeadLetter.Id id) {
        one(Export.LETTER_DISCARD, id);
    }

    /**
     * Lets all run again that are meant.
     *
     * @param filter which are meant
     * @param limit at most so many
     * @return how many there were
     * @throws FullException there is no room to note more; those before stay redriven
     */
    public long redriveAll(DeadLetter.Filter filter, long limit) {
        return all(Export.LETTERS_REDRIVE, filter, limit);
    }

    /**
     * Gives all up that are meant.
     *
     * @param filter which are meant
     * @param limit at most so many
     * @return how many there were
     */
    public long discardAll(DeadLetter.Filter filter, long limit) {
        return all(Export.LETTERS_DISCARD, filter, limit);
    }

    private void one(Export export, DeadLetter.Id id) {
        Frames.use(Frames.SMALL, frame -> {
            frame.call(export, engine.handle(), write(frame, id));
            return null;
        });
    }

    private long all(Export export, DeadLetter.Filter filter, long limit) {
        if (limit < 0) {
            throw Refusal.of(Status.BAD_SIZE, "limit", "found " + limit + "; limit: 0 or more")
                    .exception();
        }
        return Frames.use(Frames.SMALL + filterBytes(filter), frame -> {
            frame.call(export, engine.handle(), write(frame, filter), limit,
                    frame.pointer(Frame.OUT));
            return frame.memory.getLong(Frame.OUT);
        });
    }

    private static int filterBytes(DeadLetter.Filter filter) {
        return RetryLayout.LetterFilter.SIZE + 16
                + 3 * (filter.operation.length() + filter.errorClass.length());
    }

    private static long write(Frame frame, DeadLetter.Filter filter) {
        int at = frame.zeros(RetryLayout.LetterFilter.SIZE);
        var memory = frame.memory;
        memory.putLong(at + RetryLayout.LetterFilter.STRUCT_SIZE, RetryLayout.LetterFilter.SIZE);
        memory.putInt(at + RetryLayout.LetterFilter.REASON, filter.reason);
        frame.bytes(at + RetryLayout.LetterFilter.OPERATION,
                filter.operation.getBytes(StandardCharsets.UTF_8));
        frame.bytes(at + RetryLayout.LetterFilter.ERROR_CLASS,
                filter.errorClass.getBytes(StandardCharsets.UTF_8));
        memory.putLong(at + RetryLayout.LetterFilter.SINCE_UNIX_MS, filter.sinceMs);
        memory.putLong(at + RetryLayout.LetterFilter.UNTIL_UNIX_MS, filter.untilMs);
        return frame.pointer(at);
    }

    private static long write(Frame frame, DeadLetter.Id id) {
        int at = frame.room(RetryLayout.LetterId.SIZE);
        frame.memory.putInt(at + RetryLayout.LetterId.PLACE, id.place());
        frame.memory.putInt(at + RetryLayout.LetterId.GENERATION, id.generation());
        return frame.pointer(at);
    }

    private static DeadLetter.Id id(Frame frame, int at) {
        return new DeadLetter.Id(
                frame.memory.getInt(at + RetryLayout.LetterId.PLACE),
                frame.memory.getInt(at + RetryLayout.LetterId.GENERATION));
    }

    private static DeadLetter letter(
            Frame frame, int at, int rest, List<DeadLetter.Past> history) {
        var memory = frame.memory;
        int steps = memory.getInt(at + RetryLayout.Letter.STEP_COUNT);
        List<String> names = Outcomes.pairs(frame,
                        rest + frame.size(at + RetryLayout.Letter.STEPS_OFFSET),
                        frame.size(at + RetryLayout.Letter.STEPS_LEN), steps)
                .stream().map(Outcome.Pair::name).toList();
        return new DeadLetter(
                id(frame, at + RetryLayout.Letter.ID),
                Buried.of(memory.getInt(at + RetryLayout.Letter.REASON)),
                memory.getInt(at + RetryLayout.Letter.ATTEMPTS),
                memory.getInt(at + RetryLayout.Letter.LEFT_OUT),
                Instant.ofEpochMilli(memory.getLong(at + RetryLayout.Letter.BURIED_UNIX_MS)),
                frame.text(rest + frame.size(at + RetryLayout.Letter.OPERATION_OFFSET),
                        frame.size(at + RetryLayout.Letter.OPERATION_LEN)),
                frame.read(rest + frame.size(at + RetryLayout.Letter.CONTEXT_OFFSET),
                        frame.size(at + RetryLayout.Letter.CONTEXT_LEN)),
                frame.text(rest + frame.size(at + RetryLayout.Letter.CLASS_OFFSET),
                        frame.size(at + RetryLayout.Letter.CLASS_LEN)),
                names,
                history);
    }

    private static DeadLetter.Past past(Frame frame, int at, int rest) {
        var memory = frame.memory;
        long began = memory.getLong(at + RetryLayout.PastAttempt.BEGAN_UNIX_MS);
        DeadLetter.End[] ends = DeadLetter.End.values();
        int end = memory.getInt(at + RetryLayout.PastAttempt.END);
        return new DeadLetter.Past(
                memory.getLong(at + RetryLayout.PastAttempt.FENCING_TOKEN),
                memory.getInt(at + RetryLayout.PastAttempt.ATTEMPT),
                began == 0 ? Optional.empty() : Optional.of(Instant.ofEpochMilli(began)),
                Instant.ofEpochMilli(memory.getLong(at + RetryLayout.PastAttempt.ENDED_UNIX_MS)),
                end > 0 && end < ends.length ? ends[end] : DeadLetter.End.OTHER,
                memory.getInt(at + RetryLayout.PastAttempt.PROCESS),
                frame.text(rest + frame.size(at + RetryLayout.PastAttempt.CLASS_OFFSET),
                        frame.size(at + RetryLayout.PastAttempt.CLASS_LEN)));
    }
}
