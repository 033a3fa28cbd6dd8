package oncegate

/*
#include "crossing.h"
*/
import "C"

import (
	"encoding/binary"
	"log/slog"
	"strconv"
)

// Pair is a name and a value beside an outcome, such as a header of a response.
type Pair struct {
	// Name has 1 to 255 bytes of UTF-8.
	Name string
	// Value has at most 8,192 bytes of UTF-8.
	Value string
}

// Outcome is what an attempt leaves for its duplicates.
type Outcome struct {
	// Status is a number of the caller's, such as an HTTP status.
	Status uint16
	// Body are the bytes; together with Metadata at most Options.OutcomeLimit.
	Body []byte
	// Metadata are names and values beside them, at most 16 KiB in all.
	Metadata []Pair
	// Withheld finishes the record without keeping a byte: duplicates are told OutcomeGone, and
	// nothing runs again. Body and Metadata have to be empty.
	Withheld bool
}

// String tells the status, and how much there is beside it: results are in no log.
func (o Outcome) String() string {
	return "Outcome(" + strconv.Itoa(int(o.Status)) + ", " + strconv.Itoa(len(o.Body)) + " bytes, " +
		strconv.Itoa(len(o.Metadata)) + " pairs)"
}

// GoString is String.
func (o Outcome) GoString() string {
	return o.String()
}

// LogValue is String.
func (o Outcome) LogValue() slog.Value {
	return slog.StringValue(o.String())
}

// pairHead is two lengths of 16 bits, little-endian, as the library packs metadata.
const pairHead = 4

// packMetadata lays names and values out flat. What is too long for its length is refused here;
// the library checks the rest.
func packMetadata(pairs []Pair) ([]byte, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	size := 0
	for _, pair := range pairs {
		size += pairHead + len(pair.Name) + len(pair.Value)
	}
	packed := make([]byte, 0, size)
	for _, pair := range pairs {
		if len(pair.Name) > 0xffff || len(pair.Value) > 0xffff {
			found := "found " + strconv.Itoa(max(len(pair.Name), len(pair.Value))) + " bytes"
			return nil, refusal(ErrInvalidOutcome, "metadata", found+"; limit: 8192 bytes a value")
		}
		packed = binary.LittleEndian.AppendUint16(packed, uint16(len(pair.Name)))
		packed = binary.LittleEndian.AppendUint16(packed, uint16(len(pair.Value)))
		packed = append(packed, pair.Name...)
		packed = append(packed, pair.Value...)
	}
	return packed, nil
}

// result is the outcome's numbers for C, and its packed metadata.
func (o *Outcome) result() (C.og_result, []byte, error) {
	metadata, err := packMetadata(o.Metadata)
	return C.og_result{
		status:         C.uint32_t(o.Status),
		withheld:       flag(o.Withheld),
		body_len:       C.size_t(len(o.Body)),
		metadata_count: C.size_t(len(o.Metadata)),
	}, metadata, err
}

// unpackMetadata reads what the library packed.
func unpackMetadata(packed []byte, count int) []Pair {
	pairs := make([]Pair, 0, count)
	for len(packed) >= pairHead {
		name := int(binary.LittleEndian.Uint16(packed))
		value := int(binary.LittleEndian.Uint16(packed[2:]))
		packed = packed[pairHead:]
		if len(packed) < name+value {
			break
		}
		pairs = append(pairs, Pair{string(packed[:name]), string(packed[name : name+value])})
		packed = packed[name+value:]
	}
	return pairs
}

// put reads a stored outcome out of the buffer that it was written into, and keeps its memory.
func (o *Outcome) put(buffer []byte, stored *C.oncegate_stored_outcome) {
	o.Status = uint16(stored.status)
	body := int(stored.body_offset)
	end := body + int(stored.body_len)
	o.Body = buffer[body:end:end]
	o.Metadata = metadataOf(buffer, stored)
}

func metadataOf(buffer []byte, stored *C.oncegate_stored_outcome) []Pair {
	if stored.metadata_count == 0 {
		return nil
	}
	packed := buffer[stored.metadata_offset:][:stored.metadata_len]
	return unpackMetadata(packed, int(stored.metadata_count))
}
