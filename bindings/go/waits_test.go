package oncegate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// waiter begins a request in a goroutine of its own, and gives what came of it.
func waiter(
	ctx context.Context, engine *Engine, request Request, options ...BeginOption,
) <-chan answered {
	answers := make(chan answered, 1)
	go func() {
		admission, err := engine.Begin(ctx, request, options...)
		answers <- answered{admission, err}
	}()
	return answers
}

// Goal: who waits gets the outcome of the attempt that ran.
// Method: waiters for small and large outcomes, which share the memory that they are taken into.
func TestWaitersGetTheOutcome(t *testing.T) {
	engine := open(t, Options{OutcomeLimit: 200_000, OutcomeBytes: 4 << 20})
	for _, size := range []int{0, 3, 5_000, 100_000} {
		request := charge(fmt.Sprint(size))
		lease := begin(t, engine, request, Admitted).Lease
		var answers []<-chan answered
		for range 5 {
			answers = append(answers, waiter(context.Background(), engine, request, Wait()))
		}
		waiters(t, engine, 5)
		want := Outcome{Status: 201, Body: bytes.Repeat([]byte("b"), size), Metadata: []Pair{{"n", "v"}}}
		finish(t, lease, want)
		var bodies [][]byte
		for _, answer := range answers {
			got := receive(t, answer)
			must(t, got.err)
			same(t, got.admission.Outcome, want)
			bodies = append(bodies, got.admission.Outcome.Body)
		}
		if size != 0 && &bodies[0][0] == &bodies[1][0] {
			t.Error("two waiters share their memory")
		}
	}
}

// Goal: if the leader fails, exactly one of those who wait gets the next attempt.
// Method: three waiters, of whom each fails in its turn but the last.
func TestOneWaiterTakesOver(t *testing.T) {
	engine := open(t, Options{})
	lease := begin(t, engine, charge("a"), Admitted).Lease
	taken := make(chan answered)
	for range 3 {
		answer := waiter(context.Background(), engine, charge("a"), Wait())
		go func() { taken <- <-answer }()
	}
	for attempt := uint32(2); attempt <= 4; attempt++ {
		waiters(t, engine, uint64(5-attempt))
		must(t, lease.Fail(Retryable(0)))
		next := receive(t, taken)
		must(t, next.err)
		if next.admission.Verdict != Admitted || next.admission.Attempt != attempt {
			t.Fatalf("attempt %d: %+v", attempt, next.admission)
		}
		lease = next.admission.Lease
	}
	finish(t, lease, Outcome{})
}

// Goal: a wait has a limit, by the engine's clock, and then the answer is as without waiting.
// Method: a clock that stands still, moved to the limit and beyond it; the limit of the call and
// that of the engine.
func TestWaitsAreLimited(t *testing.T) {
	options := manual()
	options.Wait = 3 * time.Second
	engine := open(t, options)
	begin(t, engine, charge("a"), Admitted, LeaseFor(time.Minute))
	begin(t, engine, charge("a"), InProgress, DoNotWait())
	begin(t, engine, charge("a"), InProgress, WaitFor(0))
	short := waiter(context.Background(), engine, charge("a"), WaitFor(time.Second))
	long := waiter(context.Background(), engine, charge("a"))
	waiters(t, engine, 2)
	must(t, engine.AdvanceClock(time.Second))
	if got := receive(t, short); got.err != nil || got.admission.Verdict != InProgress {
		t.Fatalf("%+v", got)
	}
	waiters(t, engine, 1)
	must(t, engine.AdvanceClock(2*time.Second))
	if got := receive(t, long); got.err != nil || got.admission.Verdict != InProgress {
		t.Fatalf("%+v", got)
	}
}

// Goal: a waiter is told when the lease lapses, or its next attempt is due.
// Method: a clock that stands still, moved to that time.
func TestWaitersFollowTheClock(t *testing.T) {
	engine := open(t, manual())
	begin(t, engine, charge("a"), Admitted, LeaseFor(time.Minute))
	lapsed := waiter(context.Background(), engine, charge("a"), Wait())
	must(t, begin(t, engine, charge("b"), Admitted).Lease.Fail(Retryable(time.Minute)))
	due := waiter(context.Background(), engine, charge("b"), Wait())
	waiters(t, engine, 2)
	must(t, engine.AdvanceClock(time.Minute))
	for name, answer := range map[string]<-chan answered{"lapsed": lapsed, "due": due} {
		got := receive(t, answer)
		must(t, got.err)
		if got.admission.Verdict != Admitted || got.admission.Attempt != 2 {
			t.Errorf("%s: %+v", name, got.admission)
		}
	}
}

// Goal: a wait ends with its context, with the cause, and leaves the leader alone.
// Method: contexts that are cancelled and that pass their deadline.
func TestWaitsEndWithTheirContext(t *testing.T) {
	engine := open(t, Options{})
	lease := begin(t, engine, charge("a"), Admitted).Lease
	cause := errors.New("no patience")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancelled := waiter(ctx, engine, charge("a"), Wait())
	waiters(t, engine, 1)
	cancel(cause)
	if got := receive(t, cancelled); !errors.Is(got.err, cause) {
		t.Errorf("cancelled: %v", got.err)
	}
	late, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	if got := receive(t, waiter(late, engine, charge("a"), Wait())); !errors.Is(got.err, context.DeadlineExceeded) {
		t.Errorf("late: %v", got.err)
	}
	waiters(t, engine, 0)
	finish(t, lease, Outcome{})
	begin(t, engine, charge("a"), Replayed)
}

// Goal: an attempt that is admitted to somebody who leaves at the same time is not lost.
// Method: many times, a leader fails while its waiter is cancelled; whoever begins afterwards gets
// the attempt at once, or the waiter has it.
func TestAttemptsOfThoseWhoLeaveAreGivenBack(t *testing.T) {
	engine := open(t, manual())
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for round := range rounds {
		request := charge(fmt.Sprint(round))
		lease := begin(t, engine, request, Admitted).Lease
		ctx, cancel := context.WithCancel(context.Background())
		answer := waiter(ctx, engine, request, Wait())
		waiters(t, engine, 1)
		var both sync.WaitGroup
		both.Add(2)
		go func() { defer both.Done(); cancel() }()
		go func() { defer both.Done(); _ = lease.Fail(Retryable(0)) }()
		both.Wait()
		if got := receive(t, answer); got.err == nil {
			finish(t, got.admission.Lease, Outcome{})
			continue
		}
		finish(t, begin(t, engine, request, Admitted).Lease, Outcome{})
	}
}

// Goal: goroutines that wait hold no thread.
// Method: the threads of the process are counted before and while 1,000 goroutines wait.
func TestAThousandWaitersHoldNoThreads(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("threads are counted in /proc, which only Linux has")
	}
	engine := open(t, Options{})
	lease := begin(t, engine, charge("a"), Admitted).Lease
	// The first waiter starts what all of them share.
	answers := []<-chan answered{waiter(context.Background(), engine, charge("a"), Wait())}
	waiters(t, engine, 1)
	before := threads(t)
	for len(answers) < 1_000 {
		answers = append(answers, waiter(context.Background(), engine, charge("a"), Wait()))
	}
	waiters(t, engine, 1_000)
	// The scheduler may start a thread for each processor, and one to watch them.
	if more := threads(t) - before; more > runtime.GOMAXPROCS(0)+2 {
		t.Errorf("1,000 who wait hold %d threads", more)
	}
	finish(t, lease, Outcome{Status: 201})
	for _, answer := range answers {
		if got := receive(t, answer); got.err != nil || got.admission.Verdict != Replayed {
			t.Fatalf("%+v", got)
		}
	}
}

func threads(t *testing.T) int {
	t.Helper()
	file, err := os.Open("/proc/self/status")
	must(t, err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if count, found := strings.CutPrefix(lines.Text(), "Threads:"); found {
			n, err := strconv.Atoi(strings.TrimSpace(count))
			must(t, err)
			return n
		}
	}
	t.Fatal("/proc/self/status tells no threads")
	return 0
}

// Goal: closing ends every wait.
// Method: waiters of one record, and an engine that is closed; descriptors are counted before and
// after.
func TestCloseEndsWaits(t *testing.T) {
	before := descriptors(t)
	engine, err := Open(Options{Capacity: 1_000})
	must(t, err)
	begin(t, engine, charge("a"), Admitted)
	var answers []<-chan answered
	for range 10 {
		answers = append(answers, waiter(context.Background(), engine, charge("a"), Wait()))
	}
	waiters(t, engine, 10)
	must(t, engine.Close())
	for _, answer := range answers {
		if got := receive(t, answer); !errors.Is(got.err, ErrClosed) {
			t.Errorf("%+v", got)
		}
	}
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors are open, %d were before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors are counted in /proc, which only Linux has")
	}
	return len(entries)
}
