package oncegate

/*
#include "crossing.h"

static inline oncegate_status og_set_load(uint64_t engine, double load, oncegate_error *error) {
    return oncegate_set_load(og_engine(engine), load, og_error(error));
}
*/
import "C"

import "time"

// Adaptive draws delays out where work comes in faster than it is done: targets, pace and bounds.
// Zeros are the defaults, [Zero] is zero itself.
type Adaptive struct {
	// LagTarget is how late ready work may be started; default 100 ms.
	LagTarget time.Duration
	// ReadyTarget is how much ready work may wait; default 1,000.
	ReadyTarget int
	// InFlightTarget is how many attempts may be under way; default 1,000.
	InFlightTarget int
	// LoadTarget is how high the load of [Engine.SetLoad] may be, 0 to 1; default 0.8.
	LoadTarget float64
	// Interval is how long a change is left to show before the next one, 1 ms to an hour; default
	// 1 s.
	Interval time.Duration
	// Quiet: after so long without any observation delays shrink by themselves, and a load is in
	// force no more; at most a day; default 10 s.
	Quiet time.Duration
	// Decrease is what the rate is multiplied by where something presses, 0.1 to 0.99; default 0.5.
	Decrease float64
	// Increase is what is added to the rate where nothing does, 0.0001 to 1; default 0.05.
	Increase float64
	// MaxFactor is the inverse of the smallest rate, 1 to 1,000,000, as those below; default 16.
	MaxFactor float64
	// MaxBase is by how much delays are stretched at most; default 16.
	MaxBase float64
	// MaxCeiling is by how much ceilings are; default 4.
	MaxCeiling float64
	// MaxWidth is by how much the width of the jitter is; default 16.
	MaxWidth float64
}

// raw gives the settings for C. Nil stays nil.
func (a *Adaptive) raw() (*C.oncegate_adaptive, error) {
	if a == nil {
		return nil, nil
	}
	var n numbers
	raw := &C.oncegate_adaptive{
		struct_size:      C.sizeof_oncegate_adaptive,
		lag_target_ms:    n.msOrZero("adaptive.lag_target", a.LagTarget),
		ready_target:     n.countOrZero("adaptive.ready_target", a.ReadyTarget),
		in_flight_target: n.countOrZero("adaptive.in_flight_target", a.InFlightTarget),
		load_target:      C.double(a.LoadTarget),
		interval_ms:      n.msOrZero("adaptive.interval", a.Interval),
		quiet_ms:         n.msOrZero("adaptive.quiet", a.Quiet),
		decrease:         C.double(a.Decrease),
		increase:         C.double(a.Increase),
		max_factor:       C.double(a.MaxFactor),
		max_base:         C.double(a.MaxBase),
		max_ceiling:      C.double(a.MaxCeiling),
		max_width:        C.double(a.MaxWidth),
	}
	return raw, n.err
}

// SetLoad tells the adaptive backoff how loaded this process is, or what it calls: 0 to 1. It is in
// force until another load is told, at most for Adaptive.Quiet: tell it at least as often. It
// returns [ErrInvalidConfig] where the engine was opened without Adaptive.
func (e *Engine) SetLoad(load float64) error {
	var why C.oncegate_error
	return e.failure(C.og_set_load(e.handle, C.double(load), &why), &why)
}
