package oncegate

import (
	"context"
	"errors"
	"sync"
	"time"
)

// keeper renews a lease while its attempt runs.
type keeper struct {
	lease  *Lease
	lasts  time.Duration
	period time.Duration
	// lost tells the attempt that its lease is not its own any more.
	lost context.CancelCauseFunc

	// mutex is held while the lease is renewed, so that nothing is after stop.
	mutex sync.Mutex
	timer stopper
	over  bool
}

// stopper is what is left of a timer.
type stopper interface {
	Stop() bool
}

// afterFunc is time.AfterFunc, but for tests.
func afterFunc(d time.Duration, f func()) stopper {
	return time.AfterFunc(d, f)
}

// renewals is how often a lease is renewed while it lasts: one may come late.
const renewals = 3

// keep begins to renew a lease.
func (e *Engine) keep(lease *Lease, asked *doOptions, lost context.CancelCauseFunc) *keeper {
	lasts := asked.begin.lease
	if lasts == 0 {
		lasts = e.lease
	}
	k := &keeper{lease: lease, lasts: lasts, period: asked.renewal, lost: lost}
	if k.period == 0 {
		k.period = max(lasts/renewals, time.Millisecond)
	}
	if k.period < 0 {
		k.over = true
		return k
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.timer = e.afterFunc(k.period, k.renew)
	return k
}

func (k *keeper) renew() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.over {
		return
	}
	_, err := k.lease.Renew(k.lasts)
	if errors.Is(err, ErrTierUnavailable) && k.lease.isHeld() {
		// The lease lasts as long as it did before.
		err = nil
	}
	if err != nil {
		k.over = true
		k.lost(err)
		return
	}
	k.timer = k.lease.engine.afterFunc(k.period, k.renew)
}

// stop ends it; a second time does nothing.
func (k *keeper) stop() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if !k.over {
		k.over = true
		k.timer.Stop()
	}
}

// isHeld tells whether the attempt is still the holder's, and its lease has not lapsed.
func (l *Lease) isHeld() bool {
	held, err := l.engine.TakeUp(l.Token())
	return err == nil && held.lasts > 0
}
