package oncegate

/*
#include "crossing.h"

#cgo noescape og_events
static inline oncegate_status og_events(uint64_t engine, oncegate_event *events, size_t capacity,
                                        size_t *count, uint64_t *lost, oncegate_error *error) {
    return oncegate_engine_events(og_engine(engine), events, capacity, count, lost,
                                  og_error(error));
}
*/
import "C"

import (
	"strconv"
	"time"
)

// EventKind says what the engine noticed; later versions may know more.
type EventKind uint32

// What the engine notices by itself.
const (
	// EventFill: the live records reached one of Options.FillLevels.
	EventFill EventKind = C.ONCEGATE_EVENT_FILL
	// EventStuck: a record stands in the middle of a transition for longer than any step takes.
	EventStuck EventKind = C.ONCEGATE_EVENT_STUCK
)

func (k EventKind) String() string {
	switch k {
	case EventFill:
		return "Fill"
	case EventStuck:
		return "Stuck"
	}
	return "Event" + strconv.Itoa(int(k))
}

// Event is something that the engine noticed by itself.
type Event struct {
	Kind EventKind
	// Text is the event as a line for a log.
	Text string
	// Level is the level that was reached, and Fill the live records, as shares of the capacity.
	Level, Fill float64
	// Process began what is stuck, by its number in the table's registry; zero: none did.
	Process uint32
	// Slot of the table that is stuck, and for how long at least it has been.
	Slot   uint64
	Stands time.Duration
}

// Events takes what was noticed since it was last asked, the oldest first, and tells how many
// events were lost before. The engine keeps the last 256.
func (e *Engine) Events() (events []Event, lost uint64, err error) {
	var raw [16]C.oncegate_event
	for {
		var count C.size_t
		var more C.uint64_t
		var why C.oncegate_error
		status := C.og_events(e.handle, &raw[0], C.size_t(len(raw)), &count, &more, &why)
		if status != C.ONCEGATE_OK {
			return events, lost, e.failure(status, &why)
		}
		lost += uint64(more)
		for i := range raw[:count] {
			events = append(events, eventOf(&raw[i]))
		}
		if int(count) < len(raw) {
			return events, lost, nil
		}
	}
}

func eventOf(raw *C.oncegate_event) Event {
	return Event{
		Kind:    EventKind(raw.kind),
		Text:    text(raw.text[:]),
		Level:   float64(raw.level),
		Fill:    float64(raw.fill),
		Process: uint32(raw.process),
		Slot:    uint64(raw.slot),
		Stands:  duration(uint64(raw.stands_ms)),
	}
}
