package oncegate

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// response is what a handler writes to: it holds the response back until the handler returns, or
// until that cannot be waited for.
type response struct {
	middleware *middleware
	lease      *Lease
	client     http.ResponseWriter

	// header is the handler's until its response is passed on.
	header http.Header
	// status and sent are what WriteHeader was called with, and saw.
	status int
	sent   http.Header
	body   []byte
	mode   mode
	// ended says that the attempt has been ended.
	ended bool
}

// mode is what becomes of what a handler writes.
type mode int

const (
	// holding: it is held back.
	holding mode = iota
	// passing: it goes to the client as it comes.
	passing
	// dropping: the client has another answer.
	dropping
)

// Header gives the headers of the response; once it is passed on, those are trailers.
func (r *response) Header() http.Header {
	if r.mode == passing {
		return r.client.Header()
	}
	return r.header
}

// WriteHeader fixes status and headers.
func (r *response) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		r.inform(status)
		return
	}
	if status < 100 || status > 999 {
		// As net/http does, and before the attempt is ended by it.
		panic("oncegate: invalid WriteHeader code " + strconv.Itoa(status))
	}
	if r.status != 0 {
		return
	}
	r.status = status
	r.sent = r.header.Clone()
	length, err := strconv.ParseInt(r.sent.Get("Content-Length"), 10, 64)
	if isEndless(r.sent) || err == nil && length > int64(r.middleware.ResponseLimit) {
		r.pass()
	}
}

// inform sends an answer that is none yet, such as 103.
func (r *response) inform(status int) {
	if r.mode != holding || r.status != 0 {
		return
	}
	put(r.client.Header(), r.header)
	r.client.WriteHeader(status)
}

// Write holds bytes back, or passes them on.
func (r *response) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if !bodyAllowed(r.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if r.mode == holding && len(r.body)+len(data) > r.middleware.ResponseLimit {
		r.pass()
	}
	switch r.mode {
	case passing:
		return r.client.Write(data)
	case holding:
		r.body = append(r.body, data...)
	}
	return len(data), nil
}

// sniff sets the type of a response that says none, as net/http would, so that it is kept.
func (r *response) sniff() {
	_, typed := r.sent["Content-Type"]
	if !typed && len(r.body) != 0 && r.sent.Get("Content-Encoding") == "" &&
		r.sent.Get("Transfer-Encoding") == "" {
		r.sent.Set("Content-Type", http.DetectContentType(r.body))
	}
}

// Flush passes on what has been written: somebody waits for it.
func (r *response) Flush() {
	_ = r.FlushError()
}

// FlushError is Flush, for http.ResponseController.
func (r *response) FlushError() error {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.mode == holding {
		r.pass()
	}
	if r.mode == dropping {
		return nil
	}
	return r.controller().Flush()
}

// Hijack is refused: what goes over the connection then can be neither kept nor judged.
func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.ErrUnsupported
}

// SetReadDeadline, SetWriteDeadline and EnableFullDuplex are for http.ResponseController.
func (r *response) SetReadDeadline(deadline time.Time) error {
	return r.controller().SetReadDeadline(deadline)
}

// SetWriteDeadline is for http.ResponseController.
func (r *response) SetWriteDeadline(deadline time.Time) error {
	return r.controller().SetWriteDeadline(deadline)
}

// EnableFullDuplex is for http.ResponseController.
func (r *response) EnableFullDuplex() error {
	return r.controller().EnableFullDuplex()
}

func (r *response) controller() *http.ResponseController {
	return http.NewResponseController(r.client)
}

// pass passes on what was held back, and from now on what is written. A response that is final
// finishes its record before that: nothing runs again. One that is not keeps its lease until the
// handler returns, since it may work on while it writes.
func (r *response) pass() {
	if r.middleware.Policy.Judge(uint16(r.status)) == JudgedFinal {
		if !r.complete(Outcome{Status: uint16(r.status), Withheld: true}) {
			return
		}
	}
	r.mode = passing
	r.send()
}

// send gives the client the headers, and what was held back.
func (r *response) send() {
	put(r.client.Header(), r.sent)
	r.client.WriteHeader(r.status)
	if len(r.body) != 0 {
		// A client that has left gets the rest when he asks again.
		_, _ = r.client.Write(r.body)
		r.body = nil
	}
}

// put makes one set of headers the same as another.
func put(to, from http.Header) {
	clear(to)
	maps.Copy(to, from)
}

// complete finishes the record. False: another attempt took over, and the client is told so. Two
// clients must not hold two results of one request.
func (r *response) complete(outcome Outcome) bool {
	_, err := r.lease.Complete(outcome)
	return r.end(err)
}

// fail ends the attempt without a result.
func (r *response) fail(judgement Judgement) bool {
	return r.end(r.lease.Fail(judgement.failure()))
}

func (r *response) end(err error) bool {
	r.ended = true
	if err != nil && r.mode == holding {
		r.mode = dropping
		r.middleware.refusalOf(err).write(r.client, r.middleware)
		return false
	}
	return true
}

// finish ends the attempt, and sends what was held back. The handler has returned.
func (r *response) finish(ctx context.Context) {
	policy := &r.middleware.Policy
	switch {
	case r.mode == dropping:
		return
	case r.mode == passing:
		if !r.ended {
			r.fail(policy.Judge(uint16(r.status)))
		}
		return
	case r.status == 0 && ctx.Err() != nil:
		// The handler saw that its client has left.
		if r.fail(policy.judgeError(ctx)) {
			aborted().write(r.client, r.middleware)
		}
		return
	case r.status == 0:
		r.WriteHeader(http.StatusOK)
	}
	if r.isShort() {
		if r.fail(policy.judgeError(context.Background())) {
			aborted().write(r.client, r.middleware)
		}
		return
	}
	r.sniff()
	if r.conclude(policy.Judge(uint16(r.status))) {
		r.send()
		// Trailers are what was set since; net/http sends those that are declared.
		for name, values := range r.header {
			if _, sent := r.sent[name]; !sent {
				r.client.Header()[name] = values
			}
		}
	}
}

// conclude ends the attempt by a response that is here as a whole.
func (r *response) conclude(judgement Judgement) bool {
	if judgement != JudgedFinal {
		return r.fail(judgement)
	}
	outcome, whole := r.middleware.keep(r.status, r.sent, r.body)
	// They may hold the result itself.
	if !whole || hasTrailers(r.sent) || hasTrailers(r.header) {
		outcome = Outcome{Status: uint16(r.status), Withheld: true}
	}
	return r.complete(outcome)
}

// isShort tells a response that ends before it said that it would.
func (r *response) isShort() bool {
	length, err := strconv.Atoi(r.sent.Get("Content-Length"))
	return err == nil && bodyAllowed(r.status) && len(r.body) < length
}

// broke ends an attempt whose handler did not return.
func (r *response) broke(judgement Judgement) {
	if r.ended {
		return
	}
	if r.mode == passing && r.middleware.Policy.Judge(uint16(r.status)) == JudgedInDoubt {
		// An effect that is unknown does not become known by that.
		judgement = JudgedInDoubt
	}
	r.ended = true
	// Nobody is told, whether or not another attempt took over meanwhile.
	_ = r.lease.Fail(judgement.failure())
}
