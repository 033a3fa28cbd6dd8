package oncegate

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"
)

// benched is an engine in which every request has finished, with a body of 48 bytes.
type benched struct {
	engine   *Engine
	records  int
	requests []Request
}

const batchOf = 64

func newBenched(b *testing.B, records int, how Fingerprints) *benched {
	b.Helper()
	engine := open(b, Options{Capacity: 2*records + 1_000, Fingerprints: how})
	return &benched{engine: engine, records: records}
}

// complete ends what was admitted.
func (m *benched) complete(b *testing.B, admission Admission, err error) {
	b.Helper()
	if err != nil || admission.Verdict != Admitted {
		b.Fatal(admission.Verdict, err)
	}
	finish(b, admission.Lease, Outcome{Status: 201, Body: make([]byte, 48)})
}

// digest names request i by what a caller might have at hand: a hash of a message.
func digest(hashed *Hashed, i int) {
	state := uint64(i) * 0x9e3779b97f4a7c15
	for at := 0; at < len(hashed.Fingerprint); at += 8 {
		// SplitMix64.
		state += 0x9e3779b97f4a7c15
		mixed := (state ^ state>>30) * 0xbf58476d1ce4e5b9
		mixed = (mixed ^ mixed>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(hashed.Fingerprint[at:], mixed^mixed>>31)
	}
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
			made := newBenched(b, records, FingerprintsKeyed)
			hashed := Hashed{Scope: SingleTenant}
			for i := range records {
				digest(&hashed, i)
				admission, err := made.engine.BeginHashed(hashed)
				made.complete(b, admission, err)
			}
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
			made := newBenched(b, 1<<16, how)
			payload := Raw([]byte(`{"amount": 100}`))
			for i := range made.records {
				one := Request{
					Scope: Tenant("acme"), Operation: "POST /charges", Payload: payload,
					Key: "key-" + strconv.Itoa(1_000_000+i),
				}
				made.requests = append(made.requests, one)
				admission, err := made.engine.Begin(context.Background(), one)
				made.complete(b, admission, err)
			}
			b.Run("what=single", made.single)
			b.Run("what=batch64", made.batch)
		})
	}
}

func (m *benched) hashedSingle(b *testing.B) {
	b.ReportAllocs()
	hashed := Hashed{Scope: SingleTenant}
	next := 0
	for b.Loop() {
		digest(&hashed, next)
		admission, err := m.engine.BeginHashed(hashed)
		if err != nil || admission.Verdict != Replayed || len(admission.Outcome.Body) != 48 {
			b.Fatal(admission.Verdict, err)
		}
		next = (next + 1) % m.records
	}
}

func (m *benched) hashedBatch(b *testing.B) {
	b.ReportAllocs()
	var batch Batch
	hashed := Hashed{Scope: SingleTenant}
	for done := 0; done < b.N; done += batchOf {
		first := done % m.records
		batch.Reset()
		for i := range batchOf {
			digest(&hashed, first+i)
			batch.AddHashed(&hashed)
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
		next = (next + 1) % m.records
	}
}

func (m *benched) batch(b *testing.B) {
	b.ReportAllocs()
	var batch Batch
	for done := 0; done < b.N; done += batchOf {
		first := done % m.records
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
		if batch.Verdict(i) != Replayed || len(batch.Body(i)) != 48 {
			b.Fatal(batch.Answer(i))
		}
	}
}
