package oncegate

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// site is a server on loopback with a middleware, whose handler a test may change.
type site struct {
	t      *testing.T
	engine *Engine
	server *httptest.Server

	mutex   sync.Mutex
	handler http.HandlerFunc
	runs    int
}

// account is put into the context by what authenticates, before the middleware.
type account struct{}

func byAccount(r *http.Request) (Scope, bool) {
	name, ok := r.Context().Value(account{}).(string)
	return Tenant(name), ok
}

func newSite(t *testing.T, engine *Engine, options MiddlewareOptions) *site {
	t.Helper()
	if options.Scope == nil && !options.SingleTenant {
		options.Scope = byAccount
	}
	middleware, err := engine.Middleware(options)
	must(t, err)
	s := &site{t: t, engine: engine, handler: func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "charged")
	}}
	protected := middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mutex.Lock()
		s.runs++
		handler := s.handler
		s.mutex.Unlock()
		handler(w, r)
	}))
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Outer", "yes")
		if name := r.Header.Get("X-Account"); name != "" {
			r = r.WithContext(context.WithValue(r.Context(), account{}, name))
		}
		protected.ServeHTTP(w, r)
	}))
	s.server.Config.ErrorLog = quiet(t)
	s.server.Start()
	t.Cleanup(s.server.Close)
	// On a connection that is used again, Go's client sends a request with a key once more by
	// itself when that breaks.
	s.server.Client().Transport.(*http.Transport).DisableKeepAlives = true
	return s
}

// handle changes the handler.
func (s *site) handle(handler http.HandlerFunc) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.handler = handler
}

// ran is how often the handler has been called.
func (s *site) ran() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.runs
}

// call is a request: a method and a target, a body, and headers as pairs of name and value.
type call struct {
	method, target, body string
	headers              []string
}

func post(key string, headers ...string) call {
	return call{"POST", "/charges", `{"amount": 100}`, append([]string{
		"Idempotency-Key", key, "Content-Type", "application/json", "X-Account", "acme",
	}, headers...)}
}

func (s *site) request(ctx context.Context, c call) *http.Request {
	s.t.Helper()
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	request, err := http.NewRequestWithContext(ctx, c.method, s.server.URL+c.target, body)
	must(s.t, err)
	for i := 0; i < len(c.headers); i += 2 {
		if name, value := c.headers[i], c.headers[i+1]; value != "" {
			request.Header.Add(name, value)
		}
	}
	return request
}

// reply is an answer that was read to its end.
type reply struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error
}

func (s *site) send(c call) reply {
	s.t.Helper()
	got := s.sendIn(context.Background(), c)
	must(s.t, got.err)
	return got
}

func (s *site) sendIn(ctx context.Context, c call) reply {
	s.t.Helper()
	response, err := s.server.Client().Do(s.request(ctx, c))
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, response.Trailer, string(body), err}
}

// spawn sends from a goroutine of its own.
func (s *site) spawn(ctx context.Context, c call) <-chan reply {
	replies := make(chan reply, 1)
	go func() { replies <- s.sendIn(ctx, c) }()
	return replies
}

// problem checks that an answer is a problem of that status and code.
func (r reply) problem(t *testing.T, status int, code string) {
	t.Helper()
	var told struct {
		Type, Title, Code, Detail string
		Status                    int
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(r.body)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&told); err != nil {
		t.Fatalf("no problem: %d %q: %v", r.status, r.body, err)
	}
	if r.status != status || told.Status != status || told.Code != code || told.Detail == "" ||
		told.Type == "" || told.Title != http.StatusText(status) {
		t.Fatalf("%d %q, want %d %s", r.status, r.body, status, code)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("type %q", got)
	}
	if got := r.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache %q", got)
	}
}

// is checks status and body of an answer that a handler gave, and whether it is a replay.
func (r reply) is(t *testing.T, status int, body string, replayed bool) {
	t.Helper()
	if r.err != nil || r.status != status || r.body != body ||
		(r.header.Get("Idempotent-Replayed") == "true") != replayed {
		t.Fatalf("%d %q, replayed %q, %v; want %d %q, %v", r.status, r.body,
			r.header.Get("Idempotent-Replayed"), r.err, status, body, replayed)
	}
}

func (r reply) retryAfter(t *testing.T) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	must(t, err)
	return time.Duration(seconds) * time.Second
}
