package oncegate

/*
#include "crossing.h"
*/
import "C"

import (
	"reflect"
	"unsafe"
)

// structures are those of C that Go fills in or reads.
var structures = []reflect.Type{
	reflect.TypeFor[C.oncegate_adaptive](),
	reflect.TypeFor[C.oncegate_admission](),
	reflect.TypeFor[C.oncegate_attempt](),
	reflect.TypeFor[C.oncegate_attempt_error](),
	reflect.TypeFor[C.oncegate_begin_options](),
	reflect.TypeFor[C.oncegate_budget](),
	reflect.TypeFor[C.oncegate_completion](),
	reflect.TypeFor[C.oncegate_driven](),
	reflect.TypeFor[C.oncegate_error](),
	reflect.TypeFor[C.oncegate_event](),
	reflect.TypeFor[C.oncegate_later](),
	reflect.TypeFor[C.oncegate_latency](),
	reflect.TypeFor[C.oncegate_lease](),
	reflect.TypeFor[C.oncegate_lease_info](),
	reflect.TypeFor[C.oncegate_letter](),
	reflect.TypeFor[C.oncegate_letter_filter](),
	reflect.TypeFor[C.oncegate_letter_id](),
	reflect.TypeFor[C.oncegate_options](),
	reflect.TypeFor[C.oncegate_past_attempt](),
	reflect.TypeFor[C.oncegate_question](),
	reflect.TypeFor[C.oncegate_quota](),
	reflect.TypeFor[C.oncegate_retry_policy](),
	reflect.TypeFor[C.oncegate_stats](),
	reflect.TypeFor[C.oncegate_step](),
	reflect.TypeFor[C.oncegate_stored_outcome](),
	reflect.TypeFor[C.oncegate_swept](),
	reflect.TypeFor[C.oncegate_tier_options](),
	reflect.TypeFor[C.oncegate_tier_stats](),
}

// layout is the place in memory of a structure of C, or of one of its fields.
type layout struct {
	structure, field string
	offset, size     uintptr
}

// layouts are as the library says; a structure has no field, and comes before its fields.
func layouts() ([]layout, error) {
	var count C.size_t
	if status := C.oncegate_layouts(nil, 0, &count, nil); status != C.ONCEGATE_OK {
		return nil, Status(status)
	}
	raw := make([]C.oncegate_layout, count)
	status := C.oncegate_layouts(unsafe.SliceData(raw), count, &count, nil)
	if status != C.ONCEGATE_OK {
		return nil, Status(status)
	}
	told := make([]layout, count)
	for i := range told {
		told[i].structure = C.GoString(raw[i].structure)
		if raw[i].field != nil {
			told[i].field = C.GoString(raw[i].field)
		}
		told[i].offset, told[i].size = uintptr(raw[i].offset), uintptr(raw[i].size)
	}
	return told, nil
}
