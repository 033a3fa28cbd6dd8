package oncegate_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode"

	"github.com/oncegate/oncegate/bindings/go"
)

// run is a vector under way: its engine, and what its steps have made, by name.
type run struct {
	engine *oncegate.Engine
	leases map[string]*oncegate.Lease
	fences map[string]uint64
	waits  map[string]*waiter
}

// waiter is a request that waits in a goroutine of its own.
type waiter struct {
	cancel context.CancelFunc
	answer chan answer
}

type answer struct {
	admission oncegate.Admission
	err       error
}

var (
	lapses = map[string]oncegate.OnLapse{
		"": 0, "RECLAIM": oncegate.LapseReclaim, "UNKNOWN": oncegate.LapseInDoubt,
		"FAILED": oncegate.LapseFailed,
	}
	fulls = map[string]oncegate.OnFull{
		"": 0, "EVICT_LRU": oncegate.FullEvictLRU, "REJECT": oncegate.FullReject,
	}
	modes = map[string]oncegate.Fingerprints{
		"": 0, "KEYED": oncegate.FingerprintsKeyed, "FAST_TRUSTED": oncegate.FingerprintsFastTrusted,
	}
	charsets = map[string]oncegate.KeyCharset{
		"": oncegate.KeysAny, "ANY": oncegate.KeysAny, "VISIBLE": oncegate.KeysVisible,
		"ALPHANUMERIC": oncegate.KeysAlphanumeric, "HEX": oncegate.KeysHex,
		"UUID": oncegate.KeysUUID,
	}
	verdicts = map[oncegate.Verdict]string{
		oncegate.Admitted: "ADMITTED", oncegate.Replayed: "REPLAYED",
		oncegate.InProgress: "IN_PROGRESS", oncegate.Scheduled: "SCHEDULED",
		oncegate.Mismatched: "MISMATCHED", oncegate.Unresolved: "UNRESOLVED",
		oncegate.OutcomeGone: "OUTCOME_GONE",
	}
	hows = map[oncegate.How]string{
		oncegate.Created: "CREATED", oncegate.Retried: "RETRIED", oncegate.Expired: "EXPIRED",
	}
)

func openRun(given fields) *run {
	secret, own := given.bytes("secret")
	if !own {
		for at := range 32 {
			secret += string(rune(at + 1))
		}
	}
	options := oncegate.Options{
		Clock:         oncegate.ClockManual,
		Capacity:      given.size("capacity"),
		Secret:        []byte(secret),
		OutcomeLimit:  given.size("outcome_limit"),
		InlineOutcome: given.size("inline_outcome"),
		MaxWaiters:    given.size("max_waiters"),
		LeaseDuration: given.ms("lease_ms"),
		DedupWindow:   given.ms("dedup_window_ms"),
		Wait:          given.ms("wait_ms"),
		DefaultQuota:  oncegate.Quota{MaxLive: given.number("quota_max_live")},
		JitterSeed:    given.number("jitter_seed"),
		OnLapse:       choose("on_lapse", given.text("on_lapse"), lapses),
		OnFull:        choose("on_full", given.text("on_full"), fulls),
		Fingerprints:  choose("fingerprint_mode", given.text("fingerprint_mode"), modes),
		Keys: oncegate.KeyRules{
			Charset:           choose("keys", given.text("keys"), charsets),
			MinLen:            given.size("key_min_len"),
			MaxLen:            given.size("key_max_len"),
			RefusePredictable: given.flag("refuse_predictable_keys"),
		},
	}
	if options.Capacity == 0 {
		options.Capacity = 1_000
	}
	if options.JitterSeed == 0 {
		options.JitterSeed = 1
	}
	if given.has("retry_policy") {
		options.RetryPolicy = readPolicy(given.object("retry_policy"))
	}
	given.finish("options")
	engine, err := oncegate.Open(options)
	if err != nil {
		fail("%v", err)
	}
	return &run{
		engine: engine,
		leases: map[string]*oncegate.Lease{},
		fences: map[string]uint64{},
		waits:  map[string]*waiter{},
	}
}

// close ends who still waits, and the engine.
func (r *run) close() {
	for _, waiter := range r.waits {
		waiter.cancel()
		<-waiter.answer
	}
	if err := r.engine.Close(); err != nil {
		fail("close: %v", err)
	}
}

// settle compares the status with what is expected, and looks whether everything was.
func settle(err error, step, expect fields) {
	status, field := "OK", ""
	if err != nil {
		var told *oncegate.Error
		if !errors.As(err, &told) {
			fail("not an error of the engine: %v", err)
		}
		status, field = headerName(told.Status.Name()), told.Field
	}
	if expected := expect.textOr("status", "OK"); expected != status {
		fail("status: expected %s, found %s: %v", expected, status, err)
	}
	expect.same("field", field)
	expect.finish("expect")
	step.finish("step")
}

// headerName makes INVALID_KEY of InvalidKey.
func headerName(name string) string {
	var made strings.Builder
	for at, letter := range name {
		if unicode.IsUpper(letter) && at > 0 {
			made.WriteByte('_')
		}
		made.WriteRune(unicode.ToUpper(letter))
	}
	return made.String()
}

func (r *run) do(op string, step, expect fields) error {
	switch op {
	case "begin":
		request, options := readRequest(step), readOptions(step)
		admission, err := r.engine.Begin(context.Background(), request, options...)
		return r.told(step, expect, admission, err)
	case "begin_batch":
		return r.beginBatch(step)
	case "submit":
		return r.submit(step)
	case "take":
		return r.take(step, expect)
	case "cancel":
		waiter := r.waiter(step.text("wait"))
		waiter.cancel()
		if told := <-waiter.answer; !errors.Is(told.err, context.Canceled) {
			fail("cancelled, and answered: %v, %v", told.admission.Verdict, told.err)
		}
		return nil
	case "complete":
		lease, outcome := r.lease(step), readOutcome(step)
		stored, err := lease.Complete(outcome)
		if err == nil {
			expect.same("stored", map[oncegate.Stored]string{
				oncegate.StoredWithBytes: "STORED", oncegate.StoredWithoutBytes: "STORED_WITHOUT_BYTES",
			}[stored])
		}
		return err
	case "fail":
		return r.lease(step).Fail(readFailure(step))
	case "abandon":
		return r.lease(step).Abandon()
	case "renew":
		lasts, err := r.lease(step).Renew(step.ms("duration_ms"))
		if err == nil {
			expect.same("remaining_ms", millis(lasts))
		}
		return err
	case "take_up":
		return r.takeUp(step, expect)
	case "retry_later":
		return r.retryLater(step, expect)
	case "next_attempt":
		return r.nextAttempt(step, expect)
	case "set_operation":
		policy := (*oncegate.RetryPolicy)(nil)
		if step.has("policy") {
			policy = readPolicy(step.object("policy"))
		}
		return r.engine.SetOperation(step.text("operation"), policy, step.size("max_in_flight"))
	case "set_budget":
		return r.setBudget(step)
	case "preview":
		return preview(step, expect)
	case "resolve":
		return r.engine.Resolve(readRequest(step), readResolution(step))
	case "fingerprint":
		fingerprint, err := r.engine.Fingerprint(readRequest(step))
		if err == nil {
			expect.same("fingerprint", hex.EncodeToString(fingerprint[:]))
		}
		return err
	case "fences":
		r.ascend(step.texts("ascending"))
		return nil
	case "stats":
		return r.stats(expect)
	case "advance":
		return r.engine.AdvanceClock(step.ms("by_ms"))
	}
	fail("there is no step %s", op)
	return nil
}

// told compares an answer with what is expected, and keeps its lease.
func (r *run) told(step, expect fields, admission oncegate.Admission, err error) error {
	lease, fence := step.text("lease"), step.text("fence")
	if err != nil {
		return err
	}
	expect.same("verdict", verdicts[admission.Verdict])
	switch admission.Verdict {
	case oncegate.Admitted:
		expect.same("how", hows[admission.Lease.How()])
		expect.same("attempt", admission.Lease.Attempt())
		expect.same("time_ms", millis(admission.Lease.Lasts()))
		r.keep(lease, fence, admission.Lease)
	case oncegate.InProgress, oncegate.Scheduled:
		expect.same("attempt", admission.Attempt)
		expect.same("time_ms", millis(admission.After))
	case oncegate.Replayed:
		sameOutcome(expect, admission.Outcome)
	}
	return nil
}

func (r *run) keep(lease, fence string, held *oncegate.Lease) {
	if lease != "" {
		r.leases[lease] = held
	}
	if fence != "" {
		r.fences[fence] = held.FencingToken()
	}
}

func (r *run) lease(step fields) *oncegate.Lease {
	name := step.text("lease")
	lease, there := r.leases[name]
	if !there {
		fail("there is no lease %s", name)
	}
	return lease
}

func (r *run) beginBatch(step fields) error {
	options := readOptions(step)
	var batch oncegate.Batch
	var requests []fields
	for _, one := range step.list("requests") {
		request := asFields("requests", one)
		requests = append(requests, request)
		batch.Add(readRequest(request))
	}
	if err := r.engine.BeginBatch(&batch, options...); err != nil {
		return err
	}
	for at, request := range requests {
		expect := request.object("expect")
		admission, err := batch.Answer(at)
		settle(r.told(request, expect, admission, err), request, expect)
	}
	return nil
}

// submit lets a request wait, and comes back when it is queued.
func (r *run) submit(step fields) error {
	name := step.text("wait")
	limited := step.has("wait_ms")
	request, options := readRequest(step), readOptions(step)
	if !limited {
		options = append(options, oncegate.Wait())
	}
	before := r.waiters()
	ctx, cancel := context.WithCancel(context.Background())
	waiter := &waiter{cancel: cancel, answer: make(chan answer, 1)}
	r.waits[name] = waiter
	go func() {
		admission, err := r.engine.Begin(ctx, request, options...)
		waiter.answer <- answer{admission, err}
	}()
	deadline := time.Now().Add(patience)
	for r.waiters() <= before {
		if time.Now().After(deadline) {
			fail("a request that is submitted has to wait")
		}
		runtime.Gosched()
	}
	return nil
}

func (r *run) waiters() uint64 {
	stats, err := r.settled()
	if err != nil {
		fail("stats: %v", err)
	}
	return stats.Waiters
}

func (r *run) waiter(name string) *waiter {
	waiter, there := r.waits[name]
	if !there {
		fail("there is no wait %s", name)
	}
	delete(r.waits, name)
	return waiter
}

// take gives the answer of whichever of these waits has one.
func (r *run) take(step, expect fields) error {
	names := step.texts("waits")
	deadline := time.Now().Add(patience)
	for {
		for _, name := range names {
			waiter, there := r.waits[name]
			if !there {
				continue
			}
			select {
			case told := <-waiter.answer:
				delete(r.waits, name)
				waiter.cancel()
				return r.told(step, expect, told.admission, told.err)
			default:
			}
		}
		if time.Now().After(deadline) {
			fail("none of %v has an answer", names)
		}
		runtime.Gosched()
	}
}

func (r *run) takeUp(step, expect fields) error {
	held, err := r.engine.TakeUp(r.lease(step).Token())
	if err != nil {
		return err
	}
	expect.same("attempt", held.Attempt())
	expect.same("how", hows[held.How()])
	expect.same("remaining_ms", millis(held.Lasts()))
	r.keep("", step.text("fence"), held)
	return nil
}

func (r *run) ascend(names []string) {
	before := uint64(0)
	for _, name := range names {
		fence, there := r.fences[name]
		if !there || fence <= before {
			fail("%s does not ascend in %v: %v", name, names, r.fences)
		}
		before = fence
	}
}

// settled waits until everybody who was called to look has, and gives the counts then.
func (r *run) settled() (oncegate.Stats, error) {
	deadline := time.Now().Add(patience)
	for {
		stats, err := r.engine.Stats()
		if err != nil || stats.Waiters == r.engine.Pending() || time.Now().After(deadline) {
			return stats, err
		}
		runtime.Gosched()
	}
}

func (r *run) stats(expect fields) error {
	stats, err := r.settled()
	if err != nil {
		return err
	}
	for name, count := range map[string]uint64{
		"begun": stats.Begun, "created": stats.Created, "reused": stats.Reused,
		"expired": stats.Expired, "retried": stats.Retried, "replayed": stats.Replayed,
		"in_progress": stats.InProgress, "scheduled": stats.Scheduled,
		"mismatched": stats.Mismatched, "unresolved": stats.Unresolved,
		"outcome_gone": stats.OutcomeGone, "fenced": stats.Fenced, "lapsed": stats.Lapsed,
		"completed": stats.Completed, "waiters": stats.Waiters, "hand_offs": stats.HandOffs,
		"live_running": stats.LiveRunning, "live_waiting": stats.LiveWaiting,
		"live_succeeded": stats.LiveSucceeded, "live_failed": stats.LiveFailed,
		"live_unknown": stats.LiveInDoubt, "dead_letters": stats.DeadLetters,
		"buried": stats.Buried,
	} {
		expect.same(name, count)
	}
	return nil
}

func readRequest(step fields) oncegate.Request {
	request := oncegate.Request{Operation: step.textOr("operation", "POST /charges")}
	name, given := step.bytes("scope")
	switch kind := step.textOr("scope_kind", "NAMED"); kind {
	case "NAMED":
		if !given {
			name = "acme"
		}
		request.Scope = oncegate.Tenant(name)
	case "SINGLE_TENANT":
		request.Scope = oncegate.SingleTenant
	case "UNAUTHENTICATED":
		request.Scope = oncegate.Unauthenticated
	default:
		fail("scope_kind: there is no %s", kind)
	}
	request.Key, _ = step.bytes("key")
	request.KeyFromPayload = choose("key_kind", step.textOr("key_kind", "GIVEN"),
		map[string]bool{"GIVEN": false, "FROM_PAYLOAD": true})
	request.Payload = readPayload(step)
	return request
}

func readPayload(step fields) (payload oncegate.Payload) {
	text, _ := step.bytes("payload")
	data, boundary := []byte(text), step.text("boundary")
	switch kind := step.textOr("payload_kind", "NONE"); kind {
	case "NONE":
	case "RAW":
		payload = oncegate.Raw(data)
	case "JSON":
		payload = oncegate.JSON(data)
	case "FORM":
		payload = oncegate.Form(data)
	case "MULTIPART":
		payload = oncegate.Multipart(data, boundary)
	default:
		fail("payload_kind: there is no %s", kind)
	}
	if excluded := step.texts("excluded"); excluded != nil {
		payload = payload.Excluding(excluded...)
	}
	if included := step.texts("included"); included != nil {
		payload = payload.Including(included...)
	}
	return payload
}

func readOptions(step fields) (options []oncegate.BeginOption) {
	if step.has("lease_ms") {
		options = append(options, oncegate.LeaseFor(step.ms("lease_ms")))
	}
	if step.has("dedup_window_ms") {
		options = append(options, oncegate.DedupFor(step.ms("dedup_window_ms")))
	}
	if step.has("wait_ms") {
		options = append(options, oncegate.WaitFor(step.ms("wait_ms")))
	}
	if lapse := choose("on_lapse", step.text("on_lapse"), lapses); lapse != 0 {
		options = append(options, oncegate.LapseTo(lapse))
	}
	if step.flag("run_due") {
		options = append(options, oncegate.RunDue())
	}
	return options
}

func readOutcome(step fields) oncegate.Outcome {
	body, _ := step.bytes("body")
	outcome := oncegate.Outcome{
		Status:   uint16(step.number("outcome_status")),
		Body:     []byte(body),
		Withheld: step.flag("withheld"),
	}
	for _, value := range step.list("metadata") {
		pair, ok := value.([]any)
		if !ok || len(pair) != 2 {
			fail("metadata: a name and a value are expected, and not %v", value)
		}
		outcome.Metadata = append(outcome.Metadata,
			oncegate.Pair{Name: fmt.Sprint(pair[0]), Value: fmt.Sprint(pair[1])})
	}
	return outcome
}

func readFailure(step fields) oncegate.Failure {
	kind, delay, outcome := step.text("failure"), step.ms("delay_ms"), readOutcome(step)
	return choose("failure", kind, map[string]oncegate.Failure{
		"RETRYABLE": oncegate.Retryable(delay),
		"TERMINAL":  oncegate.Terminal(outcome),
		"UNKNOWN":   oncegate.InDoubt(),
	})
}

func readResolution(step fields) oncegate.Resolution {
	outcome := readOutcome(step)
	return choose("resolution", step.text("resolution"), map[string]oncegate.Resolution{
		"SUCCEEDED": oncegate.HasSucceeded(outcome),
		"FAILED":    oncegate.HasFailed(outcome),
		"RUN_AGAIN": oncegate.RunAgain(),
	})
}

func sameOutcome(expect fields, outcome oncegate.Outcome) {
	expect.same("outcome_status", outcome.Status)
	if body, there := expect.bytes("body"); there && body != string(outcome.Body) {
		fail("body: expected %x, found %x", body, outcome.Body)
	}
	if !expect.has("metadata") {
		return
	}
	expected := expect.list("metadata")
	found := []any{}
	for _, pair := range outcome.Metadata {
		found = append(found, []any{pair.Name, pair.Value})
	}
	if fmt.Sprintf("%q", expected) != fmt.Sprintf("%q", found) {
		fail("metadata: expected %q, found %q", expected, found)
	}
}

// patience is how long a step waits for what another goroutine does at once.
const patience = 30 * time.Second
