// A program in Go that takes part in a round: see README.md of the folder above.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/oncegate/oncegate/bindings/go"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// tries are the keys that the program tries, in an order of its own.
type tries struct {
	engine *oncegate.Engine
	ledger *os.File
	name   string
	order  []uint64
	bodies []string

	created, expired, retried, replayed uint64
}

func serve(arguments []string) error {
	if len(arguments) != 5 {
		return fmt.Errorf("TABLE LEDGER NAME SEED KEYS")
	}
	seed, err := strconv.ParseUint(arguments[3], 10, 64)
	if err != nil {
		return err
	}
	keys, err := strconv.ParseUint(arguments[4], 10, 32)
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	for at := range secret {
		secret[at] = byte(at + 1)
	}
	engine, err := oncegate.Open(oncegate.Options{
		Reach: oncegate.ReachHost, Path: arguments[0], Capacity: 20_000, Secret: secret,
	})
	if err != nil {
		return err
	}
	defer engine.Close()
	ledger, err := os.OpenFile(arguments[1], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer ledger.Close()
	t := &tries{
		engine: engine, ledger: ledger, name: arguments[2],
		order: shuffled(keys, seed), bodies: make([]string, keys),
	}
	fmt.Println("ready")
	return t.obey(os.Stdin)
}

func (t *tries) obey(from io.Reader) error {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		word, number, _ := strings.Cut(lines.Text(), " ")
		count, _ := strconv.Atoi(number)
		var answer string
		var err error
		switch word {
		case "try":
			answer, err = t.trySome(count)
		case "hold":
			answer, err = t.hold(count)
		case "digest":
			answer = t.digest()
		default:
			err = fmt.Errorf("there is no %q", lines.Text())
		}
		if err != nil {
			return err
		}
		fmt.Println(answer)
	}
	return lines.Err()
}

func (t *tries) trySome(count int) (string, error) {
	for range count {
		key, err := t.next()
		if err != nil {
			return "", err
		}
		lease, err := t.begin(key)
		if err != nil {
			return "", err
		}
		if lease == nil {
			continue
		}
		if err := t.complete(key, lease); err != nil {
			return "", err
		}
	}
	return "tried" + t.counts(), nil
}

func (t *tries) hold(count int) (string, error) {
	held := ""
	for have := 0; have < count; {
		key, err := t.next()
		if err != nil {
			return "", err
		}
		lease, err := t.begin(key)
		if err != nil {
			return "", err
		}
		switch {
		case lease == nil:
			continue
		case lease.How() != oncegate.Created:
			err = t.complete(key, lease)
		default:
			if have%2 == 0 {
				err = t.happen(key, lease.FencingToken())
			}
			have++
			held += " " + strconv.FormatUint(key, 10)
		}
		if err != nil {
			return "", err
		}
	}
	return "holds" + t.counts() + held, nil
}

// begin gives a lease, or none where the outcome was replayed.
func (t *tries) begin(key uint64) (*oncegate.Lease, error) {
	request := oncegate.Request{
		Scope:     oncegate.Tenant("acme"),
		Operation: "POST /charges",
		Key:       "key-" + strconv.FormatUint(key, 10),
	}
	for {
		answer, err := t.engine.Begin(context.Background(), request, oncegate.WaitFor(10*time.Second))
		if err != nil {
			return nil, err
		}
		switch answer.Verdict {
		case oncegate.Admitted:
			switch answer.Lease.How() {
			case oncegate.Created:
				t.created++
			case oncegate.Expired:
				t.expired++
			case oncegate.Retried:
				t.retried++
			}
			return answer.Lease, nil
		case oncegate.Replayed:
			t.replayed++
			t.bodies[key] = string(answer.Outcome.Body)
			return nil, nil
		case oncegate.InProgress:
		default:
			return nil, fmt.Errorf("key %d: %v", key, answer.Verdict)
		}
	}
}

func (t *tries) complete(key uint64, lease *oncegate.Lease) error {
	if err := t.happen(key, lease.FencingToken()); err != nil {
		return err
	}
	t.bodies[key] = fmt.Sprintf("%s:%d", t.name, lease.Attempt())
	_, err := lease.Complete(oncegate.Outcome{Status: 200, Body: []byte(t.bodies[key])})
	return err
}

// happen has the effect of a key happen, unless it has.
func (t *tries) happen(key, fence uint64) error {
	const length = 16
	at := int64(key * length)
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: at, Len: length}
	if err := syscall.FcntlFlock(t.ledger.Fd(), syscall.F_SETLKW, &lock); err != nil {
		return err
	}
	var record [length]byte
	if _, err := t.ledger.ReadAt(record[:], at); err != nil {
		return err
	}
	if seen := binary.LittleEndian.Uint64(record[:8]); fence < seen {
		return fmt.Errorf("token %d is below %d", fence, seen)
	}
	binary.LittleEndian.PutUint64(record[:8], fence)
	if binary.LittleEndian.Uint64(record[8:]) == 0 {
		record[8] = 1
	}
	if _, err := t.ledger.WriteAt(record[:], at); err != nil {
		return err
	}
	lock.Type = syscall.F_UNLCK
	return syscall.FcntlFlock(t.ledger.Fd(), syscall.F_SETLK, &lock)
}

func (t *tries) next() (uint64, error) {
	if len(t.order) == 0 {
		return 0, fmt.Errorf("no key is left")
	}
	key := t.order[0]
	t.order = t.order[1:]
	return key, nil
}

func (t *tries) counts() string {
	return fmt.Sprintf(" %d %d %d %d", t.created, t.expired, t.retried, t.replayed)
}

func (t *tries) digest() string {
	digest := fnv.New64a()
	for _, body := range t.bodies {
		io.WriteString(digest, body+"\n")
	}
	return fmt.Sprintf("digest %016x", digest.Sum64())
}

// shuffled is Fisher and Yates, by SplitMix64.
func shuffled(keys, seed uint64) []uint64 {
	order := make([]uint64, keys)
	for at := range order {
		order[at] = uint64(at)
	}
	for at := keys - 1; at > 0; at-- {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		other := (z ^ z>>31) % (at + 1)
		order[at], order[other] = order[other], order[at]
	}
	return order
}
