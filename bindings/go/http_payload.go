package oncegate

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

// payloadOf makes a payload of a body, by what its headers announce. What is encoded, unknown, or
// announced twice is compared byte by byte. An empty body is no payload, whatever its type: clients
// set a type for all requests.
func payloadOf(header http.Header, body []byte) Payload {
	if len(body) == 0 {
		return Payload{}
	}
	types := header.Values("Content-Type")
	if len(types) != 1 || len(header.Values("Content-Encoding")) != 0 || !visible(types[0]) {
		return Raw(body)
	}
	essence, parameters, _ := strings.Cut(types[0], ";")
	essence = strings.ToLower(strings.TrimSpace(essence))
	switch essence {
	case "application/json", "text/json":
		return JSON(body)
	case "application/x-www-form-urlencoded":
		return Form(body)
	case "multipart/form-data":
		if boundary := boundaryIn(parameters); boundary != "" {
			return Multipart(body, boundary)
		}
	}
	if strings.HasSuffix(essence, "+json") {
		return JSON(body)
	}
	return Raw(body)
}

func visible(text string) bool {
	for i := range len(text) {
		if c := text[i]; c != '\t' && (c < ' ' || c > '~') {
			return false
		}
	}
	return true
}

// boundaryIn finds the parameter boundary. Its characters need no escapes (RFC 2046, section
// 5.1.1).
func boundaryIn(parameters string) string {
	for {
		name, after, found := strings.Cut(parameters, "=")
		if !found {
			return ""
		}
		name = strings.TrimRight(strings.TrimLeft(name, "; \t"), " \t")
		var value string
		if quoted, isQuoted := strings.CutPrefix(after, `"`); isQuoted {
			if value, parameters, found = strings.Cut(quoted, `"`); !found {
				return ""
			}
		} else {
			value, parameters, _ = strings.Cut(after, ";")
		}
		if strings.EqualFold(name, "boundary") {
			return strings.TrimRight(value, " \t")
		}
	}
}

// readBody reads the body of a request, or tells which problem there is with it.
func (m *middleware) readBody(r *http.Request) ([]byte, *problem) {
	tooLarge := func() *problem {
		return newProblem(http.StatusRequestEntityTooLarge, "payload-too-large",
			"a request with a key has "+itoa(m.PayloadLimit)+" bytes at most")
	}
	if r.ContentLength > int64(m.PayloadLimit) {
		return nil, tooLarge()
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(m.PayloadLimit)+1))
	var beyond *http.MaxBytesError
	if len(body) > m.PayloadLimit || errors.As(err, &beyond) {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "payload-incomplete",
			"the body of the request broke off; nothing was run")
	}
	return body, nil
}
