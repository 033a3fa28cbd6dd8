package oncegate

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// problem is why the middleware answers in the handler's place (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Code is stable, for programs.
	Code string `json:"code"`
	// Detail is for people; never a value that the client sent.
	Detail string `json:"detail"`

	retryAfter time.Duration
}

func newProblem(status int, code, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func (p *problem) after(delay time.Duration) *problem {
	p.retryAfter = delay
	return p
}

// aborted: the attempt ended without a response.
func aborted() *problem {
	return newProblem(http.StatusInternalServerError, "aborted",
		"the attempt ended without a response; ask again with the same key")
}

// misconfigured: the service gave a scope, an operation or a setting that no record can have.
func misconfigured() *problem {
	return newProblem(http.StatusInternalServerError, "misconfigured",
		"the service's own settings were refused, so nothing was run")
}

func (p *problem) write(w http.ResponseWriter, m *middleware) {
	p.Type = "about:blank"
	if m.ProblemTypes != "" {
		p.Type = m.ProblemTypes + p.Code
	}
	// Strings and a number.
	body, _ := json.Marshal(p)
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	// It holds for this moment only.
	header.Set("Cache-Control", "no-store")
	header.Del("Content-Length")
	if p.retryAfter != 0 {
		header.Set("Retry-After", wholeSeconds(p.retryAfter))
	}
	w.WriteHeader(p.Status)
	// A client that has left hears of it when he asks again.
	_, _ = w.Write(body)
}

// wholeSeconds is rounded up, and never zero: a client must not come back at once.
func wholeSeconds(delay time.Duration) string {
	return strconv.FormatInt(max(int64((delay+time.Second-1)/time.Second), 1), 10)
}

func itoa(number int) string {
	return strconv.Itoa(number)
}

// refusalOf is what a client hears of an error of the engine.
func (m *middleware) refusalOf(err error) *problem {
	var told *Error
	if !errors.As(err, &told) {
		// The client left while it waited.
		return aborted()
	}
	later := told.RetryAfter
	if later == 0 {
		later = m.PollAfter
	}
	switch told.Status {
	case ErrInvalidKey:
		return newProblem(http.StatusBadRequest, "invalid-key", told.Message)
	case ErrInvalidPayload:
		return newProblem(http.StatusBadRequest, "invalid-payload", told.Message)
	case ErrInvalidOperation:
		return newProblem(http.StatusRequestURITooLong, "operation-too-long", told.Message)
	case ErrQuotaExceeded:
		return newProblem(http.StatusTooManyRequests, "quota-exceeded", told.Message).after(later)
	case ErrFenced:
		return newProblem(http.StatusConflict, "fenced", "the attempt outlived its lease and "+
			"another one took over; ask again with the same key for its result").after(later)
	case ErrFull, ErrTooManyWaiters, ErrRotationPending:
		return newProblem(http.StatusServiceUnavailable, "full",
			"no room for a new record; ask again later with the same key").after(later)
	case ErrBudgetExhausted:
		return newProblem(http.StatusServiceUnavailable, "retry-budget-exhausted",
			"too many requests are being retried; ask again later with the same key").after(later)
	case ErrTierUnavailable:
		return newProblem(http.StatusServiceUnavailable, "tier-unavailable", "requests cannot be "+
			"deduplicated at the moment; ask again later with the same key").after(later)
	case ErrInvalidScope, ErrInvalidConfig, ErrInvalidOption, ErrInvalidOutcome, ErrInvalidToken,
		ErrNotFound, ErrBadSize, ErrBadValue, ErrNotUTF8:
		return misconfigured()
	}
	return newProblem(http.StatusServiceUnavailable, "unavailable",
		"requests cannot be deduplicated here, so none is run")
}

// duplicate answers a request that runs nothing.
func (m *middleware) duplicate(w http.ResponseWriter, admission *Admission) {
	conflict := func(code, detail string) *problem {
		return newProblem(http.StatusConflict, code, detail)
	}
	switch admission.Verdict {
	case Replayed:
		m.replay(w, &admission.Outcome)
	case InProgress:
		conflict("in-progress", "a request with this key is still running").
			after(max(min(admission.After, m.PollAfter), 1)).write(w, m)
	case Scheduled:
		conflict("scheduled", "a request with this key waits for its next attempt").
			after(max(admission.After, 1)).write(w, m)
	case Mismatched:
		newProblem(http.StatusUnprocessableEntity, "mismatched",
			"this key was used with another payload").write(w, m)
	case Unresolved:
		conflict("unresolved", "nobody knows whether the request with this key took effect; it "+
			"does not run again until that is resolved").write(w, m)
	default:
		conflict("outcome-gone", "the request with this key has finished, but its response was "+
			"not kept").write(w, m)
	}
}
