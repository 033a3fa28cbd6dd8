package oncegate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
)

func BenchmarkTrivialCall(b *testing.B) {
	for b.Loop() {
		trivial(1)
	}
}

var benchPayload = []byte(`{"amount": 100}`)
var benchBody = []byte("0123456789abcdef0123456789abcdef0123456789abcdef")

func benchEngine(b *testing.B, records int, fast bool) (*Engine, []Request, []Hashed) {
	o := Options{Capacity: 2*records + 1000}
	if fast {
		o.Fingerprints = FingerprintsFastTrusted
	}
	e, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	reqs := make([]Request, records)
	hs := make([]Hashed, records)
	for i := range reqs {
		reqs[i] = Request{Scope: Tenant("acme"), Operation: "POST /charges", Key: fmt.Sprintf("key-%016d", i), Payload: Raw(benchPayload)}
		a, err := e.Begin(context.Background(), reqs[i])
		if err != nil || a.Verdict != Admitted {
			b.Fatal(err, a.Verdict)
		}
		if _, err := a.Lease.Complete(Outcome{Status: 201, Body: benchBody}); err != nil {
			b.Fatal(err)
		}
		hs[i] = Hashed{Scope: SingleTenant, Fingerprint: sha256.Sum256([]byte(reqs[i].Key))}
		a, err = e.BeginHashed(hs[i])
		if err != nil || a.Verdict != Admitted {
			b.Fatal(err, a.Verdict)
		}
		a.Lease.Complete(Outcome{Status: 201, Body: benchBody})
	}
	return e, reqs, hs
}

func benchReplay(b *testing.B, records int, fast bool) {
	e, reqs, hs := benchEngine(b, records, fast)
	ctx := context.Background()
	b.Run("single", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			a, err := e.Begin(ctx, reqs[i])
			if err != nil || a.Verdict != Replayed {
				b.Fatal(err, a.Verdict)
			}
			if i++; i == len(reqs) {
				i = 0
			}
		}
	})
	b.Run("batch64", func(b *testing.B) {
		b.ReportAllocs()
		var batch Batch
		i := 0
		for n := 0; n < b.N; n += 64 {
			batch.Reset()
			for j := range 64 {
				batch.Add(reqs[i+j])
			}
			if i += 64; i == len(reqs) {
				i = 0
			}
			if err := e.BeginBatch(&batch); err != nil {
				b.Fatal(err)
			}
			for j := range 64 {
				if batch.Verdict(j) != Replayed {
					b.Fatal(j)
				}
			}
		}
	})
	b.Run("hashed-single", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			a, err := e.BeginHashed(hs[i])
			if err != nil || a.Verdict != Replayed {
				b.Fatal(err, a.Verdict)
			}
			if i++; i == len(reqs) {
				i = 0
			}
		}
	})
	b.Run("hashed-batch64", func(b *testing.B) {
		b.ReportAllocs()
		var batch Batch
		i := 0
		for n := 0; n < b.N; n += 64 {
			batch.Reset()
			for j := range 64 {
				batch.AddHashed(&hs[i+j])
			}
			if i += 64; i == len(reqs) {
				i = 0
			}
			if err := e.BeginBatch(&batch); err != nil {
				b.Fatal(err)
			}
			for j := range 64 {
				a, err := batch.Answer(j)
				if err != nil || a.Verdict != Replayed {
					b.Fatal(j)
				}
			}
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	for _, n := range []int{64, 1 << 16, 1 << 20} {
		b.Run(fmt.Sprintf("keyed-%d", n), func(b *testing.B) { benchReplay(b, n, false) })
		b.Run(fmt.Sprintf("fast-%d", n), func(b *testing.B) { benchReplay(b, n, true) })
	}
}
