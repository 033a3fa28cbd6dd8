package oncegate

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// MiddlewareOptions say how a [Engine.Middleware] works. Scope or SingleTenant has to be set; zero
// is a good value of all others.
type MiddlewareOptions struct {
	// Scope says whose request it is; false: the caller is unknown and may not send one with a key,
	// which is answered with 403. Take it from what was authenticated, never from a header that
	// the client chooses: the scope is what keeps one tenant from being answered with another's
	// response.
	Scope func(*http.Request) (Scope, bool)
	// SingleTenant says that the service has no tenants. Then there is no Scope.
	SingleTenant bool
	// Operation says what is asked for, 1 to 1,024 bytes; default: method, path and query as the
	// middleware sees them. It is needed where they do not say it all: behind http.StripPrefix,
	// and where the host decides.
	Operation func(*http.Request) string
	// KeyHeader holds the key; default: Idempotency-Key.
	KeyHeader string
	// KeyOptional lets requests that change something and have no key run unprotected, as often as
	// they are sent. Default: 400.
	KeyOptional bool
	// DedupByPayload identifies PUT and DELETE without a key by their payload. Mind the way back:
	// after A and then B, A again inside the dedup window is answered by the record of the first A.
	DedupByPayload bool
	// PayloadLimit is the largest request with a key, in bytes; default: 1 MiB. A larger one is
	// answered with 413 before anything is admitted.
	PayloadLimit int
	// ResponseLimit is the longest response that is held back to be kept, in bytes; default and at
	// most 1,000,000. Nothing beyond Options.OutcomeLimit of the engine is kept: set both alike.
	ResponseLimit int
	// KeepHeaders are headers of the first response that replays repeat, besides Cache-Control,
	// Content-Disposition, -Encoding, -Language, -Location and -Type, ETag, Last-Modified, Link,
	// Location and Vary. Those of one client, connection or message (Set-Cookie, Authorization,
	// Content-Length, Date) are refused.
	KeepHeaders []string
	// ReplayHeader marks a replay, with the value true; default: Idempotent-Replayed.
	ReplayHeader string
	// Begin sets lease, dedup window and lapse.
	Begin []BeginOption
	// Wait is how long a duplicate waits for the running attempt; default: it gets 409 at once,
	// whatever Options.Wait says. Who waits holds a goroutine, and no thread.
	Wait time.Duration
	// Policy says which responses are final; default: the preset of the IETF draft.
	Policy OutcomePolicy
	// PollAfter is the longest Retry-After of a conflict with a running attempt; default: 1 s.
	PollAfter time.Duration
	// ProblemTypes is where problems are documented: the type of a problem is this and its code.
	// Default: about:blank.
	ProblemTypes string
	// Detached lets handlers run on when their client has left: their context is not cancelled by
	// that. Handlers that move money want this.
	Detached bool
}

// Middleware makes handlers run each request with an idempotency key once, as
// draft-ietf-httpapi-idempotency-key-header describes it: duplicates get the stored response, or
// are told why not, as application/problem+json (RFC 9457).
//
//	middleware, err := engine.Middleware(oncegate.MiddlewareOptions{Scope: account})
//	…
//	http.Handle("/charges", authenticate(middleware(charges)))
//
// Place it inside of what authenticates and limits requests, so that nobody unknown can make
// records, and outside of what must not be repeated. Place compression outside of it, since a
// replay may go to a client that accepts another encoding.
//
// A handler finds its attempt by [AttemptFrom]. Its response is held back until it returns, and
// kept if the policy takes it for final. A response that is too long, an event stream, one that is
// flushed, and one with trailers are passed on as they are made, and not kept: duplicates get 409,
// and nothing runs again. A handler that breaks a response off has to panic with
// http.ErrAbortHandler, as net/http asks; then, as after any other panic, the record is resolved by
// the policy's OnPanic. So it is by OnCancel when the client has left and the handler returns
// without a response.
func (e *Engine) Middleware(options MiddlewareOptions) (func(http.Handler) http.Handler, error) {
	m, err := newMiddleware(e, options)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.serve(w, r, next)
		})
	}, nil
}

// middleware is the options with their defaults.
type middleware struct {
	MiddlewareOptions
	engine *Engine
	kept   []string
}

const (
	// defaultPayloadLimit is far above what calls that change something carry; uploads need a
	// limit of their own.
	defaultPayloadLimit = 1 << 20
	// largestOutcome is the largest limit for outcomes that an engine can be given.
	largestOutcome = 1_000_000
	// defaultPollAfter: the rest of a lease is what a handler may take, not what it usually takes.
	defaultPollAfter = time.Second
)

// keptHeaders describe the result, and say nothing of who asked for it.
var keptHeaders = []string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language",
	"Content-Location", "Content-Type", "Etag", "Last-Modified", "Link", "Location", "Vary",
}

// neverKept are credentials; headers of one connection (RFC 9110, section 7.6.1); and headers of
// one message.
var neverKept = []string{
	"Set-Cookie", "Set-Cookie2", "Authorization", "Authentication-Info",
	"Proxy-Authentication-Info", "Www-Authenticate", "Proxy-Authenticate", "Proxy-Authorization",
	"Cookie", "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Content-Length", "Date", "Age",
}

func newMiddleware(e *Engine, options MiddlewareOptions) (*middleware, error) {
	m := &middleware{MiddlewareOptions: options, engine: e, kept: slices.Clone(keptHeaders)}
	var n numbers
	if (options.Scope == nil) != options.SingleTenant {
		n.refuse("scope", "limit: exactly one of Scope and SingleTenant")
	}
	if options.SingleTenant {
		m.Scope = func(*http.Request) (Scope, bool) { return SingleTenant, true }
	}
	orElse(&m.KeyHeader, "Idempotency-Key")
	orElse(&m.ReplayHeader, "Idempotent-Replayed")
	orElse(&m.PollAfter, defaultPollAfter)
	orElse(&m.PayloadLimit, defaultPayloadLimit)
	orElse(&m.ResponseLimit, largestOutcome)
	n.limit("payload_limit", m.PayloadLimit, maxPayload)
	n.limit("response_limit", m.ResponseLimit, largestOutcome)
	n.ms("poll_after", m.PollAfter)
	n.ms("wait", m.Wait)
	for _, name := range options.KeepHeaders {
		name = http.CanonicalHeaderKey(name)
		if slices.Contains(neverKept, name) {
			n.refuse("keep_headers", "found a header of one client, connection or message; "+
				"limit: one that is the same for every client and connection")
		}
		if !slices.Contains(m.kept, name) {
			m.kept = append(m.kept, name)
		}
	}
	if n.err != nil {
		return nil, n.err
	}
	waits := waiting{asked: m.Wait != 0, limit: m.Wait}
	m.Begin = append(slices.Clone(options.Begin), func(o *beginOptions) { o.wait = waits })
	if _, err := e.how(m.Begin); err != nil {
		return nil, err
	}
	return m, nil
}

// maxPayload is the library's limit.
const maxPayload = 64 << 20

// orElse sets a default.
func orElse[T comparable](value *T, otherwise T) {
	var zero T
	if *value == zero {
		*value = otherwise
	}
}

// limit refuses what is below 1 or above most.
func (n *numbers) limit(field string, value, most int) {
	if value < 1 || value > most {
		n.refuse(field, "found "+strconv.Itoa(value)+"; limit: 1 to "+strconv.Itoa(most))
	}
}

type attemptKey struct{}

// AttemptFrom gives the attempt that a handler runs in, from the context of its request: its
// number, its fencing token, and Renew for a handler that takes long. The middleware ends it; a
// handler that does so itself has its response refused as fenced. A request that is passed on
// without a record has none.
func AttemptFrom(ctx context.Context) (*Lease, bool) {
	lease, ok := ctx.Value(attemptKey{}).(*Lease)
	return lease, ok
}
