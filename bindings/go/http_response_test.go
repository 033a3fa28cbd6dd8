package oncegate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Goal: the policy says what a response leaves behind.
// Method: one status for each judgement, under the default and a policy of one's own.
func TestResponsesAreJudged(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{
		Policy: OutcomePolicy{Statuses: map[uint16]Judgement{504: JudgedInDoubt}},
	})
	for status, judgement := range map[int]Judgement{
		201: JudgedFinal, 422: JudgedFinal, 404: JudgedFinal, 409: JudgedRetryable,
		429: JudgedRetryable, 500: JudgedRetryable, 503: JudgedRetryable, 504: JudgedInDoubt,
	} {
		s.handle(func(w http.ResponseWriter, r *http.Request) {
			lease, _ := AttemptFrom(r.Context())
			w.WriteHeader(status)
			fmt.Fprintf(w, "attempt %d", lease.Attempt())
		})
		key := fmt.Sprintf("k-%d", status)
		s.send(post(key)).is(t, status, "attempt 1", false)
		again := s.send(post(key))
		switch judgement {
		case JudgedFinal:
			again.is(t, status, "attempt 1", true)
		case JudgedRetryable:
			again.is(t, status, "attempt 2", false)
		default:
			again.problem(t, 409, "unresolved")
		}
	}
}

// Goal: a handler that panics resolves its record, by the policy, and its client gets nothing.
// Method: a panic before anything and after a part was written, and the way in which net/http asks
// handlers to break a response off.
func TestPanicsResolveTheRecord(t *testing.T) {
	for name, policy := range map[string]OutcomePolicy{"retry": {}, "doubt": {OnPanic: JudgedInDoubt}} {
		s := newSite(t, open(t, Options{}), MiddlewareOptions{Policy: policy})
		for key, handler := range map[string]http.HandlerFunc{
			"at-once": func(http.ResponseWriter, *http.Request) { panic("broke") },
			"later":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "part"); panic("broke") },
			"abort":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) },
			"code":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1) },
		} {
			s.handle(handler)
			if got := s.sendIn(context.Background(), post(key)); got.err == nil {
				t.Errorf("%s: answered %d %q", key, got.status, got.body)
			}
			s.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "again") })
			again := s.send(post(key))
			if name == "retry" {
				again.is(t, 200, "again", false)
			} else {
				again.problem(t, 409, "unresolved")
			}
		}
	}
}

// Goal: a response that ends before it said that it would is no result.
// Method: a length that is announced, and a body that is shorter.
func TestShortResponsesAreNoResult(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{})
	s.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "short")
	})
	s.send(post("k")).problem(t, 500, "aborted")
	s.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "whole") })
	s.send(post("k")).is(t, 200, "whole", false)
}

// Goal: when the client leaves, the record is resolved as soon as the handler returns: a response
// is kept, and none lets the next attempt start, or as the policy says.
// Method: clients that leave while their handler waits for that; a clock that stands still, so
// that nothing lapses.
func TestClientsThatLeave(t *testing.T) {
	for name, c := range map[string]struct {
		options MiddlewareOptions
		handler func(http.ResponseWriter, *http.Request)
		check   func(t *testing.T, again reply)
	}{
		"obedient": {
			handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			check:   func(t *testing.T, again reply) { again.is(t, 200, "attempt 2", false) },
		},
		"in doubt": {
			options: MiddlewareOptions{Policy: OutcomePolicy{OnCancel: JudgedInDoubt}},
			handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			check:   func(t *testing.T, again reply) { again.problem(t, 409, "unresolved") },
		},
		"finished": {
			handler: func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				w.WriteHeader(201)
				_, _ = io.WriteString(w, "charged all the same")
			},
			check: func(t *testing.T, again reply) { again.is(t, 201, "charged all the same", true) },
		},
		"aborted": {
			handler: func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "part")
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			},
			check: func(t *testing.T, again reply) { again.is(t, 200, "attempt 2", false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, open(t, manual()), c.options)
			running, returned := make(chan struct{}), make(chan struct{})
			s.handle(func(w http.ResponseWriter, r *http.Request) {
				close(running)
				defer close(returned)
				c.handler(w, r)
			})
			ctx, leave := context.WithCancel(context.Background())
			gone := s.spawn(ctx, post("k"))
			receive(t, running)
			s.send(post("k")).problem(t, 409, "in-progress")
			leave()
			receive(t, gone)
			receive(t, returned)
			s.handle(func(w http.ResponseWriter, r *http.Request) {
				lease, _ := AttemptFrom(r.Context())
				fmt.Fprintf(w, "attempt %d", lease.Attempt())
			})
			// The attempt is ended behind the handler, in the same goroutine.
			c.check(t, s.settled("k"))
		})
	}
}

// settled sends until no attempt runs any more.
func (s *site) settled(key string) reply {
	s.t.Helper()
	deadline := time.Now().Add(soon)
	for {
		got := s.send(post(key))
		if got.status != 409 || !strings.Contains(got.body, "in-progress") {
			return got
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the attempt goes on")
		}
	}
}

// Goal: detached handlers do not notice that their client has left.
// Method: a client that leaves; the handler looks at its context after its server has noticed.
func TestDetachedHandlersRunOn(t *testing.T) {
	s := newSite(t, open(t, manual()), MiddlewareOptions{Detached: true})
	running, noticed := make(chan struct{}), make(chan struct{})
	outer := make(chan context.Context, 1)
	s.server.Config.Handler = watch(s.server.Config.Handler, outer)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		close(running)
		<-noticed
		if err := r.Context().Err(); err != nil {
			t.Errorf("the handler's context is done: %v", err)
		}
	})
	ctx, leave := context.WithCancel(context.Background())
	gone := s.spawn(ctx, post("k"))
	receive(t, running)
	leave()
	receive(t, gone)
	receive(t, receive(t, outer).Done())
	close(noticed)
	s.settled("k").is(t, 200, "", true)
}

// watch tells the context of the first request.
func watch(next http.Handler, outer chan<- context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case outer <- r.Context():
		default:
		}
		next.ServeHTTP(w, r)
	})
}

// Goal: a waiter leaves with its client, and takes nothing over.
// Method: the client of a waiter leaves; then the leader fails.
func TestWaitersThatLeaveTakeNothingOver(t *testing.T) {
	engine := open(t, Options{})
	s := newSite(t, engine, MiddlewareOptions{Wait: time.Hour})
	running, release := make(chan struct{}), make(chan struct{})
	s.handle(func(w http.ResponseWriter, _ *http.Request) {
		close(running)
		<-release
		w.WriteHeader(503)
	})
	first := s.spawn(context.Background(), post("k"))
	receive(t, running)
	ctx, leave := context.WithCancel(context.Background())
	waiting := s.spawn(ctx, post("k"))
	waiters(t, engine, 1)
	leave()
	receive(t, waiting)
	waiters(t, engine, 0)
	close(release)
	receive(t, first).is(t, 503, "", false)
	if s.ran() != 1 {
		t.Errorf("ran %d times", s.ran())
	}
}

// Goal: a response that comes after its lease was lost reaches nobody, and a handler that renews
// does not lose it.
// Method: the clock passes the lease while the handler runs, and another attempt takes over.
func TestLateResponsesAreDiscarded(t *testing.T) {
	engine := open(t, manual())
	s := newSite(t, engine, MiddlewareOptions{ResponseLimit: 100})
	for key, handler := range map[string]http.HandlerFunc{
		"success": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "stale") },
		"failure": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) },
		"long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("stale", 30))
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(w, "stale")
		},
	} {
		s.handle(func(w http.ResponseWriter, r *http.Request) {
			must(t, engine.AdvanceClock(time.Minute))
			s.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fresh") })
			s.send(post(key)).is(t, 200, "fresh", false)
			handler(w, r)
		})
		got := s.send(post(key))
		got.problem(t, 409, "fenced")
		if got.retryAfter(t) != time.Second || strings.Contains(got.body, "stale") {
			t.Errorf("%s: %v %q", key, got.header, got.body)
		}
		s.send(post(key)).is(t, 200, "fresh", true)
	}
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		lease, _ := AttemptFrom(r.Context())
		_, err := lease.Renew(5 * time.Minute)
		must(t, err)
		must(t, engine.AdvanceClock(time.Minute))
	})
	s.send(post("renewed")).is(t, 200, "", false)
	s.send(post("renewed")).is(t, 200, "", true)
}

// Goal: what cannot be held back reaches its client as it is made, and its duplicate learns that
// it was not kept.
// Method: a long body, one whose length is announced as too long, a stream of events and a flushed
// one; each client reads the first part while the handler waits for that.
func TestStreamsAreNotHeldBack(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{ResponseLimit: 10})
	for key, start := range map[string]func(w http.ResponseWriter){
		"long":   func(w http.ResponseWriter) { _, _ = io.WriteString(w, "longer than ten\n"); w.(http.Flusher).Flush() },
		"length": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "20"); partly(w) },
		"events": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "Text/Event-Stream; x=y"); partly(w) },
		"flush":  func(w http.ResponseWriter) { _, _ = io.WriteString(w, "part\n"); w.(http.Flusher).Flush() },
	} {
		seen := make(chan struct{})
		s.handle(func(w http.ResponseWriter, _ *http.Request) {
			start(w)
			<-seen
			_, _ = io.WriteString(w, "the rest")
		})
		response, err := s.server.Client().Do(s.request(context.Background(), post(key)))
		must(t, err)
		body := bufio.NewReader(response.Body)
		if _, err := body.ReadString('\n'); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		s.send(post(key)).problem(t, 409, "outcome-gone")
		close(seen)
		rest, err := io.ReadAll(body)
		if err != nil && key != "length" || string(rest) != "the rest" {
			t.Errorf("%s: %q, %v", key, rest, err)
		}
		response.Body.Close()
		s.send(post(key)).problem(t, 409, "outcome-gone")
	}
}

func partly(w http.ResponseWriter) {
	_, _ = io.WriteString(w, "some words\n")
	_ = http.NewResponseController(w).Flush()
}

// Goal: a response at the limit is kept, one beyond it is not, and both are whole.
// Method: bodies around the limit, in one piece and in two.
func TestResponsesAreKeptUpToTheLimit(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{ResponseLimit: 10})
	for _, size := range []int{9, 10, 11} {
		for _, cut := range []int{0, 5} {
			body := strings.Repeat("x", size)
			s.handle(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, body[:cut])
				_, _ = io.WriteString(w, body[cut:])
			})
			key := fmt.Sprintf("%d-%d", size, cut)
			s.send(post(key)).is(t, 200, body, false)
			if again := s.send(post(key)); size <= 10 {
				again.is(t, 200, body, true)
			} else {
				again.problem(t, 409, "outcome-gone")
			}
		}
	}
}

// Goal: an attempt whose response is no result lasts as long as its handler, even while that is
// not held back; if it breaks off, the policy says what that means.
// Method: 503 and 504 (in doubt) that are flushed; a duplicate meanwhile; both ends.
func TestAttemptsLastAsLongAsTheirHandlers(t *testing.T) {
	for _, status := range []int{503, 504} {
		for _, breaks := range []bool{false, true} {
			s := newSite(t, open(t, Options{}), MiddlewareOptions{Policy: OutcomePolicy{
				Statuses: map[uint16]Judgement{504: JudgedInDoubt}, OnPanic: JudgedRetryable,
			}})
			seen := make(chan struct{})
			s.handle(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				partly(w)
				<-seen
				if breaks {
					panic(http.ErrAbortHandler)
				}
			})
			response, err := s.server.Client().Do(s.request(context.Background(), post("k")))
			must(t, err)
			s.send(post("k")).problem(t, 409, "in-progress")
			close(seen)
			_, _ = io.ReadAll(response.Body)
			response.Body.Close()
			s.handle(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "again") })
			if again := s.settled("k"); status == 503 {
				again.is(t, 200, "again", false)
			} else {
				again.problem(t, 409, "unresolved")
			}
		}
	}
}

// Goal: trailers reach their client, and a response with them is not replayed without.
// Method: trailers that are declared and that are not, held back and passed on.
func TestTrailersReachTheirClientAndAreNotKept(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{})
	for _, flush := range []bool{false, true} {
		for _, declared := range []bool{false, true} {
			s.handle(func(w http.ResponseWriter, _ *http.Request) {
				name := http.TrailerPrefix + "X-Result"
				if declared {
					name = "X-Result"
					w.Header().Set("Trailer", name)
				}
				_, _ = io.WriteString(w, "message")
				if flush {
					w.(http.Flusher).Flush()
				}
				w.Header().Set(name, "7")
			})
			key := fmt.Sprintf("%v-%v", flush, declared)
			got := s.send(post(key))
			got.is(t, 200, "message", false)
			// Without a declaration net/http sends them only where no length was sent.
			if got.trailer.Get("X-Result") != "7" && (declared || flush) {
				t.Errorf("%s: trailers %v", key, got.trailer)
			}
			s.send(post(key)).problem(t, 409, "outcome-gone")
		}
	}
}

// Goal: a handler can do with the response what the server can, but take the connection.
// Method: a response controller, and the interfaces that handlers ask for.
func TestResponseControllers(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{})
	s.handle(func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		must(t, controller.SetReadDeadline(time.Now().Add(soon)))
		must(t, controller.SetWriteDeadline(time.Now().Add(soon)))
		must(t, controller.EnableFullDuplex())
		if _, _, err := controller.Hijack(); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("hijacked: %v", err)
		}
	})
	s.send(post("k")).is(t, 200, "", false)
}

// Goal: recorders of tests work as servers do.
// Method: the middleware without a server.
func TestTheMiddlewareNeedsNoServer(t *testing.T) {
	engine := open(t, Options{})
	middleware, err := engine.Middleware(MiddlewareOptions{SingleTenant: true})
	must(t, err)
	handler := middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }))
	for i := range 2 {
		request := httptest.NewRequest("POST", "/", nil)
		request.Header.Set("Idempotency-Key", "k")
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if replayed := recorder.Header().Get("Idempotent-Replayed") == "true"; recorder.Code != 202 || replayed != (i == 1) {
			t.Errorf("%d: %d, replayed %v", i, recorder.Code, replayed)
		}
	}
}
