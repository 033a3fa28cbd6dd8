package oncegate

import (
	"net/http"
	"testing"
)

// Goal: both spellings of a key name the same key.
// Method: bare, quoted, escaped, with parameters and surrounding space.
func TestBareAndQuotedKeysAgree(t *testing.T) {
	for spelling, want := range map[string]string{
		"8e03-978e":            "8e03-978e",
		`"8e03-978e"`:          "8e03-978e",
		"  8e03-978e ":         "8e03-978e",
		`"8e03-978e";v=1`:      "8e03-978e",
		`"a \"b\" \\ c"`:       `a "b" \ c`,
		`""`:                   "",
		`it's-a(key)!`:         `it's-a(key)!`,
		`"with, comma and ; "`: "with, comma and ; ",
	} {
		key, found, why := readKey(http.Header{"K": {spelling}}, "K")
		if key != want || !found || why != "" {
			t.Errorf("%q: %q, %v, %q", spelling, key, found, why)
		}
	}
	if _, found, why := readKey(http.Header{}, "K"); found || why != "" {
		t.Error("a key where there is none")
	}
}

// Goal: a key that can be read in two ways is refused.
// Method: joined headers, repeated headers, broken quoting, characters outside of ASCII.
func TestAmbiguousKeysAreRefused(t *testing.T) {
	for _, values := range [][]string{
		{""}, {"a", "a"}, {"a, b"}, {`"a", "b"`}, {`"a`}, {`"a\x"`}, {`"a\`}, {`"a"b`}, {"a b"},
		{"k\xe9y"}, {"\"k\xe9y\""}, {"\"a\tb\""},
	} {
		if _, found, why := readKey(http.Header{"K": values}, "K"); found || why == "" {
			t.Errorf("%q is a key", values)
		}
	}
}

// Goal: bodies are compared as their handlers read them, and what cannot be parsed byte by byte.
// Method: content types with parameters, in any case, and boundaries in every spelling; an encoded
// body, and a type that is given twice.
func TestContentTypesChooseTheComparison(t *testing.T) {
	body := []byte("x")
	kind := func(payload Payload) [2]any { return [2]any{payload.kind, payload.boundary} }
	for contentType, want := range map[string]Payload{
		"application/json":                  JSON(body),
		"text/json":                         JSON(body),
		"Application/JSON; charset=utf-8":   JSON(body),
		"application/merge-patch+json":      JSON(body),
		"application/x-ndjson":              Raw(body),
		"application/x-www-form-urlencoded": Form(body),
		"text/plain":                        Raw(body),
		"multipart/form-data; boundary=abc": Multipart(body, "abc"),
		"multipart/form-data; charset=\"a;boundary=no\"; Boundary=\"x y\"": Multipart(body, "x y"),
		"multipart/form-data; boundary=abc ; charset=utf-8":                Multipart(body, "abc"),
		"multipart/form-data":                  Raw(body),
		"multipart/form-data; boundary=":       Raw(body),
		"multipart/form-data; boundary=\"open": Raw(body),
		"multipart/mixed; boundary=abc":        Raw(body),
		"application/json\xff":                 Raw(body),
	} {
		if got := payloadOf(http.Header{"Content-Type": {contentType}}, body); kind(got) != kind(want) {
			t.Errorf("%q: %v, want %v", contentType, kind(got), kind(want))
		}
	}
	for _, header := range []http.Header{
		{}, {"Content-Type": {"application/json", "application/json"}},
		{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}},
	} {
		if got := payloadOf(header, body); kind(got) != kind(Raw(body)) {
			t.Errorf("%v: %v", header, kind(got))
		}
	}
	if got := payloadOf(http.Header{"Content-Type": {"application/json"}}, nil); kind(got) != kind(Payload{}) {
		t.Errorf("an empty body is %v", kind(got))
	}
}
