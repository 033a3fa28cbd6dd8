package oncegate

/*
#include "crossing.h"
*/
import "C"

import (
	"math"
	"strconv"
	"time"
	"unsafe"
)

// Zero is zero itself, in a field of a [RetryPolicy], a [RetryBudget], an [Adaptive] or
// [TierOptions] where zero means "as by default".
const Zero = -1

// zeroItself stands for zero in a field of C where zero means "as by default".
const zeroItself = C.uint64_t(math.MaxUint64)

// duration makes a duration of the library's milliseconds; what is too long is the longest.
func duration(ms uint64) time.Duration {
	if ms > uint64(math.MaxInt64/time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(ms) * time.Millisecond
}

// numbers turns Go's numbers into C's, and remembers the first that is out of range.
type numbers struct {
	err error
}

func (n *numbers) refuse(field, detail string) {
	n.refuseAs(ErrBadValue, field, detail)
}

func (n *numbers) refuseAs(status Status, field, detail string) {
	if n.err == nil {
		n.err = refusal(status, field, detail)
	}
}

// key refuses a key that was given and is empty: in C that would be none.
func (n *numbers) key(field string, key []byte) {
	if key != nil && len(key) == 0 {
		n.refuseAs(ErrBadSize, field, "found 0 bytes; limit: 32")
	}
}

// ms gives whole milliseconds, rounded up: nobody who waits that long comes too early.
func (n *numbers) ms(field string, d time.Duration) C.uint64_t {
	if d < 0 {
		n.refuse(field, "found a negative duration; limit: at least 0")
		return 0
	}
	return C.uint64_t(millisUp(d))
}

func (n *numbers) count(field string, value int) C.uint64_t {
	if value < 0 {
		n.refuse(field, "found "+strconv.Itoa(value)+"; limit: at least 0")
		return 0
	}
	return C.uint64_t(value)
}

// msOrZero is ms where [Zero] is zero itself.
func (n *numbers) msOrZero(field string, d time.Duration) C.uint64_t {
	if d == Zero {
		return zeroItself
	}
	return n.ms(field, d)
}

// countOrZero is count where [Zero] is zero itself.
func (n *numbers) countOrZero(field string, value int) C.uint64_t {
	if value == Zero {
		return zeroItself
	}
	return n.count(field, value)
}

// small is a count that is a uint32_t in C.
func (n *numbers) small(field string, value int) C.uint32_t {
	if count := n.count(field, value); uint64(count) <= math.MaxUint32 {
		return C.uint32_t(count)
	}
	n.refuse(field, "found "+strconv.Itoa(value)+"; limit: at most 4294967295")
	return 0
}

func millisUp(d time.Duration) uint64 {
	ms := uint64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

func flag(set bool) C.uint32_t {
	if set {
		return 1
	}
	return 0
}

// textData gives the bytes of a string for the length of a call: the library never writes to them.
func textData(text string) *C.uint8_t {
	return (*C.uint8_t)(unsafe.StringData(text))
}

// bytesData gives the first byte of a slice, for reading or writing during a call.
func bytesData(bytes []byte) *C.uint8_t {
	return (*C.uint8_t)(unsafe.SliceData(bytes))
}

// text is the text in an array of C, up to its final zero.
func text(chars []C.char) string {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(chars))), len(chars))
	for i, b := range bytes {
		if b == 0 {
			return string(bytes[:i])
		}
	}
	return string(bytes)
}
