package oncegate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"testing"
)

// What benchmarks ask for, by request and by digest.
type benched struct {
	engine   *Engine
	requests []Request
	hashes   []Hashed
}

const batchOf = 64

// newBenched opens an engine in which every request has finished, with a body of 48 bytes.
func newBenched(b *testing.B, records int, how Fingerprints, hashed bool) *benched {
	b.Helper()
	engine := open(b, Options{Capacity: 2*records + 1_000, Fingerprints: how})
	made := &benched{engine: engine}
	outcome := Outcome{Status: 201, Body: make([]byte, 48)}
	payload := Raw([]byte(`{"amount": 100}`))
	for i := range records {
		var admission Admission
		var err error
		key := "key-" + strconv.Itoa(1_000_000+i)
		if hashed {
			one := Hashed{Scope: SingleTenant, Fingerprint: sha256.Sum256([]byte(key))}
			made.hashes = append(made.hashes, one)
			admission, err = engine.BeginHashed(one)
		} else {
			one := Request{Scope: Tenant("acme"), Operation: "POST /charges", Key: key, Payload: payload}
			made.requests = append(made.requests, one)
			admission, err = engine.Begin(context.Background(), one)
		}
		if err != nil || admission.Verdict != Admitted {
			b.Fatal(admission.Verdict, err)
		}
		finish(b, admission.Lease, outcome)
	}
	return made
}

// BenchmarkCrossing is what a duplicate costs from Go, for each key: a call that does nothing, one
// request at a time, and 64 of them together. Digests are the caller's, so that what is compared
// is the crossing and the look-up, and not a hash.
func BenchmarkCrossing(b *testing.B) {
	b.Run("what=trivial", func(b *testing.B) {
		for b.Loop() {
			trivial(1)
		}
	})
	for _, records := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			made := newBenched(b, records, FingerprintsKeyed, true)
			b.Run("what=single", made.hashedSingle)
			b.Run("what=batch64", made.hashedBatch)
		})
	}
}

// BenchmarkRequests is the same with requests that the engine hashes, keyed or fast.
func BenchmarkRequests(b *testing.B) {
	for name, how := range map[string]Fingerprints{
		"keyed": FingerprintsKeyed, "fast": FingerprintsFastTrusted,
	} {
		b.Run("hash="+name, func(b *testing.B) {
			made := newBenched(b, 1<<16, how, false)
			b.Run("what=single", made.single)
			b.Run("what=batch64", made.batch)
		})
	}
}

func (m *benched) hashedSingle(b *testing.B) {
	b.ReportAllocs()
	next := 0
	for b.Loop() {
		admission, err := m.engine.BeginHashed(m.hashes[next])
		if err != nil || admission.Verdict != Replayed || len(admission.Outcome.Body) != 48 {
			b.Fatal(admission.Verdict, err)
		}
		if next++; next == len(m.hashes) {
			next = 0
		}
	}
}

func (m *benched) hashedBatch(b *testing.B) {
	b.ReportAllocs()
	var batch Batch
	for done := 0; done < b.N; done += batchOf {
		first := done % len(m.hashes)
		batch.Reset()
		for i := range batchOf {
			batch.AddHashed(&m.hashes[first+i])
		}
		m.beginBatch(b, &batch)
	}
}

func (m *benched) single(b *testing.B) {
	b.ReportAllocs()
	next := 0
	for b.Loop() {
		admission, err := m.engine.Begin(context.Background(), m.requests[next])
		if err != nil || admission.Verdict != Replayed || len(admission.Outcome.Body) != 48 {
			b.Fatal(admission.Verdict, err)
		}
		if next++; next == len(m.requests) {
			next = 0
		}
	}
}

func (m *benched) batch(b *testing.B) {
	b.ReportAllocs()
	var batch Batch
	for done := 0; done < b.N; done += batchOf {
		first := done % len(m.requests)
		batch.Reset()
		for i := range batchOf {
			batch.Add(m.requests[first+i])
		}
		m.beginBatch(b, &batch)
	}
}

func (m *benched) beginBatch(b *testing.B, batch *Batch) {
	if err := m.engine.BeginBatch(batch); err != nil {
		b.Fatal(err)
	}
	for i := range batchOf {
		if batch.Verdict(i) != Replayed || len(batch.Outcome(i).Body) != 48 {
			b.Fatal(batch.Answer(i))
		}
	}
}
