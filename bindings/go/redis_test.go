package oncegate

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// redis is a real server of a test's own, on a free port of the loopback interface. It ends with
// the test.
type redis struct {
	t       testing.TB
	folder  string
	options []string
	port    int
	process *exec.Cmd
}

// startRedis starts a server that loses nothing when it is killed. The test is skipped where there
// is none, unless ONCEGATE_REQUIRE_ALL=1.
func startRedis(t testing.TB, options ...string) *redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("ONCEGATE_REQUIRE_ALL") == "1" {
			t.Fatal("redis-server is not installed, and ONCEGATE_REQUIRE_ALL=1 allows no such skip")
		}
		t.Skip("redis-server is not installed")
	}
	r := &redis{t: t, folder: t.TempDir(), options: options}
	t.Cleanup(r.kill)
	for range 10 {
		// Somebody else may take the port before the server does.
		free, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		r.port = free.Addr().(*net.TCPAddr).Port
		must(t, free.Close())
		if r.run() {
			return r
		}
	}
	t.Fatal("no server starts")
	return nil
}

func (r *redis) url() string {
	return "redis://" + r.address()
}

func (r *redis) address() string {
	return "127.0.0.1:" + strconv.Itoa(r.port)
}

// run starts it, and waits until it answers. False: it has ended.
func (r *redis) run() bool {
	r.t.Helper()
	r.process = exec.Command("redis-server", append([]string{
		"--bind", "127.0.0.1", "--port", strconv.Itoa(r.port), "--dir", r.folder,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always",
	}, r.options...)...)
	must(r.t, r.process.Start())
	ended := make(chan struct{})
	go func(process *exec.Cmd) {
		_ = process.Wait()
		close(ended)
	}(r.process)
	// A process of its own: that it listens is seen from outside only.
	for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			return false
		default:
		}
		if answer := r.ask("PING"); strings.HasPrefix(answer, "+PONG") ||
			strings.HasPrefix(answer, "-NOAUTH") {
			return true
		}
	}
	r.t.Fatal("the server does not answer")
	return false
}

// ask sends a command, and gives the first line of the answer; nothing where there is none.
func (r *redis) ask(command string) string {
	connection, err := net.Dial("tcp", r.address())
	if err != nil {
		return ""
	}
	defer connection.Close()
	if _, err := connection.Write([]byte(command + "\r\n")); err != nil {
		return ""
	}
	line, _ := bufio.NewReader(connection).ReadString('\n')
	return strings.TrimSpace(line)
}

// kill ends it at once, if it runs.
func (r *redis) kill() {
	if r.process != nil && r.process.Process != nil {
		_ = r.process.Process.Kill()
		// Nobody listens any more when its port refuses.
		for deadline := time.Now().Add(soon); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			connection, err := net.Dial("tcp", r.address())
			if err != nil {
				break
			}
			_ = connection.Close()
		}
		r.process = nil
	}
}

// restart starts it again, with what it had.
func (r *redis) restart() {
	r.t.Helper()
	if !r.run() {
		r.t.Fatal("the server does not start again")
	}
}

// pause has it stand still, and gives what has it go on.
func (r *redis) pause() (resume func()) {
	r.t.Helper()
	must(r.t, r.process.Process.Signal(syscall.SIGSTOP))
	return func() { must(r.t, r.process.Process.Signal(syscall.SIGCONT)) }
}
