package oncegate

/*
#include "crossing.h"

#cgo noescape og_open
static inline oncegate_status og_open(const oncegate_options *given, const uint8_t *path,
                                      size_t path_len, const uint8_t *secret, size_t secret_len,
                                      const uint8_t *retiring, size_t retiring_len,
                                      const double *levels, size_t level_count,
                                      const oncegate_retry_policy *policy, const uint64_t *delays,
                                      size_t delay_count, const oncegate_adaptive *adaptive,
                                      const og_tier *tier, const uint8_t *tier_texts,
                                      uint64_t *handle, uint64_t *bytes, oncegate_error *error) {
    oncegate_engine *engine = NULL;
    oncegate_retry_policy own_policy;
    oncegate_tier_options own_tier;
    // A copy: nothing of Go's may be left where Go keeps it.
    oncegate_options options = *given;
    options.struct_size = sizeof options;
    options.path = og_bytes(path, path_len);
    options.secret = og_bytes(secret, secret_len);
    options.retiring_secret = og_bytes(retiring, retiring_len);
    options.fill_levels = levels;
    options.fill_level_count = level_count;
    options.retry_policy = og_policy(&own_policy, policy, delays, delay_count);
    options.adaptive = adaptive;
    options.tier = og_tier_options(&own_tier, tier, tier_texts);
    oncegate_status told =
        bytes != NULL ? oncegate_required_bytes(&options, bytes, og_error(error))
                      : oncegate_engine_open(&options, &engine, og_error(error));
    *handle = (uint64_t)(uintptr_t)engine;
    return told;
}
*/
import "C"

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
	"unsafe"
)

// Options say how an engine is opened. The zero value works: a table of this process for 65,536
// records, with a random secret. What prints or logs them shows no secret.
type Options struct {
	// Capacity is how many records live at once, from 16 to 200,000,000; default 65,536.
	Capacity int
	// OutcomeBytes are for outcomes that do not lie beside their record.
	OutcomeBytes int
	// InlineOutcome is up to which size outcomes lie beside their record, at most 448 bytes;
	// default 64.
	InlineOutcome int
	// OutcomeLimit is the largest outcome that is stored, 64 to 1,000,000 bytes; default 16 KiB.
	OutcomeLimit int
	// LeaseDuration is how long an attempt may run before its lease lapses; default 30 s.
	LeaseDuration time.Duration
	// DedupWindow is how long a finished record answers duplicates; default 24 hours.
	DedupWindow time.Duration
	// Wait is how long a duplicate waits for the running attempt; default: not at all. Do, which
	// waits as long as its context lasts, does not ask it.
	Wait time.Duration
	// MaxProcesses may share the table; default 64.
	MaxProcesses int
	// MaxScopes may have a quota at once; default 4,096.
	MaxScopes int
	// MaxWaiters may wait at once; default 16,384.
	MaxWaiters int
	// Reach says who shares the table; default: the goroutines of this process.
	Reach Reach
	// Path is the table's file, with ReachHost.
	Path string
	// FileAccess says which files are accepted; default: those of this user alone.
	FileAccess FileAccess
	// Secret keys the fingerprints, at least 32 bytes; default: a random one, or the file's.
	Secret []byte
	// RetiringSecret is the one that is being rotated out.
	RetiringSecret []byte
	// Fingerprints says how requests are hashed; default: so that nobody who does not know the
	// secret can guess a fingerprint.
	Fingerprints Fingerprints
	// Keys says which keys are accepted; default: all of 1 to 255 bytes.
	Keys KeyRules
	// Clock says which clock is read; default: a coarse one.
	Clock Clock
	// OnLapse says what happens when a lease lapses; default: the next attempt may start.
	OnLapse OnLapse
	// OnFull says what a full table does with a new record; default: it makes room.
	OnFull OnFull
	// DefaultQuota is that of every scope that has none of its own; default: none.
	DefaultQuota Quota
	// UnauthenticatedQuota is that of [Unauthenticated]; default: a sixteenth of the capacity.
	UnauthenticatedQuota Quota
	// Prefault asks for all memory when the engine is opened.
	Prefault bool
	// Tiny is the smallest engine, for tests that want to see it full. It has no Capacity.
	Tiny bool
	// FillLevels are shares of the capacity at which there is an event; at most 16.
	FillLevels []float64
	// Ticker is how often a thread of the engine sweeps; default: none does.
	Ticker time.Duration
	// Driver asks for a thread of the engine that sees to retries which are due.
	Driver bool
	// OnLettersFull says what a full list of dead letters does with a new one.
	OnLettersFull OnLettersFull
	// MaxInFlight is how many attempts this process is handed out at a time; default: no limit.
	MaxInFlight int
	// MaxRetrying records may be retried, or be dead letters, at a time.
	MaxRetrying int
	// ContextLimit is the largest context of a retry, in bytes.
	ContextLimit int
	// StepsLimit is the room for the finished steps of a record, in bytes.
	StepsLimit int
	// MaxDeadLetters are kept at a time.
	MaxDeadLetters int
	// RetryPolicy says when records are tried again of operations that have no policy of their
	// own. Default: full jitter below 1 s, 2 s, 4 s and so on, at most 120 s; ten attempts.
	RetryPolicy *RetryPolicy
	// Adaptive draws delays out under load; default: never.
	Adaptive *Adaptive
	// Reconcile has the engine ask about records of which nobody knows whether they took effect:
	// see [Engine.Questions].
	Reconcile bool
	// MaxTimers of [Engine.AfterFunc] may be pending at once; default 1,048,576.
	MaxTimers int
	// JitterSeed repeats the delays of a run, for tests; default: from the system.
	JitterSeed uint64
	// Tier shares the records with engines of other hosts, by a server of Redis or Valkey. It needs
	// a Secret. Default: none.
	Tier *TierOptions
}

// String tells what is not as by default. Of a secret it tells how long it is.
func (o Options) String() string {
	var told []string
	all := reflect.ValueOf(o)
	for i := range all.NumField() {
		field, name := all.Field(i), all.Type().Field(i).Name
		if field.IsZero() {
			continue
		}
		switch value := field.Interface().(type) {
		case []byte:
			// All bytes that there are in options are secrets.
			told = append(told, fmt.Sprintf("%s of %d bytes", name, len(value)))
		default:
			told = append(told, fmt.Sprintf("%s %+v", name, value))
		}
	}
	return "Options(" + strings.Join(told, ", ") + ")"
}

// GoString is String.
func (o Options) GoString() string {
	return o.String()
}

// LogValue is String.
func (o Options) LogValue() slog.Value {
	return slog.StringValue(o.String())
}

// MarshalText is String, so that JSON, XML and their like show no secret either. Nothing reads it
// back.
func (o Options) MarshalText() ([]byte, error) {
	return []byte(o.String()), nil
}

// Reach says who shares a table.
type Reach uint32

// Who shares a table.
const (
	// ReachProcess: the table belongs to this process alone.
	ReachProcess Reach = C.ONCEGATE_REACH_PROCESS
	// ReachInherited: this process and the children that it forks. Go's own way to start a process
	// does not keep its memory, so that this is for programs in which another language forks.
	ReachInherited Reach = C.ONCEGATE_REACH_INHERITED
	// ReachHost: every process of the host that opens the same file.
	ReachHost Reach = C.ONCEGATE_REACH_HOST
)

// FileAccess says which files are accepted for a table; flags are joined by |.
type FileAccess uint32

// Which files are accepted.
const (
	// FileGroup: the file is for its owner and his group.
	FileGroup FileAccess = C.ONCEGATE_FILE_GROUP
	// FileForeignOwner: a file of another owner is accepted.
	FileForeignOwner FileAccess = C.ONCEGATE_FILE_FOREIGN_OWNER
	// FileSymlink: a symbolic link is followed.
	FileSymlink FileAccess = C.ONCEGATE_FILE_SYMLINK
	// FileAnyFileSystem: a file system that is not local, or not in memory, is accepted.
	FileAnyFileSystem FileAccess = C.ONCEGATE_FILE_ANY_FILE_SYSTEM
)

// Fingerprints say how requests are hashed.
type Fingerprints uint32

// How requests are hashed.
const (
	// FingerprintsKeyed: nobody can guess one who does not know the secret.
	FingerprintsKeyed Fingerprints = C.ONCEGATE_FINGERPRINT_KEYED
	// FingerprintsFastTrusted: a faster hash, for keys that only trusted parties choose.
	FingerprintsFastTrusted Fingerprints = C.ONCEGATE_FINGERPRINT_FAST_TRUSTED
)

// KeyRules say which keys are accepted.
type KeyRules struct {
	Charset KeyCharset
	// MinLen is the shortest key; default 1.
	MinLen int
	// MaxLen is the longest key; default 255.
	MaxLen int
	// RefusePredictable refuses keys that can be guessed, such as counters and time stamps.
	RefusePredictable bool
}

// KeyCharset says of which characters keys are made.
type KeyCharset uint32

// Of which characters keys are made.
const (
	KeysAny          KeyCharset = C.ONCEGATE_KEYS_ANY          // any bytes
	KeysVisible      KeyCharset = C.ONCEGATE_KEYS_VISIBLE      // visible ASCII
	KeysAlphanumeric KeyCharset = C.ONCEGATE_KEYS_ALPHANUMERIC // letters, digits, dash, underscore
	KeysHex          KeyCharset = C.ONCEGATE_KEYS_HEX          // hexadecimal digits
	KeysUUID         KeyCharset = C.ONCEGATE_KEYS_UUID         // a UUID (RFC 9562)
)

// Clock says which clock is read.
type Clock uint32

// Which clock is read.
const (
	// ClockCoarse is read in 3 ns and moves every few milliseconds.
	ClockCoarse Clock = C.ONCEGATE_CLOCK_COARSE
	// ClockPrecise is for leases below 50 ms.
	ClockPrecise Clock = C.ONCEGATE_CLOCK_PRECISE
	// ClockManual stands still until [Engine.AdvanceClock]: for tests.
	ClockManual Clock = C.ONCEGATE_CLOCK_MANUAL
)

// OnLapse says what happens when a lease lapses; zero: as by default.
type OnLapse uint32

// What happens when a lease lapses.
const (
	// LapseReclaim: the next attempt may start.
	LapseReclaim OnLapse = C.ONCEGATE_LAPSE_RECLAIM
	// LapseInDoubt: nobody runs it again until it is resolved.
	LapseInDoubt OnLapse = C.ONCEGATE_LAPSE_UNKNOWN
	// LapseFailed: it has failed for good.
	LapseFailed OnLapse = C.ONCEGATE_LAPSE_FAILED
)

// OnFull says what a full table does with a new record.
type OnFull uint32

// What a full table does with a new record.
const (
	// FullEvictLRU: the least recently used finished record gives way.
	FullEvictLRU OnFull = C.ONCEGATE_FULL_EVICT_LRU
	// FullReject: the new record is refused with [ErrFull].
	FullReject OnFull = C.ONCEGATE_FULL_REJECT
)

// OnLettersFull says what a full list of dead letters does with a new one.
type OnLettersFull uint32

// What a full list of dead letters does with a new one.
const (
	// LettersDropOldest: the oldest one goes.
	LettersDropOldest OnLettersFull = C.ONCEGATE_LETTERS_DROP_OLDEST
	// LettersReject: the record fails without a dead letter.
	LettersReject OnLettersFull = C.ONCEGATE_LETTERS_REJECT
)

// Quota limits a scope; zeros: no limit.
type Quota struct {
	// MaxLive records at most.
	MaxLive uint64
	// RatePerSecond new records in the long run.
	RatePerSecond float64
	// Burst new records at once, with a rate.
	Burst uint32
}

func (q Quota) raw() C.oncegate_quota {
	return C.oncegate_quota{
		max_live:        C.uint64_t(q.MaxLive),
		rate_per_second: C.double(q.RatePerSecond),
		burst:           C.uint32_t(q.Burst),
	}
}

// raw gives the options for C, without what points into Go's memory.
func (o *Options) raw() (C.oncegate_options, error) {
	var n numbers
	raw := C.oncegate_options{
		capacity:                n.count("capacity", o.Capacity),
		outcome_bytes:           n.count("outcome_bytes", o.OutcomeBytes),
		inline_outcome:          n.count("inline_outcome", o.InlineOutcome),
		outcome_limit:           n.count("outcome_limit", o.OutcomeLimit),
		lease_ms:                n.ms("lease_duration", o.LeaseDuration),
		dedup_window_ms:         n.ms("dedup_window", o.DedupWindow),
		max_processes:           n.count("max_processes", o.MaxProcesses),
		max_scopes:              n.count("max_scopes", o.MaxScopes),
		max_waiters:             n.count("max_waiters", o.MaxWaiters),
		reach:                   C.uint32_t(o.Reach),
		file_flags:              C.uint32_t(o.FileAccess),
		fingerprint_mode:        C.uint32_t(o.Fingerprints),
		keys:                    C.uint32_t(o.Keys.Charset),
		key_min_len:             n.count("key_min_len", o.Keys.MinLen),
		key_max_len:             n.count("key_max_len", o.Keys.MaxLen),
		refuse_predictable_keys: flag(o.Keys.RefusePredictable),
		clock:                   C.uint32_t(o.Clock),
		on_lapse:                C.uint32_t(o.OnLapse),
		on_full:                 C.uint32_t(o.OnFull),
		default_quota:           o.DefaultQuota.raw(),
		unauthenticated_quota:   o.UnauthenticatedQuota.raw(),
		prefault:                flag(o.Prefault),
		tiny:                    flag(o.Tiny),
		ticker_period_ms:        n.ms("ticker_period", o.Ticker),
		driver:                  flag(o.Driver),
		on_letters_full:         C.uint32_t(o.OnLettersFull),
		max_in_flight:           n.count("max_in_flight", o.MaxInFlight),
		max_retrying:            n.count("max_retrying", o.MaxRetrying),
		context_limit:           n.count("context_limit", o.ContextLimit),
		steps_limit:             n.count("steps_limit", o.StepsLimit),
		max_dead_letters:        n.count("max_dead_letters", o.MaxDeadLetters),
		jitter_seed:             C.uint64_t(o.JitterSeed),
		reconcile:               flag(o.Reconcile),
	}
	n.ms("wait", o.Wait)
	n.count("max_timers", o.MaxTimers)
	return raw, n.err
}

// open opens an engine, or with bytes asks only how large it would be.
func (o *Options) open(bytes *C.uint64_t) (C.uint64_t, error) {
	raw, err := o.raw()
	if err != nil {
		return 0, err
	}
	policy, delays, err := o.RetryPolicy.raw("retry_policy.")
	if err != nil {
		return 0, err
	}
	adaptive, err := o.Adaptive.raw()
	if err != nil {
		return 0, err
	}
	tier, texts, err := o.Tier.raw()
	if err != nil {
		return 0, err
	}
	var handle C.uint64_t
	var why C.oncegate_error
	levels := (*C.double)(unsafe.SliceData(o.FillLevels))
	status := C.og_open(&raw, textData(o.Path), C.size_t(len(o.Path)), bytesData(o.Secret),
		C.size_t(len(o.Secret)), bytesData(o.RetiringSecret), C.size_t(len(o.RetiringSecret)),
		levels, C.size_t(len(o.FillLevels)), policy, unsafe.SliceData(delays),
		C.size_t(len(delays)), adaptive, tier, bytesData(texts), &handle, bytes, &why)
	// It may hold a password and keys.
	clear(texts)
	return handle, failure(status, &why)
}

// RequiredBytes is how much memory an engine with these options takes. Nothing is opened.
func (o Options) RequiredBytes() (uint64, error) {
	var bytes C.uint64_t
	_, err := o.open(&bytes)
	return uint64(bytes), err
}
