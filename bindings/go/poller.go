package oncegate

import (
	"os"
	"syscall"
)

// poller waits for a descriptor of the library's in Go's own poller: it holds no thread.
type poller struct {
	file *os.File
	raw  syscall.RawConn
}

// newPoller makes a poller of a copy of fd: the library closes its own, and so does Go.
func newPoller(fd int) (*poller, error) {
	syscall.ForkLock.RLock()
	own, err := syscall.Dup(fd)
	if err == nil {
		syscall.CloseOnExec(own)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, refusal(ErrOS, "descriptor", err.Error())
	}
	// It does not block, which tells os that it can be polled.
	if err := syscall.SetNonblock(own, true); err != nil {
		_ = syscall.Close(own)
		return nil, refusal(ErrOS, "descriptor", err.Error())
	}
	file := os.NewFile(uintptr(own), "oncegate")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil, refusal(ErrOS, "descriptor", err.Error())
	}
	return &poller{file: file, raw: raw}, nil
}

// run calls look once, and again whenever the descriptor has become readable, until look says
// that all is over or the poller is closed. Go's poller tells of edges: look takes all that there
// is.
func (p *poller) run(look func() bool) {
	// An error says that the poller is closed.
	_ = p.raw.Read(func(uintptr) bool { return !look() })
}

// close ends run.
func (p *poller) close() {
	_ = p.file.Close()
}
