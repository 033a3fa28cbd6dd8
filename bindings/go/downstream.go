package oncegate

/*
#include "crossing.h"

#cgo noescape og_downstream_key
#cgo nocallback og_downstream_key
static inline oncegate_status og_downstream_key(uint64_t engine, const oncegate_lease *lease,
                                                const uint8_t *service, size_t service_len,
                                                const uint8_t *step, size_t step_len, uint8_t *key,
                                                size_t capacity, oncegate_error *error) {
    return oncegate_downstream_key(og_engine(engine), lease, og_bytes(service, service_len),
                                   og_bytes(step, step_len), (char *)key, capacity,
                                   og_error(error));
}

#cgo noescape og_attempt_headers
#cgo nocallback og_attempt_headers
static inline oncegate_status og_attempt_headers(uint64_t engine, const oncegate_lease *lease,
                                                 const uint8_t *service, size_t service_len,
                                                 uint8_t *data, size_t capacity, size_t *needed,
                                                 oncegate_stored_outcome *pairs,
                                                 oncegate_error *error) {
    oncegate_buffer buffer;
    buffer.data = data;
    buffer.capacity = capacity;
    buffer.needed = 0;
    oncegate_status told = oncegate_attempt_headers(og_engine(engine), lease,
                                                    og_bytes(service, service_len), &buffer, pairs,
                                                    og_error(error));
    *needed = buffer.needed;
    return told;
}
*/
import "C"

import "net/http"

// DownstreamKey is an idempotency key for a call of this request to a service: the same in every
// attempt, and another one for every request, service and step. It is 43 letters, digits, dashes
// and underscores, and tells nothing of the caller's own key.
//
// Service and step are UTF-8 of 1 to 255 bytes; an empty step is none, for the one call that a
// request makes to the service. It returns [ErrFenced] where the attempt is no longer the caller's.
func (l *Lease) DownstreamKey(service, step string) (string, error) {
	var key [C.ONCEGATE_DOWNSTREAM_KEY_SIZE]byte
	var why C.oncegate_error
	status := C.og_downstream_key(l.engine.handle, &l.token, textData(service),
		C.size_t(len(service)), textData(step), C.size_t(len(step)), bytesData(key[:]),
		C.size_t(len(key)), &why)
	if status != C.ONCEGATE_OK {
		return "", l.engine.failure(status, &why)
	}
	return string(key[:len(key)-1]), nil
}

// AttemptHeaders are the headers of a call to a service: Idempotency-Key, a String of RFC 8941 with
// the downstream key, Idempotency-Attempt and Fencing-Token.
func (l *Lease) AttemptHeaders(service string) (http.Header, error) {
	var small [stackBuffer]byte
	buffer := small[:]
	for {
		var needed C.size_t
		var pairs C.oncegate_stored_outcome
		var why C.oncegate_error
		status := C.og_attempt_headers(l.engine.handle, &l.token, textData(service),
			C.size_t(len(service)), bytesData(buffer), C.size_t(len(buffer)), &needed, &pairs, &why)
		if Status(status) == bufferTooSmall {
			buffer = make([]byte, needed)
			continue
		}
		if status != C.ONCEGATE_OK {
			return nil, l.engine.failure(status, &why)
		}
		header := http.Header{}
		packed := buffer[pairs.metadata_offset:][:pairs.metadata_len]
		for _, pair := range unpackMetadata(packed, int(pairs.metadata_count)) {
			header.Set(pair.Name, pair.Value)
		}
		return header, nil
	}
}
