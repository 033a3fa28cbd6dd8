package oncegate_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/oncegate/oncegate/bindings/go"
)

// fields are those of a JSON object that have not been read yet: each is taken out as it is read,
// and what is left at the end is a mistake.
type fields map[string]any

func asFields(name string, value any) fields {
	switch value := value.(type) {
	case fields:
		return value
	case map[string]any:
		return value
	}
	fail("%s: an object is expected, and not %v", name, value)
	return nil
}

func (f fields) take(name string) (any, bool) {
	value, there := f[name]
	delete(f, name)
	return value, there
}

func (f fields) has(name string) bool {
	_, there := f[name]
	return there
}

// object is empty where there is none.
func (f fields) object(name string) fields {
	value, there := f.take(name)
	if !there {
		return fields{}
	}
	return asFields(name, value)
}

func (f fields) list(name string) []any {
	value, there := f.take(name)
	if !there {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		fail("%s: a list is expected, and not %v", name, value)
	}
	return list
}

func (f fields) texts(name string) (texts []string) {
	for _, value := range f.list(name) {
		text, ok := value.(string)
		if !ok {
			fail("%s: texts are expected, and not %v", name, value)
		}
		texts = append(texts, text)
	}
	return texts
}

// text is empty where there is none.
func (f fields) text(name string) string {
	return f.textOr(name, "")
}

func (f fields) textOr(name, fallback string) string {
	value, there := f.take(name)
	if !there {
		return fallback
	}
	text, ok := value.(string)
	if !ok {
		fail("%s: text is expected, and not %v", name, value)
	}
	return text
}

// number is zero where there is none.
func (f fields) number(name string) uint64 {
	value, there := f.take(name)
	if !there {
		return 0
	}
	return asNumber(name, value)
}

func asNumber(name string, value any) uint64 {
	text, _ := value.(json.Number)
	number, err := strconv.ParseUint(text.String(), 10, 64)
	if err != nil {
		fail("%s: a whole number is expected, and not %v", name, value)
	}
	return number
}

func (f fields) size(name string) int {
	return int(f.number(name))
}

func (f fields) ms(name string) time.Duration {
	return time.Duration(f.number(name)) * time.Millisecond
}

// orZero is a number that is the default where there is none, and zero itself where that is given.
func orZero[T time.Duration | int | float64](there bool, number T) T {
	if there && number == 0 {
		return oncegate.Zero
	}
	return number
}

func (f fields) msOrZero(name string) time.Duration {
	return orZero(f.has(name), f.ms(name))
}

func (f fields) sizeOrZero(name string) int {
	return orZero(f.has(name), f.size(name))
}

func (f fields) realOrZero(name string) float64 {
	value, there := f.take(name)
	if !there {
		return 0
	}
	text, _ := value.(json.Number)
	number, err := strconv.ParseFloat(text.String(), 64)
	if err != nil {
		fail("%s: a number is expected, and not %v", name, value)
	}
	return orZero(true, number)
}

func (f fields) flag(name string) bool {
	value, there := f.take(name)
	flag, ok := value.(bool)
	if there && !ok {
		fail("%s: true or false is expected, and not %v", name, value)
	}
	return flag
}

// bytes is the text of this name, or the hexadecimal digits of the one with _hex behind it.
func (f fields) bytes(name string) (text string, there bool) {
	if f.has(name) {
		return f.text(name), true
	}
	name += "_hex"
	there = f.has(name)
	raw, err := hex.DecodeString(f.text(name))
	if err != nil {
		fail("%s: %v", name, err)
	}
	return string(raw), there
}

func (f fields) finish(what string) {
	for name := range f {
		fail("%s: nothing is known of `%s` here", what, name)
	}
}

// same compares what was found with what is expected under this name, if anything is.
func (f fields) same(name string, found any) {
	expected, there := f.take(name)
	if !there {
		return
	}
	if fmt.Sprint(expected) != fmt.Sprint(found) || !sameKind(expected, found) {
		fail("%s: expected %v, found %v", name, expected, found)
	}
}

// sameKind tells the text "1" from the number.
func sameKind(expected, found any) bool {
	switch found.(type) {
	case string:
		_, ok := expected.(string)
		return ok
	case bool:
		_, ok := expected.(bool)
		return ok
	}
	_, ok := expected.(json.Number)
	return ok
}

// choose finds the choice of a name.
func choose[T any](name, given string, choices map[string]T) T {
	value, there := choices[given]
	if !there {
		fail("%s: there is no %s", name, given)
	}
	return value
}

// millis are whole milliseconds, rounded up.
func millis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
