package oncegate

// Pending is how many requests wait in the engine's set of waits: one that was called to look again
// is in no queue of the engine until it has.
func (e *Engine) Pending() uint64 {
	open, err := e.open()
	if err != nil {
		return 0
	}
	defer open.mutex.Unlock()
	if open.waits == nil {
		return 0
	}
	open.waits.mutex.Lock()
	defer open.waits.mutex.Unlock()
	return uint64(len(open.waits.waiters))
}
