package dev.oncegate;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/**
 * What the engine noticed since it was last asked.
 *
 * @param events the oldest first
 * @param lost how many events before them nobody took in time; the engine keeps the last 256
 */
public record Events(List<Event> events, long lost) {
    private static final int MOST = 256;

    static Events take(Engine engine) {
        return Frames.use(Frames.SMALL + MOST * Layout.Event.SIZE, frame -> {
            int at = frame.room(MOST * Layout.Event.SIZE);
            int count = Frame.OUT;
            int lost = Frame.OUT + 8;
            frame.call(Export.ENGINE_EVENTS, engine.handle(), frame.pointer(at), MOST,
                    frame.pointer(count), frame.pointer(lost));
            List<Event> events = new ArrayList<>();
            for (int i = 0; i < frame.memory.getLong(count); i++) {
                events.add(event(frame, at + i * Layout.Event.SIZE));
            }
            return new Events(List.copyOf(events), frame.memory.getLong(lost));
        });
    }

    private static Event event(Frame frame, int at) {
        var memory = frame.memory;
        Event.Kind[] kinds = Event.Kind.values();
        int kind = memory.getInt(at + Layout.Event.KIND);
        return new Event(
                kind < kinds.length ? kinds[kind] : Event.Kind.OTHER,
                memory.getInt(at + Layout.Event.PROCESS),
                memory.getDouble(at + Layout.Event.LEVEL),
                memory.getDouble(at + Layout.Event.FILL),
                memory.getLong(at + Layout.Event.SLOT),
                Duration.ofMillis(memory.getLong(at + Layout.Event.STANDS_MS)),
                frame.field(at + Layout.Event.TEXT, Layout.Event.SIZE - Layout.Event.TEXT));
    }
}
