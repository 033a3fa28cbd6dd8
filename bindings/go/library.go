package oncegate

/*
#cgo CFLAGS: -std=c99 -O2
#cgo !oncegate_system CFLAGS: -I${SRCDIR}/dist/include
#cgo !oncegate_system,linux,amd64 LDFLAGS: ${SRCDIR}/dist/linux_amd64/liboncegate.a
#cgo !oncegate_system,linux,arm64 LDFLAGS: ${SRCDIR}/dist/linux_arm64/liboncegate.a
#cgo !oncegate_system,linux LDFLAGS: -lgcc_s -lutil -lrt -lpthread -lm -ldl

// The library that is installed.
#cgo oncegate_system CFLAGS: -DONCEGATE_SYSTEM
#cgo oncegate_system pkg-config: oncegate
#include "crossing.h"

// Go links anew only where what it has compiled differs, and does not look into archives.
static inline const char *og_library(void) {
    return ONCEGATE_LIBRARY;
}

static inline oncegate_status og_check_abi(oncegate_error *error) {
    return oncegate_check_abi(ONCEGATE_ABI_VERSION, og_error(error));
}

#cgo nocallback og_trivial
static inline uint64_t og_trivial(uint64_t number) {
    return number + 1;
}
*/
import "C"

import "sync"

// Version is the version of the library that is linked in.
func Version() string {
	return C.GoString(C.oncegate_version())
}

// checkLibrary returns [ErrUnsupported] where the library is older than its header.
var checkLibrary = sync.OnceValue(func() error {
	var why C.oncegate_error
	return failure(C.og_check_abi(&why), &why)
})

// library names the very build of the library that this package was made for.
func library() string {
	return C.GoString(C.og_library())
}

// trivial is a foreign call that does nothing: what every crossing costs at least.
func trivial(number uint64) uint64 {
	return uint64(C.og_trivial(C.uint64_t(number)))
}
