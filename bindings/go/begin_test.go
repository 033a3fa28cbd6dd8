package oncegate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Goal: what makes two requests the same is told apart from what does not.
// Method: one request, and others that differ from it in one part.
func TestRequestsAreToldApart(t *testing.T) {
	engine := open(t, Options{})
	finish(t, begin(t, engine, charge("a"), Admitted).Lease, Outcome{})
	same := charge("a")
	same.Payload = JSON([]byte("{ \"amount\" : 1e2 }"))
	begin(t, engine, same, Replayed)
	for name, change := range map[string]func(*Request){
		"scope":           func(r *Request) { r.Scope = Tenant("other") },
		"single tenant":   func(r *Request) { r.Scope = SingleTenant },
		"unauthenticated": func(r *Request) { r.Scope = Unauthenticated },
		"operation":       func(r *Request) { r.Operation = "POST /refunds" },
		"key":             func(r *Request) { r.Key = "b" },
	} {
		request := charge("a")
		change(&request)
		if admission := begin(t, engine, request, Admitted); admission.Lease.How() != Created {
			t.Errorf("%s: %v", name, admission.Lease.How())
		}
	}
	for name, payload := range map[string]Payload{
		"amount": JSON([]byte(`{"amount": 200}`)),
		"kind":   Raw([]byte(`{"amount": 100}`)),
		"none":   {},
	} {
		request := charge("a")
		request.Payload = payload
		if admission := begin(t, engine, request, Mismatched); admission.Lease != nil {
			t.Errorf("%s: a lease", name)
		}
	}
}

// Goal: every kind of payload is compared by its own rules, and pointers reach the library.
// Method: two spellings of one payload, and a third that differs.
func TestPayloadsAreComparedByKind(t *testing.T) {
	engine := open(t, Options{})
	parts := func(boundary, value string) Payload {
		return Multipart([]byte("--"+boundary+"\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"+
			value+"\r\n--"+boundary+"--\r\n"), boundary)
	}
	json := func(amount, at string) Payload {
		return JSON([]byte(`{"amount":` + amount + `,"at":` + at + `,"note":"x"}`))
	}
	cases := map[string][3]Payload{
		"raw":       {Raw([]byte("a")), Raw([]byte("a")), Raw([]byte("b"))},
		"json":      {JSON([]byte(`{"a":1,"b":2}`)), JSON([]byte(`{"b":2.0,"a":1}`)), JSON([]byte(`{"a":2,"b":2}`))},
		"form":      {Form([]byte("a=1&b=%32")), Form([]byte("a=1&b=2")), Form([]byte("a=1&b=3"))},
		"multipart": {parts("x", "1"), parts("yy", "1"), parts("x", "2")},
		"excluding": {json("1", "1").Excluding("/at"), json("1", "2").Excluding("/at"), json("2", "1").Excluding("/at")},
		"including": {
			json("1", "1").Including("/amount", "/note"), json("1", "2").Including("/amount", "/note"),
			json("2", "1").Including("/amount", "/note"),
		},
	}
	for name, payloads := range cases {
		for i, verdict := range []Verdict{Admitted, Replayed, Mismatched} {
			request := Request{Scope: SingleTenant, Operation: name, Key: "k", Payload: payloads[i]}
			admission := begin(t, engine, request, verdict)
			if admission.Lease != nil {
				finish(t, admission.Lease, Outcome{})
			}
		}
	}
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf("/%d", i))
	}
	request := Request{Scope: SingleTenant, Operation: "op", Key: "k", Payload: JSON([]byte("{}")).Excluding(many...)}
	_, err := engine.Begin(context.Background(), request)
	refused(t, err, ErrBadSize, "excluded")
}

// Goal: pointers that were added to one payload are not another's.
// Method: two payloads made from one that had room for more pointers.
func TestPointersAreNotShared(t *testing.T) {
	base := JSON([]byte("{}")).Excluding("/a", "/b", "/c")
	one, two := base.Excluding("/1"), base.Excluding("/2")
	if one.excluding[3] != "/1" || two.excluding[3] != "/2" {
		t.Errorf("%v, %v", one.excluding, two.excluding)
	}
}

// Goal: a payload may stand in for a key.
// Method: the same payload twice, and another one.
func TestPayloadStandsInForAKey(t *testing.T) {
	engine := open(t, Options{})
	request := charge("")
	request.KeyFromPayload = true
	begin(t, engine, request, Admitted)
	begin(t, engine, request, InProgress)
	request.Payload = JSON([]byte(`{"amount": 101}`))
	begin(t, engine, request, Admitted)
	request.Key = "both"
	_, err := engine.Begin(context.Background(), request)
	refused(t, err, ErrBadSize, "key")
}

// Goal: what is wrong with a request is told by its field, and nothing is begun.
// Method: one bad value for each field; the statistics.
func TestRequestsAreRefusedByField(t *testing.T) {
	engine := open(t, Options{})
	cases := []struct {
		field  string
		status Status
		change func(*Request)
	}{
		{"scope", ErrInvalidScope, func(r *Request) { r.Scope = Scope{} }},
		{"scope", ErrInvalidScope, func(r *Request) { r.Scope = Tenant(strings.Repeat("s", 256)) }},
		{"operation", ErrInvalidOperation, func(r *Request) { r.Operation = "" }},
		{"operation", ErrNotUTF8, func(r *Request) { r.Operation = "\xff" }},
		{"key", ErrInvalidKey, func(r *Request) { r.Key = "" }},
		{"payload", ErrInvalidPayload, func(r *Request) { r.Payload = JSON([]byte("{")) }},
	}
	for _, c := range cases {
		request := charge("a")
		c.change(&request)
		_, err := engine.Begin(context.Background(), request)
		refused(t, err, c.status, c.field)
		_, err = engine.join(context.Background(), &request, &beginHow{})
		refused(t, err, c.status, c.field)
		var batch Batch
		batch.Add(request)
		must(t, engine.BeginBatch(&batch))
		if _, err := batch.Answer(0); !errors.Is(err, c.status) {
			t.Errorf("in a batch: %v, want %v", err, c.status)
		}
	}
	if stats, _ := engine.Stats(); stats.Created != 0 {
		t.Errorf("%d records were made", stats.Created)
	}
}

// Goal: options of a call hold for that call.
// Method: a lease, a window and a lapse of its own, by a clock that stands still.
func TestBeginOptionsHold(t *testing.T) {
	engine := open(t, manual())
	lease := begin(t, engine, charge("a"), Admitted, LeaseFor(5*time.Second), LapseTo(LapseInDoubt)).Lease
	if lease.Lasts() != 5*time.Second {
		t.Errorf("lasts %v", lease.Lasts())
	}
	if left := begin(t, engine, charge("a"), InProgress); left.After != 5*time.Second || left.Attempt != 1 {
		t.Errorf("in progress: %+v", left)
	}
	must(t, engine.AdvanceClock(5*time.Second))
	begin(t, engine, charge("a"), Unresolved)
	finish(t, begin(t, engine, charge("b"), Admitted, DedupFor(time.Minute)).Lease, Outcome{})
	must(t, engine.AdvanceClock(time.Minute))
	if again := begin(t, engine, charge("b"), Admitted); again.Lease.How() != Expired {
		t.Errorf("how %v", again.Lease.How())
	}
	_, err := engine.Begin(context.Background(), charge("c"), LeaseFor(-1))
	refused(t, err, ErrBadValue, "lease_duration")
	_, err = engine.Begin(context.Background(), charge("c"), LeaseFor(400*24*time.Hour))
	refused(t, err, ErrInvalidOption, "lease_duration")
}

// Goal: a context that is done begins nothing, and its cause is the error.
// Method: a context that was cancelled with a cause.
func TestADoneContextBeginsNothing(t *testing.T) {
	engine := open(t, Options{})
	cause := errors.New("no time")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if _, err := engine.Begin(ctx, charge("a")); !errors.Is(err, cause) {
		t.Fatalf("error %v", err)
	}
	if admission := begin(t, engine, charge("a"), Admitted); admission.Attempt != 1 {
		t.Errorf("attempt %d", admission.Attempt)
	}
}

// Goal: outcomes of every size and shape come back as they were.
// Method: sizes around the borders of the stack's buffer and of the library's storage, with few
// and many pairs of metadata, alone and in a batch.
func TestOutcomesComeBackWhole(t *testing.T) {
	engine := open(t, Options{OutcomeLimit: 1 << 20 / 2, OutcomeBytes: 64 << 20})
	var batch Batch
	var want []Outcome
	for _, size := range []int{0, 1, 64, 65, 500, 511, 512, 513, 4096, 1 << 18} {
		for _, pairs := range []int{0, 1, 16, 17, 200} {
			outcome := Outcome{Status: uint16(size % 1000), Body: bytes.Repeat([]byte{byte(size)}, size)}
			for i := range pairs {
				outcome.Metadata = append(outcome.Metadata, Pair{fmt.Sprintf("name-%d", i), strings.Repeat("v", i%40)})
			}
			request := charge(fmt.Sprintf("%d-%d", size, pairs))
			finish(t, begin(t, engine, request, Admitted).Lease, outcome)
			same(t, begin(t, engine, request, Replayed).Outcome, outcome)
			batch.Add(request)
			want = append(want, outcome)
		}
	}
	must(t, engine.BeginBatch(&batch))
	for i, outcome := range want {
		admission, err := batch.Answer(i)
		must(t, err)
		same(t, admission.Outcome, outcome)
	}
}

func same(t *testing.T, got, want Outcome) {
	t.Helper()
	if got.Status != want.Status || !bytes.Equal(got.Body, want.Body) ||
		!reflect.DeepEqual(got.Metadata, want.Metadata) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// Goal: an outcome that breaks a rule is refused by its field, and the attempt goes on.
// Method: metadata that is too long for Go's lengths and for the library's; a withheld body.
func TestOutcomesAreRefusedByField(t *testing.T) {
	engine := open(t, Options{})
	lease := begin(t, engine, charge("a"), Admitted).Lease
	for _, outcome := range []Outcome{
		{Metadata: []Pair{{"n", strings.Repeat("v", 1<<16)}}},
		{Metadata: []Pair{{"n", strings.Repeat("v", 8193)}}},
		{Metadata: []Pair{{"", "v"}}},
	} {
		if _, err := lease.Complete(outcome); !errors.Is(err, ErrInvalidOutcome) {
			t.Errorf("error %v", err)
		}
		if err := lease.Fail(Terminal(outcome)); !errors.Is(err, ErrInvalidOutcome) {
			t.Errorf("error %v", err)
		}
	}
	_, err := lease.Complete(Outcome{Withheld: true, Body: []byte("b")})
	refused(t, err, ErrBadSize, "outcome.body")
	stored, err := lease.Complete(Outcome{Status: 200, Withheld: true})
	if stored != StoredWithoutBytes || err != nil {
		t.Errorf("withheld: %v, %v", stored, err)
	}
	begin(t, engine, charge("a"), OutcomeGone)
}

// Goal: requests whose digests the caller makes have records of their own.
// Method: the same fingerprint with the same and another digest; a large outcome.
func TestHashedRequests(t *testing.T) {
	engine := open(t, Options{})
	hashed := Hashed{Scope: Tenant("acme"), Fingerprint: sha256.Sum256([]byte("m-1")), PayloadDigest: 1 << 8}
	admission, err := engine.BeginHashed(hashed, LeaseFor(time.Minute))
	must(t, err)
	body := bytes.Repeat([]byte("b"), 10_000)
	finish(t, admission.Lease, Outcome{Status: 1, Body: body})
	admission, err = engine.BeginHashed(hashed)
	must(t, err)
	if admission.Verdict != Replayed || !bytes.Equal(admission.Outcome.Body, body) {
		t.Errorf("%v", admission.Verdict)
	}
	hashed.PayloadDigest = 2 << 8
	if admission, _ := engine.BeginHashed(hashed); admission.Verdict != Mismatched {
		t.Errorf("%v", admission.Verdict)
	}
	_, err = engine.BeginHashed(Hashed{})
	refused(t, err, ErrInvalidScope, "scope")
}

// Goal: a replay of a small outcome allocates its body and nothing else.
// Method: allocations counted, without and with metadata.
func TestReplaysAllocateTheirBody(t *testing.T) {
	engine := open(t, Options{})
	finish(t, begin(t, engine, charge("a"), Admitted).Lease, Outcome{Body: []byte("body")})
	request, ctx := charge("a"), context.Background()
	allocations := testing.AllocsPerRun(100, func() {
		if admission, err := engine.Begin(ctx, request); err != nil || admission.Verdict != Replayed {
			t.Fatal(admission.Verdict, err)
		}
	})
	if allocations > 1 {
		t.Errorf("%v allocations", allocations)
	}
}
