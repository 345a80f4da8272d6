package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// calls is how often Redis has done a command since the last CONFIG RESETSTAT, in scripts too.
func calls(t *testing.T, c *goredis.Client, command string) (n int) {
	t.Helper()
	stats, err := c.Info(context.Background(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(stats, "cmdstat_"+command+":calls="); ok {
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// storm is thousands of sockets that come back to one room at once, on an instance that has had no
// member of it.
type storm struct {
	mu       sync.Mutex
	errs     []error // guarded by mu, as is returned
	returned []*faults.Returner
}

// each calls f for every socket, on a few goroutines.
func (s *storm) each(f func(i int) error) {
	var workers sync.WaitGroup
	for w := range 32 {
		workers.Go(func() {
			for i := w; i < len(s.returned); i += 32 {
				if err := f(i); err != nil {
					s.mu.Lock()
					s.errs = append(s.errs, fmt.Errorf("socket %d: %w", i, err))
					s.mu.Unlock()
					return
				}
			}
		})
	}
	workers.Wait()
}

// fail ends the test if a socket failed.
func (s *storm) fail(t *testing.T) {
	t.Helper()
	if len(s.errs) > 0 {
		t.Fatalf("%d sockets failed: %.2000v", len(s.errs), errors.Join(s.errs...))
	}
}

// Each socket was away for another part of fifty messages, and more are published while they come
// back. Redis is asked a handful of times. The server is a process of its own, and has files for
// ten thousand sockets, as this one has.
func TestAStormOfResumesOfOneRoom(t *testing.T) {
	const (
		missed = 50
		few    = 20 // scripts besides those that publish
	)
	sockets := 2_000
	if *long {
		sockets = 10_000
	}
	redis := redistest.StartProcess(t)
	c := redis.Client(t)
	start := func(name string) *fanfaretest.Process {
		return fanfaretest.Start(t, "--redis", redis.URL, "--name", name, "--rate", "-1", "--history", "5000", "--idle", "3m")
	}
	old, fresh := start("old"), start("fresh")
	conn, err := client.Dial(t.Context(), old.SocketURL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	joined, err := conn.Join(t.Context(), "room")
	if err != nil {
		t.Fatal(err)
	}
	published := 0
	publish := func() {
		published++
		data := json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, published, strings.Repeat("x", 100)))
		if _, err := conn.Do(t.Context(), client.Command{Type: "publish", Room: "room", Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	for range missed {
		publish()
	}
	if err := c.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	seed := *seed
	if seed == 0 {
		seed = 1 + rand.Uint64N(999_999)
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	from := make([]uint64, sockets)
	for i := range from {
		from[i] = rng.Uint64N(missed)
	}

	s := &storm{returned: make([]*faults.Returner, sockets)}
	began := time.Now()
	back := make(chan struct{})
	go func() {
		defer close(back)
		s.each(func(i int) (err error) {
			s.returned[i], err = faults.Return(t.Context(), fresh.SocketURL, "room", client.Position{Epoch: joined.Position.Epoch, Offset: from[i]})
			return err
		})
	}()
	defer func() {
		<-back
		for _, r := range s.returned {
			if r != nil {
				r.Close()
			}
		}
	}()
	for ticks := time.NewTicker(300 * time.Millisecond); ; {
		select {
		case <-ticks.C:
			publish()
			continue
		case <-back:
			ticks.Stop()
		}
		break
	}
	s.fail(t)
	s.each(func(i int) error { return s.returned[i].Recovered() })
	publish() // all are members
	s.each(func(i int) error { return s.returned[i].Until(uint64(published)) })
	healed := time.Since(began)
	s.fail(t)

	row := faults.Row{Scenario: fmt.Sprintf("Storm of %d resumes of one room", sockets), Seed: seed, Subscribers: sockets, Heal: healed}
	row.Tally.Acked, row.Tally.Streams = published, sockets
	for _, r := range s.returned {
		row.Tally.Duplicated += r.Duplicated
		row.Tally.Silent += r.Silent
	}
	reads, scripts := calls(t, c, "xrange")+calls(t, c, "xrevrange"), calls(t, c, "evalsha")-(published-missed)
	t.Logf("%s\n%d reads of the stream, %d scripts that do not publish", row, reads, scripts)
	if row.Tally.Wrong() > 0 {
		t.Errorf("%d duplicated, %d silent gaps", row.Tally.Duplicated, row.Tally.Silent)
	}
	if reads == 0 || scripts > few {
		t.Errorf("%d sockets came back with %d reads and %d scripts", sockets, reads, scripts)
	}
	if *rows != "" && !t.Failed() {
		if err := row.Append(*rows); err != nil {
			t.Error(err)
		}
	}
}
