package oncegate

/*
#include "crossing.h"

#cgo noescape og_method_class
#cgo nocallback og_method_class
static inline oncegate_status og_method_class(const uint8_t *method, size_t len, uint32_t *out) {
    return oncegate_method_class(og_bytes(method, len), out, NULL);
}
*/
import "C"

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// serve runs the handler once for its request, or answers in its place.
func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	request, needed, problem := m.identify(r)
	if problem != nil {
		problem.write(w, m)
		return
	}
	if !needed {
		next.ServeHTTP(w, r)
		return
	}
	body, problem := m.readBody(r)
	if problem != nil {
		problem.write(w, m)
		return
	}
	request.Payload = payloadOf(r.Header, body)
	admission, err := m.engine.Begin(r.Context(), request, m.Begin...)
	switch {
	case err != nil:
		m.refusalOf(err).write(w, m)
	case admission.Verdict == Admitted:
		m.execute(w, withBody(r, body), next, admission.Lease)
	default:
		m.duplicate(w, &admission)
	}
}

// identify tells what a request is recognised by, without its payload. False: it needs no record.
func (m *middleware) identify(r *http.Request) (Request, bool, *problem) {
	class := classOf(r.Method)
	// Below another middleware the request has its record: a second one would find the first.
	if _, has := AttemptFrom(r.Context()); has || class == methodSafe {
		return Request{}, false, nil
	}
	key, found, why := readKey(r.Header, m.KeyHeader)
	if why != "" {
		return Request{}, false, newProblem(http.StatusBadRequest, "invalid-key", string(why))
	}
	if !found {
		switch {
		case class == methodPayloadDedup && m.DedupByPayload:
		case class == methodKeyRequired && !m.KeyOptional:
			return Request{}, false, newProblem(http.StatusBadRequest, "missing-key",
				"this request needs a key of its own in `"+m.KeyHeader+"`")
		default:
			return Request{}, false, nil
		}
	}
	scope, known := m.Scope(r)
	if !known {
		return Request{}, false, newProblem(http.StatusForbidden, "no-scope",
			"only a caller who is known may send a request with a key")
	}
	operation := m.operationOf(r)
	if operation == "" {
		return Request{}, false, misconfigured()
	}
	return Request{Scope: scope, Operation: operation, Key: key, KeyFromPayload: !found}, true, nil
}

func (m *middleware) operationOf(r *http.Request) string {
	if m.Operation != nil {
		return m.Operation(r)
	}
	// Without scheme and host, which HTTP/2 sends in the target and HTTP/1 does not.
	target := r.URL.EscapedPath()
	if r.URL.ForceQuery || r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	return r.Method + " " + target
}

// withBody is the request with the body that was read.
func withBody(r *http.Request, body []byte) *http.Request {
	r = r.WithContext(r.Context())
	r.Body = http.NoBody
	if len(body) != 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	return r
}

// execute runs the handler, and ends the attempt by what came of it.
func (m *middleware) execute(
	w http.ResponseWriter, r *http.Request, next http.Handler, lease *Lease,
) {
	ctx := context.WithValue(r.Context(), attemptKey{}, lease)
	if m.Detached {
		ctx = context.WithoutCancel(ctx)
	}
	response := &response{middleware: m, lease: lease, client: w, header: w.Header().Clone()}
	if response.header == nil {
		response.header = http.Header{}
	}
	returned := false
	defer func() {
		if !returned {
			// By a panic, or runtime.Goexit.
			response.broke(m.Policy.OnPanic)
		}
	}()
	next.ServeHTTP(response, r.WithContext(ctx))
	returned = true
	response.finish(ctx)
}

// keep is what is kept of a response. False: it cannot be kept whole.
func (m *middleware) keep(status int, header http.Header, body []byte) (Outcome, bool) {
	outcome := Outcome{Status: uint16(status), Body: body}
	total := 0
	for _, name := range m.kept {
		for _, value := range header.Values(name) {
			if !utf8.ValidString(value) || len(value) > maxValue {
				return Outcome{}, false
			}
			outcome.Metadata = append(outcome.Metadata, Pair{strings.ToLower(name), value})
			total += pairHead + len(name) + len(value)
		}
	}
	return outcome, total <= maxMetadata
}

const (
	// maxValue and maxMetadata are the library's limits.
	maxValue    = 8_192
	maxMetadata = 16 << 10
)

func hasTrailers(header http.Header) bool {
	for name := range header {
		if name == "Trailer" || strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// replay answers with what was kept.
func (m *middleware) replay(w http.ResponseWriter, outcome *Outcome) {
	header := w.Header()
	for _, name := range m.kept {
		header.Del(name)
	}
	for _, pair := range outcome.Metadata {
		name := http.CanonicalHeaderKey(pair.Name)
		// Metadata of other origin is replayed by the same list.
		if slices.Contains(m.kept, name) {
			header.Add(name, pair.Value)
		}
	}
	if _, typed := header["Content-Type"]; !typed {
		// The first response had none, and net/http would guess one.
		header["Content-Type"] = nil
	}
	header.Set(m.ReplayHeader, "true")
	status := int(outcome.Status)
	if status < 200 || status > 999 {
		// A record that was resolved by hand may hold any number.
		status = http.StatusInternalServerError
	}
	w.WriteHeader(status)
	if bodyAllowed(status) {
		_, _ = w.Write(outcome.Body)
	}
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// isEndless tells a stream of events, for whose end nobody can wait.
func isEndless(header http.Header) bool {
	essence, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(essence), "text/event-stream")
}

// methodClass is what an HTTP method requires before its handler may run twice.
type methodClass C.uint32_t

const (
	// methodSafe: run it as often as it comes.
	methodSafe methodClass = C.ONCEGATE_METHOD_SAFE
	// methodPayloadDedup: the payload identifies it, unless there is a key.
	methodPayloadDedup methodClass = C.ONCEGATE_METHOD_PAYLOAD_DEDUP
	// methodKeyRequired: it needs a key.
	methodKeyRequired methodClass = C.ONCEGATE_METHOD_KEY_REQUIRED
)

// classOf gives the class of a method, by RFC 9110, section 9.2; methods are case-sensitive.
func classOf(method string) methodClass {
	var class C.uint32_t
	if C.og_method_class(textData(method), C.size_t(len(method)), &class) != C.ONCEGATE_OK {
		return methodKeyRequired
	}
	return methodClass(class)
}
