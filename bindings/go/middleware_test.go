package oncegate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

// quiet keeps what servers say of panics and broken connections.
func quiet(t *testing.T) *log.Logger {
	return log.New(io.Discard, "", 0)
}

// Goal: a mistake in the options is found when the middleware is made.
// Method: one mistake each.
func TestMiddlewareOptionsAreRefusedAtOnce(t *testing.T) {
	engine := open(t, Options{})
	for field, options := range map[string]MiddlewareOptions{
		"scope":          {},
		"payload_limit":  {SingleTenant: true, PayloadLimit: -1},
		"response_limit": {SingleTenant: true, ResponseLimit: largestOutcome + 1},
		"poll_after":     {SingleTenant: true, PollAfter: -1},
		"wait":           {SingleTenant: true, Wait: -1},
		"keep_headers":   {SingleTenant: true, KeepHeaders: []string{"set-cookie"}},
		"lease_duration": {SingleTenant: true, Begin: []BeginOption{LeaseFor(-1)}},
	} {
		_, err := engine.Middleware(options)
		refused(t, err, ErrBadValue, field)
	}
	both := MiddlewareOptions{SingleTenant: true, Scope: byAccount}
	_, err := engine.Middleware(both)
	refused(t, err, ErrBadValue, "scope")
	for _, name := range neverKept {
		if _, err := engine.Middleware(MiddlewareOptions{SingleTenant: true, KeepHeaders: []string{name}}); err == nil {
			t.Errorf("%s may be kept", name)
		}
	}
}

// Goal: a request with a key runs once, and its duplicate gets the first response.
// Method: a POST, twice; headers of every kind.
func TestDuplicatesGetTheFirstResponse(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{KeepHeaders: []string{"x-charge-id"}})
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		lease, ok := AttemptFrom(r.Context())
		if !ok || lease.Attempt() != 1 || lease.FencingToken() == 0 {
			t.Errorf("attempt %+v, %v", lease, ok)
		}
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Location", "/charges/7")
		header.Add("Link", "<a>")
		header.Add("Link", "<b>")
		header.Set("X-Charge-Id", "7")
		header.Set("X-Request-Id", "first")
		header.Set("Set-Cookie", "session=secret")
		header.Set("Authorization", "secret")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "got %d bytes", len(body))
	})
	first := s.send(post("k"))
	first.is(t, 201, "got 15 bytes", false)
	if first.header.Get("Set-Cookie") == "" || first.header.Get("X-Outer") != "yes" {
		t.Errorf("first: %v", first.header)
	}
	again := s.send(post(`"k"`))
	again.is(t, 201, "got 15 bytes", true)
	for _, name := range []string{"Content-Type", "Location", "Link", "X-Charge-Id", "X-Outer"} {
		if !reflect.DeepEqual(first.header[name], again.header[name]) {
			t.Errorf("%s: %v, first %v", name, again.header[name], first.header[name])
		}
	}
	for _, name := range []string{"Set-Cookie", "Authorization", "X-Request-Id"} {
		if values := again.header[name]; len(values) != 0 {
			t.Errorf("%s was replayed: %v", name, values)
		}
	}
	if s.ran() != 1 {
		t.Errorf("ran %d times", s.ran())
	}
}

// Goal: what net/http adds to a response is the same in its replay.
// Method: responses without a type, a body, or a status.
func TestReplaysLookLikeTheFirstResponse(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{})
	for key, handler := range map[string]http.HandlerFunc{
		"sniffed": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"sniffed after its status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "<ht")
			_, _ = io.WriteString(w, "ml>")
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"no content": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				t.Errorf("error %v", err)
			}
		},
		"untyped": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		},
		"sized": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "four")
		},
		"twice": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			w.WriteHeader(500)
			w.Header().Set("Location", "too late")
		},
		"hints": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusOK)
		},
	} {
		s.handle(handler)
		key = strings.ReplaceAll(key, " ", "-")
		first, again := s.send(post(key)), s.send(post(key))
		again.is(t, first.status, first.body, true)
		again.header.Del("Idempotent-Replayed")
		first.header.Del("Date")
		again.header.Del("Date")
		if !reflect.DeepEqual(first.header, again.header) {
			t.Errorf("%s: %v, first %v", key, again.header, first.header)
		}
	}
}

// Goal: each answer of the middleware has its status and code, and none holds what was sent.
// Method: a request for each.
func TestProblems(t *testing.T) {
	s := newSite(t, open(t, Options{Keys: KeyRules{MinLen: 2}}), MiddlewareOptions{
		PayloadLimit: 20, ProblemTypes: "https://example.com/",
		Operation: func(r *http.Request) string { return r.Header.Get("X-Operation") },
	})
	op := func(c call) call {
		c.headers = append(c.headers, "X-Operation", "charge")
		return c
	}
	with := func(c call, body, contentType string) call {
		c.body = body
		c.headers[3] = contentType
		return c
	}
	other := op(post("done"))
	other.body = `{"amount": 200}`
	s.send(op(post("done"))).is(t, 201, "charged", false)
	cases := []struct {
		call   call
		status int
		code   string
	}{
		{op(post("")), 400, "missing-key"},
		{op(post("card-4242, a")), 400, "invalid-key"},
		{op(post("c")), 400, "invalid-key"},
		{op(with(post("card-4242"), "{card-4242", "application/json")), 400, "invalid-payload"},
		{op(with(post("card-4242"), strings.Repeat("x", 21), "")), 413, "payload-too-large"},
		{op(post("card-4242", "X-Account", "")), 201, ""},
		{call{"POST", "/charges", "", []string{"Idempotency-Key", "card-4242"}}, 403, "no-scope"},
		{post("card-4242", "X-Operation", strings.Repeat("o", 1025)), 414, "operation-too-long"},
		{post("card-4242"), 500, "misconfigured"},
		{other, 422, "mismatched"},
	}
	for _, c := range cases {
		got := s.send(c.call)
		if c.code == "" {
			got.is(t, c.status, "charged", false)
			continue
		}
		got.problem(t, c.status, c.code)
		if strings.Contains(got.body, "4242") {
			t.Errorf("%s tells what was sent: %s", c.code, got.body)
		}
		if !strings.Contains(got.body, `"type":"https://example.com/`+c.code+`"`) {
			t.Errorf("%s has no type: %s", c.code, got.body)
		}
	}
	if s.ran() != 2 {
		t.Errorf("ran %d times", s.ran())
	}
}

// Goal: a conflict says when to come back, and never too early.
// Method: a running, a scheduled, an unresolved and a withheld request, by a clock that stands
// still; a quota and a full table.
func TestConflictsSayWhenToComeBack(t *testing.T) {
	options := manual()
	options.Tiny, options.OnFull = true, FullReject
	engine := open(t, options)
	s := newSite(t, engine, MiddlewareOptions{PollAfter: 5 * time.Second})
	request := func(key string) Request {
		r := charge(key)
		return r
	}
	running := begin(t, engine, request("k-running"), Admitted, LeaseFor(90*time.Second)).Lease
	got := s.send(post("k-running"))
	got.problem(t, 409, "in-progress")
	if got.retryAfter(t) != 5*time.Second {
		t.Errorf("retry after %v", got.retryAfter(t))
	}
	must(t, engine.AdvanceClock(88_500*time.Millisecond))
	if got := s.send(post("k-running")); got.retryAfter(t) != 2*time.Second {
		t.Errorf("retry after %v", got.retryAfter(t))
	}
	must(t, running.Fail(Retryable(61*time.Second)))
	got = s.send(post("k-running"))
	got.problem(t, 409, "scheduled")
	if got.retryAfter(t) != 61*time.Second {
		t.Errorf("retry after %v", got.retryAfter(t))
	}
	must(t, begin(t, engine, request("doubt"), Admitted).Lease.Fail(InDoubt()))
	got = s.send(post("doubt"))
	got.problem(t, 409, "unresolved")
	if got.header.Get("Retry-After") != "" {
		t.Error("a request in doubt says when to come back")
	}
	_, err := begin(t, engine, request("gone"), Admitted).Lease.Complete(Outcome{Withheld: true})
	must(t, err)
	s.send(post("gone")).problem(t, 409, "outcome-gone")
	must(t, engine.SetQuota(Tenant("poor"), Quota{RatePerSecond: 0.1, Burst: 1}))
	s.send(post("p1", "X-Account", "")).is(t, 201, "charged", false)
	poor := func(key string) call {
		c := post(key)
		c.headers[5] = "poor"
		return c
	}
	s.send(poor("p1")).is(t, 201, "charged", false)
	got = s.send(poor("p2"))
	got.problem(t, 429, "quota-exceeded")
	if got.retryAfter(t) != 10*time.Second {
		t.Errorf("retry after %v", got.retryAfter(t))
	}
	for i := range 100 {
		if _, err := engine.Begin(context.Background(), request(fmt.Sprint(i))); err != nil {
			refused(t, err, ErrFull, "capacity")
		}
	}
	got = s.send(post("one-more"))
	got.problem(t, 503, "full")
	if got.retryAfter(t) < time.Second {
		t.Errorf("retry after %v", got.retryAfter(t))
	}
	must(t, engine.Close())
	s.send(post("one-more")).problem(t, 503, "unavailable")
}

// Goal: methods need a record or not, as RFC 9110 says; below another middleware none is made.
// Method: every method with and without a key; a middleware in a middleware.
func TestMethodsNeedARecordOrNot(t *testing.T) {
	engine := open(t, Options{})
	s := newSite(t, engine, MiddlewareOptions{})
	for _, method := range []string{"GET", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "PUT", "DELETE"} {
		for range 2 {
			s.send(call{method, "/x", "", nil}).is(t, 201, "charged", false)
		}
	}
	for range 2 {
		s.send(call{"GET", "/x", "", []string{"Idempotency-Key", "k"}}).is(t, 201, "charged", false)
	}
	for _, method := range []string{"POST", "PATCH", "MOVE", "BREW", "get"} {
		s.send(call{method, "/x", "", []string{"X-Account", "acme"}}).problem(t, 400, "missing-key")
	}
	put := call{"PUT", "/x", "body", []string{"Idempotency-Key", "k", "X-Account", "acme"}}
	s.send(put).is(t, 201, "charged", false)
	s.send(put).is(t, 201, "charged", true)

	lenient := newSite(t, engine, MiddlewareOptions{KeyOptional: true, DedupByPayload: true})
	for range 2 {
		lenient.send(call{"POST", "/y", "", nil}).is(t, 201, "charged", false)
	}
	put = call{"PUT", "/y", "a", []string{"X-Account", "acme"}}
	lenient.send(put).is(t, 201, "charged", false)
	lenient.send(put).is(t, 201, "charged", true)
	put.body = "b"
	lenient.send(put).is(t, 201, "charged", false)

	middleware, err := engine.Middleware(MiddlewareOptions{SingleTenant: true})
	must(t, err)
	runs := 0
	twice := middleware(middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runs++ })))
	request := httptest.NewRequest("POST", "/z", nil)
	request.Header.Set("Idempotency-Key", "nested")
	recorder := httptest.NewRecorder()
	twice.ServeHTTP(recorder, request)
	if recorder.Code != 200 || runs != 1 {
		t.Errorf("below another: %d, ran %d times", recorder.Code, runs)
	}
}

// Goal: scope, method, path and query tell requests apart; scheme and host do not.
// Method: the same key elsewhere; header names of one's own.
func TestWhatTellsRequestsApart(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{KeyHeader: "X-Key", ReplayHeader: "X-Replayed"})
	for _, c := range []call{
		{"POST", "/a", "", nil}, {"PATCH", "/a", "", nil}, {"POST", "/b", "", nil},
		{"POST", "/a?x=1", "", nil}, {"POST", "/a?x=2", "", nil}, {"POST", "/a%2Fb", "", nil},
		{"POST", "/a/b", "", nil},
	} {
		for _, name := range []string{"acme", "other"} {
			c.headers = []string{"X-Key", "k", "X-Account", name}
			if got := s.send(c); got.status != 201 || got.header.Get("X-Replayed") != "" {
				t.Errorf("%s %s of %s: %d, %v", c.method, c.target, name, got.status, got.header)
			}
			if got := s.send(c); got.status != 201 || got.header.Get("X-Replayed") != "true" {
				t.Errorf("%s %s of %s again: %d, %v", c.method, c.target, name, got.status, got.header)
			}
		}
	}
}

// Goal: a form that is encoded anew for each attempt is the same request.
// Method: one multipart form under two boundaries.
func TestMultipartBoundariesDoNotMatter(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{})
	for i, boundary := range []string{"one", "two"} {
		c := post("form")
		c.body = "--" + boundary + "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--" +
			boundary + "--\r\n"
		c.headers[3] = "multipart/form-data; boundary=" + boundary
		s.send(c).is(t, 201, "charged", i == 1)
	}
}

// Goal: a record that was resolved by hand is replayed by the same list as every other.
// Method: one with a cookie and with a number that is no status.
func TestResolvedOutcomesAreReplayedByTheList(t *testing.T) {
	engine := open(t, Options{})
	s := newSite(t, engine, MiddlewareOptions{})
	must(t, begin(t, engine, charge("k"), Admitted).Lease.Fail(InDoubt()))
	must(t, engine.Resolve(charge("k"), HasSucceeded(Outcome{
		Status: 7, Body: []byte("by hand"), Metadata: []Pair{{"set-cookie", "a=b"}, {"location", "/x"}},
	})))
	got := s.send(post("k"))
	got.is(t, 500, "by hand", true)
	if got.header.Get("Set-Cookie") != "" || got.header.Get("Location") != "/x" {
		t.Errorf("headers %v", got.header)
	}
}

// Goal: a header of the list that cannot be stored is never left out of a replay in silence.
// Method: one that is no UTF-8, one that is too long, and too many.
func TestHeadersThatCannotBeStored(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{})
	for key, values := range map[string][]string{
		"utf8": {"\xff"}, "long": {strings.Repeat("x", 8_193)},
		"many": strings.Split(strings.Repeat(strings.Repeat("y", 1_000)+" ", 20), " "),
	} {
		s.handle(func(w http.ResponseWriter, _ *http.Request) {
			for _, value := range values {
				w.Header().Add("Link", value)
			}
		})
		s.send(post(key)).is(t, 200, "", false)
		s.send(post(key)).problem(t, 409, "outcome-gone")
	}
}

// Goal: of many overlapping duplicates exactly one runs, and all others are told to come back, or
// wait for it where the options say so.
// Method: 64 of them, while the handler is held.
func TestOverlappingDuplicatesRunOnce(t *testing.T) {
	engine := open(t, Options{Wait: time.Hour})
	for _, wait := range []time.Duration{0, time.Minute} {
		s := newSite(t, engine, MiddlewareOptions{Wait: wait})
		running, release := make(chan struct{}), make(chan struct{})
		s.handle(func(w http.ResponseWriter, _ *http.Request) {
			close(running)
			<-release
			_, _ = io.WriteString(w, "once")
		})
		key := "k-" + wait.String()
		first := s.spawn(context.Background(), post(key))
		receive(t, running)
		var others []<-chan reply
		for range 63 {
			others = append(others, s.spawn(context.Background(), post(key)))
		}
		if wait != 0 {
			waiters(t, engine, 63)
			close(release)
		}
		for _, other := range others {
			got := receive(t, other)
			if wait == 0 {
				got.problem(t, 409, "in-progress")
			} else {
				got.is(t, 200, "once", true)
			}
		}
		if wait == 0 {
			close(release)
		}
		receive(t, first).is(t, 200, "once", false)
		if s.ran() != 1 {
			t.Errorf("ran %d times", s.ran())
		}
	}
}

// Goal: a request that was not sent to its end makes no record; one at the limit does.
// Method: more bytes announced than sent; bodies of exactly the limit, with and without a length.
func TestRequestsThatBreakOffMakeNoRecord(t *testing.T) {
	s := newSite(t, open(t, Options{}), MiddlewareOptions{PayloadLimit: 100})
	request := s.request(context.Background(), post("k"))
	request.Body = io.NopCloser(io.MultiReader(strings.NewReader("{"), brokenReader{}))
	request.ContentLength = 50
	if response, err := s.server.Client().Do(request); err == nil {
		response.Body.Close()
		if response.StatusCode != 400 {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if stats, _ := s.engine.Stats(); stats.Begun != 0 || s.ran() != 0 {
		t.Errorf("begun %d, ran %d", stats.Begun, s.ran())
	}
	for size, status := range map[int]int{100: 201, 101: 413} {
		for _, chunked := range []bool{false, true} {
			c := post(fmt.Sprintf("%d-%v", size, chunked))
			c.headers[3] = "text/plain"
			request := s.request(context.Background(), c)
			request.Body = io.NopCloser(bytes.NewReader(bytes.Repeat([]byte("x"), size)))
			request.ContentLength = int64(size)
			if chunked {
				request.ContentLength = -1
			}
			response, err := s.server.Client().Do(request)
			must(t, err)
			response.Body.Close()
			if response.StatusCode != status {
				t.Errorf("%d bytes, chunked %v: %d", size, chunked, response.StatusCode)
			}
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
