package oncegate

/*
#include "crossing.h"

#cgo noescape og_tier_stats
#cgo nocallback og_tier_stats
static inline oncegate_status og_tier_stats(uint64_t engine, oncegate_tier_stats *stats,
                                            oncegate_error *error) {
    stats->struct_size = sizeof *stats;
    return oncegate_engine_tier_stats(og_engine(engine), stats, og_error(error));
}

#cgo noescape og_flush_tier
#cgo nocallback og_flush_tier
static inline oncegate_status og_flush_tier(uint64_t engine, uint64_t timeout_ms,
                                            oncegate_error *error) {
    return oncegate_engine_flush_tier(og_engine(engine), timeout_ms, og_error(error));
}

#cgo noescape og_is_local_only
#cgo nocallback og_is_local_only
static inline oncegate_status og_is_local_only(uint64_t engine, const oncegate_lease *lease,
                                               uint32_t *alone, oncegate_error *error) {
    return oncegate_lease_is_local_only(og_engine(engine), lease, alone, og_error(error));
}
*/
import "C"

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
)

// TierOptions name a server of Redis or Valkey by which engines of several hosts share their
// records, and say how it is used. URL is needed, and Options.Secret, the same on all hosts; zeros
// of all others are the defaults, and [Zero] is zero itself.
type TierOptions struct {
	// URL is redis://user:password@host:port/database, rediss://… for TLS, or unix:///path of a
	// socket. User and password are percent-encoded, as url.UserPassword of net/url does it. The
	// server is connected to with the first request. No error and no text shows it.
	URL string
	// Prefix is what the names of all keys begin with, at most 64 bytes; default oncegate:.
	Prefix string
	// EncryptionKey has 32 bytes: outcomes are stored encrypted with it. Default, nil: as they are.
	// One that is empty, such as what an unset variable holds, is refused.
	EncryptionKey []byte
	// RetiringKey has 32 bytes, with which outcomes are still read, and no longer written. Nil: there
	// is none; one that is empty is refused.
	RetiringKey []byte
	// Deadline is how long a call of the server may take, 1 ms to a minute; default 500 ms.
	Deadline time.Duration
	// LatencyObjective: a call that takes longer counts as failed for the breaker; default: none
	// does.
	LatencyObjective time.Duration
	// LeaseSlice: leases are claimed for at most this long, and renewed by the engine; default: for
	// all of it.
	LeaseSlice time.Duration
	// Margin is how much sooner than at the server a lease ends here; default: a fiftieth of it,
	// and 10 ms.
	Margin time.Duration
	// PollEvery is how often who waits looks without a notice; default 250 ms.
	PollEvery time.Duration
	// Quarantine is how long nothing new runs after the server may have forgotten records; default:
	// the longest lease.
	Quarantine time.Duration
	// Undelivered ends of attempts are kept while the server cannot be reached; default 65,536.
	Undelivered int
	// OnOutage says what is done with new requests while the server gives no answer; default: they
	// are refused.
	OnOutage OnOutage
	// AllowEviction uses a server that may evict records; a request whose record it evicted runs
	// again.
	AllowEviction bool
	// TLSRoot is the certificate of the authority that the server's is checked with, in PEM.
	// Default: those that the system trusts.
	TLSRoot []byte
	// TLSCertificate and TLSKey, in PEM, show the server who connects. Default: nothing does.
	TLSCertificate []byte
	TLSKey         []byte
	// Cluster says that the server is a node of a Cluster, whose others it names.
	Cluster bool
	// SentinelName is what Sentinels call the primary, and Sentinels are their URLs. The user, the
	// password and whether TLS is spoken are those of URL, whose address is not used then.
	SentinelName string
	Sentinels    []string
	// WaitReplicas replicas must have a grant or an end; default: none. It narrows what a fail-over
	// may lose, and does not close it.
	WaitReplicas int
	// WaitReplicasFor is how long they are waited for; default 50 ms. Without WaitReplicas it is
	// refused.
	WaitReplicasFor time.Duration
	// OutcomeLimit is how large an outcome may be as it is stored, in bytes, at most 16 MiB;
	// default 64 KiB. On other hosts the bytes of a larger one are gone.
	OutcomeLimit int
	// CompressFrom: outcomes of that many bytes and more are compressed; default: none is.
	CompressFrom int
	// DeadLetters of all hosts are shown by a stream of the server, at most so many, 1 to
	// 1,000,000, the same number on each host; default: there is none.
	DeadLetters int
}

// OnOutage says what is done with new requests while the tier gives no answer.
type OnOutage uint32

// What is done with new requests while the tier gives no answer.
const (
	// OutageRefuse: nothing new is run, and the call returns [ErrTierUnavailable].
	OutageRefuse OnOutage = C.ONCEGATE_ON_OUTAGE_REFUSE
	// OutageLocalOnly: the table of this host alone decides, unless the tier is known to have
	// forgotten records. The same request may run once on each host; [Lease.IsLocalOnly] tells.
	OutageLocalOnly OnOutage = C.ONCEGATE_ON_OUTAGE_LOCAL_ONLY
	// OutageRun: the table of this host alone decides.
	OutageRun OnOutage = C.ONCEGATE_ON_OUTAGE_RUN
)

// String names the prefix: the URL may hold a password, and is in no log, as keys are not.
func (o TierOptions) String() string {
	return "TierOptions(prefix " + o.prefix() + ")"
}

// GoString is String.
func (o TierOptions) GoString() string {
	return o.String()
}

// LogValue is String.
func (o TierOptions) LogValue() slog.Value {
	return slog.StringValue(o.String())
}

// MarshalText is String, so that JSON, XML and their like, by which logs write what is nested, show
// no more. Nothing reads it back.
func (o TierOptions) MarshalText() ([]byte, error) {
	return []byte(o.String()), nil
}

func (o TierOptions) prefix() string {
	if o.Prefix == "" {
		return "oncegate:"
	}
	return o.Prefix
}

// raw gives the options for C, and their texts one after the other. Nil: there is no tier.
func (o *TierOptions) raw() (*C.og_tier, []byte, error) {
	if o == nil {
		return nil, nil, nil
	}
	var n numbers
	n.key("tier.encryption_key", o.EncryptionKey)
	n.key("tier.retiring_key", o.RetiringKey)
	tier := &C.og_tier{options: C.oncegate_tier_options{
		deadline_ms:          n.msOrZero("tier.deadline", o.Deadline),
		latency_objective_ms: n.msOrZero("tier.latency_objective", o.LatencyObjective),
		lease_slice_ms:       n.msOrZero("tier.lease_slice", o.LeaseSlice),
		margin_ms:            n.msOrZero("tier.margin", o.Margin),
		poll_every_ms:        n.msOrZero("tier.poll_every", o.PollEvery),
		quarantine_ms:        n.msOrZero("tier.quarantine", o.Quarantine),
		undelivered:          n.countOrZero("tier.undelivered", o.Undelivered),
		on_outage:            C.uint32_t(o.OnOutage),
		allow_eviction:       flag(o.AllowEviction),
		cluster:              flag(o.Cluster),
		wait_replicas:        n.countOrZero("tier.wait_replicas", o.WaitReplicas),
		wait_replicas_ms:     n.msOrZero("tier.wait_replicas_ms", o.WaitReplicasFor),
		outcome_limit:        n.countOrZero("tier.outcome_limit", o.OutcomeLimit),
		compress_from:        n.countOrZero("tier.compress_from", o.CompressFrom),
		dead_letters:         n.countOrZero("tier.dead_letters", o.DeadLetters),
	}}
	// In the order of crossing.h.
	texts := [C.OG_TIER_TEXTS][]byte{
		[]byte(o.URL), []byte(o.Prefix), o.EncryptionKey, o.RetiringKey, o.TLSRoot,
		o.TLSCertificate, o.TLSKey, []byte(o.SentinelName),
		[]byte(strings.Join(o.Sentinels, ",")),
	}
	var flat []byte
	for i, text := range texts {
		tier.lens[i] = C.size_t(len(text))
		flat = append(flat, text...)
	}
	return tier, flat, n.err
}

// Hazards are what about the server endangers what a tier promises; flags are joined by |.
type Hazards uint32

// What endangers what a tier promises.
const (
	HazardEvicts        Hazards = C.ONCEGATE_HAZARD_EVICTS         // it may evict records early
	HazardAlmostFull    Hazards = C.ONCEGATE_HAZARD_ALMOST_FULL    // it will refuse what is new
	HazardNotPersistent Hazards = C.ONCEGATE_HAZARD_NOT_PERSISTENT // a restart forgets records
	HazardClockBehind   Hazards = C.ONCEGATE_HAZARD_CLOCK_BEHIND   // its clock is behind its tokens
	HazardOther         Hazards = C.ONCEGATE_HAZARD_OTHER          // one without a name here
)

// String names them.
func (h Hazards) String() string {
	var names []string
	for _, hazard := range []struct {
		flag Hazards
		name string
	}{
		{HazardEvicts, "Evicts"},
		{HazardAlmostFull, "AlmostFull"},
		{HazardNotPersistent, "NotPersistent"},
		{HazardClockBehind, "ClockBehind"},
		{HazardOther, "Other"},
	} {
		if h&hazard.flag != 0 {
			names = append(names, hazard.name)
		}
	}
	return "Hazards(" + strings.Join(names, "|") + ")"
}

// TierStats are counts of this process since the engine was opened.
type TierStats struct {
	Granted         uint64 // claims that were granted
	Imported        uint64 // outcomes of other hosts that were stored here
	Elsewhere       uint64 // requests that another host ran, or waits to run
	Refused         uint64 // requests that were refused for want of an answer
	LocalOnly       uint64 // attempts that the table of this host alone admitted
	Unknown         uint64 // calls of which nobody knows whether they were carried out
	Undelivered     uint64 // ends of attempts that wait to be told
	DeliveredLate   uint64 // those that were told later
	UndeliveredLost uint64 // those that were lost for want of room
	Conflicts       uint64 // attempts that ran here, and that the tier contradicts
	SessionsLost    uint64 // how often the server may have forgotten what it had acknowledged

	// BreakerOpen: the breaker refuses calls for a moment.
	BreakerOpen bool
	// Hazards as they were looked at last: every few seconds from the first request on.
	Hazards Hazards

	LettersLogged  uint64 // dead letters and conflicts that the server's stream was told of
	LettersWaiting uint64 // those that wait to be told
	LettersLost    uint64 // those that it is not told of, for want of room
}

// TierStats gives what the engine and its tier have done. It asks nothing of the server. It returns
// [ErrNotFound] where the engine has no tier.
func (e *Engine) TierStats() (TierStats, error) {
	var raw C.oncegate_tier_stats
	var why C.oncegate_error
	if status := C.og_tier_stats(e.handle, &raw, &why); status != C.ONCEGATE_OK {
		return TierStats{}, e.failure(status, &why)
	}
	return tierStatsOf(&raw), nil
}

func tierStatsOf(raw *C.oncegate_tier_stats) TierStats {
	return TierStats{
		Granted:         uint64(raw.granted),
		Imported:        uint64(raw.imported),
		Elsewhere:       uint64(raw.elsewhere),
		Refused:         uint64(raw.refused),
		LocalOnly:       uint64(raw.local_only),
		Unknown:         uint64(raw.unknown),
		Undelivered:     uint64(raw.undelivered),
		DeliveredLate:   uint64(raw.delivered_late),
		UndeliveredLost: uint64(raw.undelivered_lost),
		Conflicts:       uint64(raw.conflicts),
		SessionsLost:    uint64(raw.sessions_lost),
		BreakerOpen:     raw.breaker_open != 0,
		Hazards:         Hazards(raw.hazards),
		LettersLogged:   uint64(raw.letters_logged),
		LettersWaiting:  uint64(raw.letters_waiting),
		LettersLost:     uint64(raw.letters_lost),
	}
}

// flushSlice is how long a context that is done may be overlooked.
const flushSlice = 50 * time.Millisecond

// FlushTier waits until the tier has been told of every attempt that ended here, for a process that
// is about to go. Where ctx is done before, the error is its cause and [ErrTierUnavailable]: what
// is left is told while the process lives. An engine without a tier has told all. It holds a
// thread.
func (e *Engine) FlushTier(ctx context.Context) error {
	for {
		slice := C.uint64_t(flushSlice / time.Millisecond)
		if ctx.Err() != nil {
			slice = 0
		}
		var why C.oncegate_error
		err := e.failure(C.og_flush_tier(e.handle, slice, &why), &why)
		if !errors.Is(err, ErrTierUnavailable) {
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
}

// IsLocalOnly tells whether the tier gave no answer, so that the table of this host alone admitted
// the attempt: another host may run the same request, then. It asks nothing of the server, and
// returns [ErrFenced] where the attempt is over.
func (l *Lease) IsLocalOnly() (bool, error) {
	var alone C.uint32_t
	var told C.oncegate_error
	status := C.og_is_local_only(l.engine.handle, &l.token, &alone, &told)
	return alone != 0, l.engine.failure(status, &told)
}
