package oncegate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fleetSecret is what all hosts of a test have.
var fleetSecret = []byte("32 bytes that all hosts have: ok")

// host opens an engine that stands for a host: its table is its own, its records are the fleet's.
func host(t testing.TB, url string, changes ...func(*TierOptions)) *Engine {
	t.Helper()
	tier := &TierOptions{URL: url}
	for _, change := range changes {
		change(tier)
	}
	return open(t, Options{Secret: fleetSecret, Tier: tier})
}

// patient never gives up during a test: what blocks until then is seen.
func patient(o *TierOptions) { o.Deadline = time.Minute }

// hasty runs again as soon as a server is back: of one that began anew nobody knows what it kept.
func hasty(o *TierOptions) { o.Quarantine = time.Millisecond }

func alone(o *TierOptions) { o.OnOutage = OutageLocalOnly }

// prepare has an engine meet its server, and waits until it does nothing there by itself.
func prepare(t testing.TB, engine *Engine, key string) {
	t.Helper()
	finish(t, begin(t, engine, charge(key), Admitted).Lease, Outcome{Status: 200})
	flush(t, engine)
}

func flush(t testing.TB, engine *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	must(t, engine.FlushTier(ctx))
}

func tierStats(t testing.TB, engine *Engine) TierStats {
	t.Helper()
	stats, err := engine.TierStats()
	must(t, err)
	return stats
}

// eventually waits for what a real process brings about in its own time.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// Goal: what one host runs, another one neither runs again nor misses the outcome of.
// Method: two hosts; one runs, the other asks meanwhile and afterwards, twice; the counts of both.
func TestHostsRunARequestOnce(t *testing.T) {
	server := startRedis(t)
	one, other := host(t, server.url()), host(t, server.url())
	lease := begin(t, one, charge("k"), Admitted).Lease
	if is, err := lease.IsLocalOnly(); is || err != nil {
		t.Errorf("local only: %v, %v", is, err)
	}
	begin(t, other, charge("k"), InProgress)
	finish(t, lease, Outcome{Status: 201, Body: []byte("charged")})
	for range 2 {
		if got := begin(t, other, charge("k"), Replayed).Outcome; string(got.Body) != "charged" {
			t.Errorf("replayed %q", got.Body)
		}
	}
	if _, err := lease.IsLocalOnly(); !errors.Is(err, ErrFenced) {
		t.Errorf("over: %v", err)
	}
	told := tierStats(t, one)
	if told.Granted != 1 || told.Imported != 0 || told.Undelivered != 0 || told.BreakerOpen {
		t.Errorf("one: %+v", told)
	}
	told = tierStats(t, other)
	if told.Granted != 0 || told.Imported != 1 || told.Elsewhere != 1 || told.Refused != 0 {
		t.Errorf("the other: %+v", told)
	}
}

// Goal: whoever waits on one host gets what an attempt of another one leaves; one whose context is
// done leaves.
// Method: two that wait by Begin and Do, beside an attempt of the other host that is completed.
func TestWaitersHearOfOtherHosts(t *testing.T) {
	server := startRedis(t)
	one, other := host(t, server.url()), host(t, server.url())
	lease := begin(t, one, charge("k"), Admitted).Lease
	bodies := make(chan string, 2)
	go func() {
		admission, err := other.Begin(context.Background(), charge("k"), Wait())
		bodies <- fmt.Sprint(string(admission.Outcome.Body), err)
	}()
	go func() {
		result, err := other.Do(context.Background(), charge("k"),
			func(context.Context, *Lease) (Outcome, error) { return Outcome{}, errors.New("it ran") })
		bodies <- fmt.Sprint(string(result.Outcome.Body), err)
	}()
	eventually(t, "two wait", func() bool { return other.Pending() == 2 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := other.Begin(ctx, charge("k"), Wait()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	finish(t, lease, Outcome{Status: 200, Body: []byte("charged")})
	for range cap(bodies) {
		if body := receive(t, bodies); body != "charged<nil>" {
			t.Errorf("got %q", body)
		}
	}
}

// Goal: while the server is gone nothing new runs, and clients are told when to ask again; what
// this host knows it answers; work goes on when the server is back.
// Method: a server that is killed, and started again; Begin, BeginHashed, and the middleware.
func TestAnOutageRefusesWhatIsNew(t *testing.T) {
	server := startRedis(t)
	engine := host(t, server.url(), hasty)
	s := newSite(t, engine, MiddlewareOptions{PollAfter: time.Hour})
	s.send(post("known")).is(t, 201, "charged", false)
	flush(t, engine)
	server.kill()
	_, err := engine.Begin(context.Background(), charge("new"))
	refused(t, err, ErrTierUnavailable, "tier")
	_, err = engine.BeginHashed(Hashed{Scope: Tenant("acme"), Fingerprint: [32]byte{1}})
	refused(t, err, ErrTierUnavailable, "tier")
	again := s.send(post("new"))
	again.problem(t, http.StatusServiceUnavailable, "tier-unavailable")
	// The engine's own: a second, or as long as its breaker rests; PollAfter is an hour.
	if after := again.retryAfter(t); after < time.Second || after > 30*time.Second {
		t.Errorf("retry after %v", after)
	}
	if strings.Contains(again.body, "127.0.0.1") {
		t.Errorf("it tells where the server is: %s", again.body)
	}
	s.send(post("known")).is(t, 201, "charged", true)
	if s.ran() != 1 || tierStats(t, engine).Refused != 3 {
		t.Errorf("ran %d times, refused %+v", s.ran(), tierStats(t, engine))
	}
	server.restart()
	// The breaker takes its time.
	eventually(t, "the server is used again", func() bool {
		admission, err := engine.Begin(context.Background(), charge("new"))
		return err == nil && admission.Verdict == Admitted
	})
}

// Goal: whoever is refused for a while is told for how long, on every way that he may ask; clients
// are, too, and not to come back at once.
// Method: a server that begins anew, with a quarantine of an hour; Begin, Do, a batch, and the
// middleware.
func TestWhoIsRefusedLearnsWhenToAskAgain(t *testing.T) {
	server := startRedis(t)
	engine := host(t, server.url(), func(o *TierOptions) { o.Quarantine = time.Hour })
	s := newSite(t, engine, MiddlewareOptions{})
	prepare(t, engine, "known")
	server.kill()
	server.restart()
	wait := func(err error) time.Duration {
		refused(t, err, ErrTierUnavailable, "tier")
		var told *Error
		errors.As(err, &told)
		if !told.Transient || told.RetryAfter > time.Hour {
			t.Errorf("%+v", *told)
		}
		return told.RetryAfter
	}
	// The first call may still find the connection that is broken.
	eventually(t, "the quarantine is told", func() bool {
		_, err := engine.Begin(context.Background(), charge("k"))
		return wait(err) > time.Minute
	})
	_, err := engine.Do(context.Background(), charge("k"),
		func(context.Context, *Lease) (Outcome, error) { return Outcome{}, errors.New("it ran") })
	if after := wait(err); after < time.Minute {
		t.Errorf("Do: after %v", after)
	}
	var batch Batch
	batch.Add(charge("k"))
	must(t, engine.BeginBatch(&batch))
	_, err = batch.Answer(0)
	if after := wait(err); after < time.Minute {
		t.Errorf("a batch: after %v", after)
	}
	got := s.send(post("k"))
	got.problem(t, http.StatusServiceUnavailable, "tier-unavailable")
	if after := got.retryAfter(t); after <= time.Minute || after > time.Hour {
		t.Errorf("a client: after %v", after)
	}
	s.send(post("known")).is(t, 200, "", true)
}

// Goal: a host that may go on alone says so of each attempt and outcome, and the others have what
// it ran when the server is back.
// Method: a server that is killed, and started again before another host asks.
func TestAHostAloneSaysSo(t *testing.T) {
	server := startRedis(t)
	one, other := host(t, server.url(), alone, hasty), host(t, server.url(), hasty)
	prepare(t, one, "known")
	server.kill()
	lease := begin(t, one, charge("k"), Admitted).Lease
	if is, err := lease.IsLocalOnly(); !is || err != nil {
		t.Errorf("local only: %v, %v", is, err)
	}
	stored, err := lease.Complete(Outcome{Status: 200, Body: []byte("alone")})
	if stored != StoredHere || err != nil {
		t.Errorf("stored %v, %v", stored, err)
	}
	if told := tierStats(t, one); told.LocalOnly != 1 || told.Undelivered != 1 {
		t.Errorf("%+v", told)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	err = one.FlushTier(gone)
	if !errors.Is(err, ErrTierUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("flushed: %v", err)
	}
	server.restart()
	flush(t, one)
	if got := begin(t, other, charge("k"), Replayed).Outcome; string(got.Body) != "alone" {
		t.Errorf("replayed %q", got.Body)
	}
}

// Goal: whoever waits for a server holds no thread, and leaves when his context is done; what he
// would have been admitted to is given back.
// Method: many who begin at a server that stands still, with a deadline that is longer than the
// test; they are cancelled; when the server goes on, another host runs one of the requests.
func TestWaitingForAServerHoldsNoThread(t *testing.T) {
	server := startRedis(t)
	engine, other := host(t, server.url(), patient), host(t, server.url(), patient)
	prepare(t, engine, "known")
	resume := server.pause()
	before := threads(t)
	const callers = 200
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, callers)
	for i := range callers {
		go func() {
			_, err := engine.Begin(ctx, charge(fmt.Sprint("k-", i)))
			errs <- err
		}()
	}
	eventually(t, "all wait", func() bool { return engine.Pending() == callers })
	// The scheduler may start some of its own, and the engine has a few.
	if grown := threads(t) - before; grown > runtime.GOMAXPROCS(0)+6 {
		t.Errorf("%d who wait hold %d threads", callers, grown)
	}
	begin(t, engine, charge("known"), Replayed)
	cancel()
	for range callers {
		if err := receive(t, errs); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	resume()
	flush(t, engine)
	begin(t, other, charge("k-7"), Admitted)
}

// Goal: who leaves, and was admitted meanwhile, gives that back without waiting for the server.
// Method: a server that stands still; a call that waited for it would be counted, at its deadline,
// as one that may have been carried out.
func TestALeaseIsGivenBackWithoutWaiting(t *testing.T) {
	server := startRedis(t)
	engine := host(t, server.url(), func(o *TierOptions) { o.Deadline = 5 * time.Second })
	other := host(t, server.url(), patient)
	lease := begin(t, engine, charge("k"), Admitted).Lease
	resume := server.pause()
	lease.abandonSoon()
	if told := tierStats(t, engine); told.Unknown != 0 {
		t.Errorf("the server was asked: %+v", told)
	}
	resume()
	flush(t, engine)
	if again := begin(t, other, charge("k"), Admitted).Lease; again.Attempt() != 2 {
		t.Errorf("attempt %d", again.Attempt())
	}
}

// Goal: work is not told that its lease is lost because the server is gone for a moment: the lease
// lasts as long as it did. When it is over, it is told.
// Method: renewals that come when the test says so, while the server is killed; a lease that is
// short enough to lapse.
func TestRenewalsOutlastAnOutage(t *testing.T) {
	server := startRedis(t)
	engine := host(t, server.url(), hasty)
	var timers fakeTimers
	engine.afterFunc = timers.after
	_, err := engine.Do(context.Background(), charge("k"),
		func(ctx context.Context, lease *Lease) (Outcome, error) {
			server.kill()
			timers.fire()
			if ctx.Err() != nil {
				t.Errorf("lost: %v", context.Cause(ctx))
			}
			if _, err := lease.Renew(time.Second); !errors.Is(err, ErrTierUnavailable) {
				t.Errorf("renewed: %v", err)
			}
			return Outcome{Status: 200}, nil
		})
	must(t, err)
	server.restart()
	// The breaker takes its time.
	eventually(t, "the server is used again", func() bool {
		_, err := engine.Begin(context.Background(), charge("again"))
		return err == nil
	})
	short := BeginWith(LeaseFor(300 * time.Millisecond))
	_, err = engine.Do(context.Background(), charge("short"),
		func(ctx context.Context, lease *Lease) (Outcome, error) {
			server.kill()
			eventually(t, "it is told", func() bool {
				timers.fire()
				return ctx.Err() != nil
			})
			if !errors.Is(context.Cause(ctx), ErrTierUnavailable) {
				t.Errorf("lost: %v", context.Cause(ctx))
			}
			return Outcome{Status: 200}, nil
		}, short)
	must(t, err)
}

// Goal: a server that may evict records is refused, unless that is allowed; then it is a hazard.
// Method: servers with a limit of memory and a policy; and one without persistence.
func TestUnsafeServersAreRefused(t *testing.T) {
	server := startRedis(t, "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru",
		"--appendonly", "no")
	engine := host(t, server.url())
	_, err := engine.Begin(context.Background(), charge("k"))
	refused(t, err, ErrTierUnsafe, "tier")
	// A client has nothing to wait for.
	got := newSite(t, engine, MiddlewareOptions{}).send(post("k"))
	got.problem(t, http.StatusServiceUnavailable, "unavailable")
	if after := got.header.Get("Retry-After"); after != "" || strings.Contains(got.body, "allkeys") {
		t.Errorf("retry after %q: %s", after, got.body)
	}
	engine = host(t, server.url(), func(o *TierOptions) { o.AllowEviction = true })
	prepare(t, engine, "k")
	const both = HazardEvicts | HazardNotPersistent
	eventually(t, "hazards are told", func() bool { return tierStats(t, engine).Hazards&both == both })
	if told := both.String(); told != "Hazards(Evicts|NotPersistent)" {
		t.Error(told)
	}
}

// Goal: outcomes lie under the prefix, and encrypted where there is a key; the key that is being
// rotated out still reads them.
// Method: hosts with the same key, with it as the retiring one, and with another one.
func TestOutcomesAreEncryptedAndPrefixed(t *testing.T) {
	server := startRedis(t)
	with := func(key, retiring byte) *Engine {
		return host(t, server.url(), func(o *TierOptions) {
			o.Prefix = "shop:"
			o.EncryptionKey = []byte(strings.Repeat(string(rune(key)), 32))
			if retiring != 0 {
				o.RetiringKey = []byte(strings.Repeat(string(rune(retiring)), 32))
			}
		})
	}
	finish(t, begin(t, with(1, 0), charge("k"), Admitted).Lease, Outcome{Body: []byte("charged")})
	for _, reader := range []*Engine{with(1, 0), with(2, 1)} {
		if got := begin(t, reader, charge("k"), Replayed).Outcome; string(got.Body) != "charged" {
			t.Errorf("replayed %q", got.Body)
		}
	}
	begin(t, with(2, 0), charge("k"), OutcomeGone)
	begin(t, host(t, server.url()), charge("k"), Admitted)
}

// Goal: dead letters of all hosts are in one stream, if that is asked for, and counted.
// Method: a request that fails for good on each of two hosts, and before that on one without the
// option.
func TestDeadLettersAreInOneStream(t *testing.T) {
	server := startRedis(t)
	for i, entries := range []int{0, 10, 10} {
		engine := host(t, server.url(), func(o *TierOptions) { o.DeadLetters = entries })
		lease := begin(t, engine, charge(fmt.Sprint("k", i)), Admitted).Lease
		later, err := lease.RetryLater(&AttemptError{Class: "404", Terminal: true}, "charge", nil)
		must(t, err)
		if later.Buried != BuriedFinalError {
			t.Errorf("buried: %v", later.Buried)
		}
		flush(t, engine)
		if told := server.ask("XLEN oncegate:{dd}letters"); told != fmt.Sprint(":", i) {
			t.Errorf("the stream has %q, want %d", told, i)
		}
		told := tierStats(t, engine)
		if told.LettersLogged != uint64(min(i, 1)) || told.LettersWaiting+told.LettersLost != 0 {
			t.Errorf("counts %+v", told)
		}
	}
}

// Goal: a password of any characters reaches the server by a URL in which it is percent-encoded.
// Method: a server that asks for one with all that URLs use themselves; one who leaves it as it is.
func TestPasswordsArePercentEncoded(t *testing.T) {
	const password = "a:b/c@d?e#f%41+g h"
	server := startRedis(t, "--requirepass", password)
	encoded := url.URL{Scheme: "redis", User: url.UserPassword("", password), Host: server.address()}
	prepare(t, host(t, encoded.String()), "k")
	_, err := Open(Options{Secret: fleetSecret, Tier: &TierOptions{
		URL: "redis://:" + password + "@" + server.address(),
	}})
	refused(t, err, ErrInvalidConfig, "tier.url")
}

// Goal: options that cannot be are refused by their names.
// Method: each of them wrong; no server is needed. A key that is empty, as what reads an unset
// variable gives it, must not leave outcomes unencrypted; nil says that there is none.
func TestTierOptionsAreRefusedByField(t *testing.T) {
	const url = "redis://127.0.0.1:1"
	for field, options := range map[string]TierOptions{
		"tier.url":               {URL: "http://127.0.0.1"},
		"tier.prefix":            {URL: url, Prefix: "{a}"},
		"tier.deadline":          {URL: url, Deadline: 61 * time.Second},
		"tier.sentinels":         {URL: url, SentinelName: "main"},
		"tier.sentinel_name":     {URL: url, Sentinels: []string{url}},
		"tier.outcome_limit":     {URL: url, OutcomeLimit: 16<<20 + 1},
		"tier.dead_letters":      {URL: url, DeadLetters: 1_000_001},
		"tier.wait_replicas":     {URL: url, WaitReplicas: -2},
		"tier.wait_replicas_ms":  {URL: url, WaitReplicasFor: -2},
		"tier.compress_from":     {URL: url, CompressFrom: -2},
		"tier.latency_objective": {URL: url, LatencyObjective: -2},
		"tier.lease_slice":       {URL: url, LeaseSlice: -2},
		"tier.margin":            {URL: url, Margin: -2},
		"tier.poll_every":        {URL: url, PollEvery: -2},
		"tier.quarantine":        {URL: url, Quarantine: -2},
		"tier.undelivered":       {URL: url, Undelivered: -2},
		"tier.on_outage":         {URL: url, OnOutage: 3},
		"tier.encryption_key":    {URL: url, EncryptionKey: []byte("short")},
		"tier.retiring_key":      {URL: url, RetiringKey: make([]byte, 33)},
		"tier.tls_key":           {URL: "rediss://127.0.0.1:1", TLSCertificate: []byte("PEM")},
	} {
		_, err := Open(Options{Secret: fleetSecret, Tier: &options})
		var told *Error
		if !errors.As(err, &told) || told.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	unset := []byte(os.Getenv("ONCEGATE_TEST_UNSET"))
	for _, c := range []struct {
		status  Status
		field   string
		options TierOptions
	}{
		{ErrBadSize, "tier.encryption_key", TierOptions{URL: url, EncryptionKey: unset}},
		{ErrBadSize, "tier.retiring_key", TierOptions{URL: url, RetiringKey: []byte{}}},
		{ErrBadValue, "tier.wait_replicas_ms", TierOptions{URL: url, WaitReplicasFor: time.Second}},
	} {
		_, err := Open(Options{Secret: fleetSecret, Tier: &c.options})
		refused(t, err, c.status, c.field)
	}
	_, err := Open(Options{Tier: &TierOptions{URL: url}})
	refused(t, err, ErrInvalidConfig, "secret")
	host(t, url, func(o *TierOptions) { o.EncryptionKey, o.RetiringKey = nil, nil })
}

// Goal: an engine without a tier says that it has none, and has nothing to tell anybody.
// Method: what is for tiers on one.
func TestAnEngineWithoutATier(t *testing.T) {
	engine := open(t, manual())
	_, err := engine.TierStats()
	refused(t, err, ErrNotFound, "tier")
	flush(t, engine)
	lease := begin(t, engine, charge("k"), Admitted).Lease
	if is, err := lease.IsLocalOnly(); is || err != nil {
		t.Errorf("local only: %v, %v", is, err)
	}
	runtime.KeepAlive(engine)
}
