package oncegate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// child is what a process of a test does, in place of the tests. Each line that it is told is
// answered with one.
func child(role string) int {
	if role != "host" {
		return 1
	}
	engine, err := Open(Options{
		Capacity: 1_000, Secret: fleetSecret,
		Tier: &TierOptions{URL: os.Getenv("ONCEGATE_TEST_URL")},
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	told := bufio.NewScanner(os.Stdin)
	for told.Scan() {
		switch told.Text() {
		case "ask":
			admission, err := engine.Begin(context.Background(), charge("k"))
			fmt.Println(admission.Verdict, err)
		case "do":
			result, err := engine.Do(context.Background(), charge("k"),
				func(_ context.Context, lease *Lease) (Outcome, error) {
					fmt.Println("attempt", lease.Attempt())
					if !told.Scan() {
						return Outcome{}, io.EOF
					}
					return Outcome{Body: []byte("charged")}, effect(lease)
				}, BeginWith(LeaseFor(processLease)))
			fmt.Println(result.Executed, string(result.Outcome.Body), err)
		}
	}
	if engine.Close() != nil {
		return 1
	}
	return 0
}

// processLease is short: a test waits until one is over that nobody renews.
const processLease = 1500 * time.Millisecond

// effect adds a line to what all processes of a test share.
func effect(lease *Lease) error {
	ledger, err := os.OpenFile(
		os.Getenv("ONCEGATE_TEST_LEDGER"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(ledger, "charged by attempt", lease.Attempt()); err != nil {
		return err
	}
	return ledger.Close()
}

// hostProcess is a host of its own: it shares nothing with the others but the server.
type hostProcess struct {
	t       testing.TB
	process *exec.Cmd
	in      io.WriteCloser
	lines   chan string
}

func startHost(t testing.TB, url, ledger string) *hostProcess {
	t.Helper()
	itself, err := os.Executable()
	must(t, err)
	h := &hostProcess{t: t, process: exec.Command(itself), lines: make(chan string, 16)}
	h.process.Env = append(os.Environ(), "ONCEGATE_TEST_ROLE=host", "ONCEGATE_TEST_URL="+url,
		"ONCEGATE_TEST_LEDGER="+ledger)
	h.process.Stderr = os.Stderr
	h.in, err = h.process.StdinPipe()
	must(t, err)
	out, err := h.process.StdoutPipe()
	must(t, err)
	must(t, h.process.Start())
	t.Cleanup(h.kill)
	go func() {
		for said := bufio.NewScanner(out); said.Scan(); {
			h.lines <- said.Text()
		}
		close(h.lines)
	}()
	return h
}

func (h *hostProcess) tell(line string) {
	h.t.Helper()
	_, err := io.WriteString(h.in, line+"\n")
	must(h.t, err)
}

func (h *hostProcess) says(want string) {
	h.t.Helper()
	if said := receive(h.t, h.lines); said != want {
		h.t.Fatalf("said %q, want %q", said, want)
	}
}

// kill ends it at once, as a host ends that loses its power.
func (h *hostProcess) kill() {
	if h.process.ProcessState == nil {
		_ = h.process.Process.Kill()
		_ = h.process.Wait()
	}
}

// ledgerIs checks what all processes did.
func ledgerIs(t testing.TB, ledger string, want string) {
	t.Helper()
	did, err := os.ReadFile(ledger)
	must(t, err)
	if got := strings.TrimSpace(string(did)); got != want {
		t.Errorf("they did %q, want %q", got, want)
	}
}

// Goal: what a process of one host runs, that of another host does not run again; it waits, and has
// the outcome.
// Method: two processes, a server, and a file that both add to; one asks while the other runs.
func TestTwoProcessesRunARequestOnce(t *testing.T) {
	server := startRedis(t)
	ledger := filepath.Join(t.TempDir(), "ledger")
	one, other := startHost(t, server.url(), ledger), startHost(t, server.url(), ledger)
	one.tell("do")
	one.says("attempt 1")
	other.tell("ask")
	other.says("InProgress <nil>")
	other.tell("do")
	one.tell("go on")
	one.says("true charged <nil>")
	other.says("false charged <nil>")
	one.tell("ask")
	one.says("Replayed <nil>")
	ledgerIs(t, ledger, "charged by attempt 1")
}

// Goal: what a host was about to do when it died, another one does after the lease has ended, and
// not before; it is done once.
// Method: a process that is killed while it runs; another one that waits from then on, and one that
// asks afterwards. The time is only looked at for being too short: all have the same clock.
func TestAKilledProcessIsFollowed(t *testing.T) {
	server := startRedis(t)
	ledger := filepath.Join(t.TempDir(), "ledger")
	one, other := startHost(t, server.url(), ledger), startHost(t, server.url(), ledger)
	begun := time.Now()
	one.tell("do")
	one.says("attempt 1")
	one.kill()
	other.tell("do")
	other.says("attempt 2")
	if waited := time.Since(begun); waited < processLease {
		t.Errorf("followed after %v", waited)
	}
	other.tell("go on")
	other.says("true charged <nil>")
	third := startHost(t, server.url(), ledger)
	third.tell("do")
	third.says("false charged <nil>")
	ledgerIs(t, ledger, "charged by attempt 2")
}
