package oncegate

import (
	"net/http"
	"strings"
)

// malformed says why a header holds no key; it never tells what it held.
type malformed string

// readKey reads the key of a request.
//
// The draft asks for a String of RFC 8941, in double quotes; most clients send the bare value. Both
// are accepted, and name the same key. A bare value is visible ASCII without quotes and commas,
// since a proxy joins two headers by a comma.
func readKey(header http.Header, name string) (key string, found bool, why malformed) {
	values := header.Values(name)
	if len(values) == 0 {
		return "", false, ""
	}
	if len(values) > 1 {
		return "", false, "more than one idempotency key"
	}
	value := strings.Trim(values[0], " \t")
	if value == "" {
		return "", false, "an empty idempotency key"
	}
	if value[0] == '"' {
		key, why = unquote(value[1:])
		return key, why == "", why
	}
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c > '~' || c == '"' || c == ',' {
			return "", false, "an unquoted key takes visible ASCII without quotes, commas"
		}
	}
	return value, true, ""
}

// unquote gives the value of a String whose opening quote is gone. Parameters after it are
// ignored, as RFC 8941 asks for where none are defined.
func unquote(quoted string) (string, malformed) {
	var key strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch c := quoted[i]; {
		case c == '"':
			if rest := quoted[i+1:]; rest != "" && rest[0] != ';' {
				return "", "characters after the quoted key"
			}
			return key.String(), ""
		case c == '\\':
			i++
			if i == len(quoted) || quoted[i] != '"' && quoted[i] != '\\' {
				return "", "an escape that RFC 8941 does not know"
			}
			key.WriteByte(quoted[i])
		case c < ' ' || c > '~':
			return "", "a character that a quoted key may not hold"
		default:
			key.WriteByte(c)
		}
	}
	return "", "a quoted key without its closing quote"
}
