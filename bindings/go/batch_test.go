package oncegate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"
)

// Goal: each request of a batch gets the answer that a call of its own would.
// Method: sizes around the borders of the crossing, with new, finished, running, mismatched and
// refused requests mixed; the batch is used twice.
func TestBatchesAnswerEachForItself(t *testing.T) {
	engine := open(t, Options{Capacity: 10_000})
	body := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i*7%900) }
	var batch Batch
	for _, count := range []int{1, 31, 32, 33, 63, 64, 65, 129, 300} {
		batch.Reset()
		key := func(i int) string { return fmt.Sprintf("%d-%d", count, i) }
		for i := range count {
			if i%5 == 1 {
				finish(t, begin(t, engine, charge(key(i)), Admitted).Lease, Outcome{Status: uint16(i), Body: body(i)})
			}
			if i%5 == 2 {
				begin(t, engine, charge(key(i)), Admitted)
			}
			if i%5 == 3 {
				other := charge(key(i))
				other.Payload = JSON([]byte("{}")).Excluding("/at")
				begin(t, engine, other, Admitted)
			}
			request := charge(key(i))
			if i%5 == 3 {
				request.Payload = request.Payload.Excluding("/a", "/b").Including("/amount")
			}
			if i%5 == 4 {
				request.Key = ""
			}
			batch.Add(request)
		}
		if batch.Len() != count {
			t.Fatalf("%d requests, want %d", batch.Len(), count)
		}
		must(t, engine.BeginBatch(&batch))
		for i := range count {
			admission, err := batch.Answer(i)
			if i%5 == 4 {
				refused(t, err, ErrInvalidKey, "request")
				continue
			}
			must(t, err)
			want := [...]Verdict{Admitted, Replayed, InProgress, Mismatched}[i%5]
			if admission.Verdict != want || batch.Verdict(i) != want {
				t.Fatalf("%d of %d: %v, want %v", i, count, admission.Verdict, want)
			}
			switch want {
			case Admitted:
				finish(t, admission.Lease, Outcome{})
			case Replayed:
				same(t, admission.Outcome, Outcome{Status: uint16(i), Body: body(i)})
			}
		}
	}
}

// Goal: requests of one batch may be each other's duplicates.
// Method: the same request twice.
func TestBatchesMeetThemselves(t *testing.T) {
	engine := open(t, Options{})
	var batch Batch
	batch.Add(charge("a"))
	batch.Add(charge("a"))
	must(t, engine.BeginBatch(&batch))
	if batch.Verdict(0) != Admitted || batch.Verdict(1) != InProgress {
		t.Errorf("%v, %v", batch.Verdict(0), batch.Verdict(1))
	}
}

// Goal: digests that the caller made are begun in batches, too.
// Method: more than the crossing takes at once, with outcomes that need more room than there is at
// first.
func TestHashedBatches(t *testing.T) {
	engine := open(t, Options{OutcomeBytes: 1 << 20})
	var batch Batch
	body := bytes.Repeat([]byte("b"), 3_000)
	for round := range 2 {
		batch.Reset()
		for i := range 100 {
			batch.AddHashed(&Hashed{Scope: Tenant("acme"), Fingerprint: sha256.Sum256([]byte{byte(i)})})
		}
		batch.AddHashed(&Hashed{})
		must(t, engine.BeginBatch(&batch))
		for i := range 100 {
			admission, err := batch.Answer(i)
			must(t, err)
			if round == 0 {
				finish(t, admission.Lease, Outcome{Status: uint16(i), Body: body})
			} else {
				same(t, admission.Outcome, Outcome{Status: uint16(i), Body: body})
			}
		}
		_, err := batch.Answer(100)
		refused(t, err, ErrInvalidScope, "request")
	}
}

// Goal: a batch that cannot be begun is refused as a whole, and nothing is begun.
// Method: both kinds in one; one that was begun already; too many; none at all.
func TestBatchesAreRefusedAsAWhole(t *testing.T) {
	engine := open(t, Options{})
	var batch Batch
	must(t, engine.BeginBatch(&batch))
	batch.Add(charge("a"))
	batch.AddHashed(&Hashed{Scope: SingleTenant})
	refused(t, engine.BeginBatch(&batch), ErrBadValue, "batch")
	batch.Reset()
	batch.Add(charge("a"))
	must(t, engine.BeginBatch(&batch))
	refused(t, engine.BeginBatch(&batch), ErrBadValue, "batch")
	batch.Reset()
	for range MaxBatch + 1 {
		batch.AddHashed(&Hashed{Scope: SingleTenant})
	}
	refused(t, engine.BeginBatch(&batch), ErrBadSize, "batch")
	if stats, _ := engine.Stats(); stats.Created != 1 {
		t.Errorf("%d records", stats.Created)
	}
}

// Goal: a batch that is used again allocates nothing.
// Method: allocations of replays, counted.
func TestBatchesAllocateNothing(t *testing.T) {
	engine := open(t, Options{})
	requests := make([]Request, 64)
	for i := range requests {
		requests[i] = charge(fmt.Sprint(i))
		finish(t, begin(t, engine, requests[i], Admitted).Lease, Outcome{Body: []byte("body")})
	}
	var batch Batch
	allocations := testing.AllocsPerRun(10, func() {
		batch.Reset()
		for _, request := range requests {
			batch.Add(request)
		}
		if err := engine.BeginBatch(&batch); err != nil {
			t.Fatal(err)
		}
		for i := range requests {
			if admission, err := batch.Answer(i); err != nil || admission.Verdict != Replayed {
				t.Fatal(admission.Verdict, err)
			}
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// Goal: an outcome of a batch can be had without the answer around it; other answers have none.
// Method: one that is replayed, with metadata, and one that is admitted; one that has too many
// pointers is refused by itself.
func TestBatchesGiveOutcomes(t *testing.T) {
	engine := open(t, manual())
	outcome := Outcome{Status: 201, Body: []byte("body"), Metadata: []Pair{{"name", "value"}}}
	finish(t, begin(t, engine, charge("done"), Admitted).Lease, outcome)
	var batch Batch
	batch.Add(charge("done"))
	batch.Add(charge("new"))
	many := charge("many")
	many.Payload = many.Payload.Excluding(make([]string, 65)...)
	batch.Add(many)
	must(t, engine.BeginBatch(&batch))
	if got := batch.Outcome(0); !reflect.DeepEqual(got, outcome) || string(batch.Body(0)) != "body" {
		t.Errorf("%+v, %q", got, batch.Body(0))
	}
	if got := batch.Outcome(1); !reflect.DeepEqual(got, Outcome{}) || len(batch.Body(1)) != 0 {
		t.Errorf("%+v, %q", got, batch.Body(1))
	}
	_, err := batch.Answer(2)
	refused(t, err, ErrBadSize, "excluded")
}
