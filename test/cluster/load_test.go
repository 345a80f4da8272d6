//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/faults"
)

const (
	publishers = 4
	pace       = 200 * time.Millisecond // between two messages of one
)

// load is subscribers that stay from one phase to the next, all in the same rooms, and publishers of
// each phase. All come in through the balancer, and come back through it.
type load struct {
	t           testing.TB
	url         string
	ledger      *faults.Ledger
	rooms       []string
	subscribers []*faults.Subscriber
	published   int // publishers so far

	// Guarded by mu.
	mu sync.Mutex
	on map[string]string // the instance that serves a subscriber or publisher
}

// subscribe begins with n subscribers, once they have all joined.
func subscribe(t testing.TB, address string, n int) *load {
	t.Helper()
	l := &load{t: t, url: "ws://" + address + "/ws", ledger: faults.NewLedger(), rooms: []string{"red", "blue"}, on: make(map[string]string)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for i := range n {
		name := fmt.Sprintf("subscriber-%d", i)
		s := faults.NewSubscriber(l.ledger, name, l.rooms, rand.New(rand.NewPCG(1, uint64(i))))
		s.Dial, s.Buffer = l.dial(name), 4096
		l.subscribers = append(l.subscribers, s)
		running.Go(func() { s.Run(ctx) })
	}
	l.joined()
	return l
}

// joined waits until every subscriber has joined for the first time.
func (l *load) joined() {
	l.t.Helper()
	until(l.t, "all subscribers have joined", func() bool {
		for _, s := range l.subscribers {
			if !s.Joined() {
				return false
			}
		}
		return true
	})
}

func (l *load) dial(who string) func(context.Context, *rand.Rand, client.Options) (*client.Conn, error) {
	return func(ctx context.Context, _ *rand.Rand, o client.Options) (*client.Conn, error) {
		c, err := client.Dial(ctx, l.url, o)
		if err == nil {
			l.mu.Lock()
			l.on[who] = c.Welcome().Instance
			l.mu.Unlock()
		}
		return c, err
	}
}

// spread is how many subscribers each instance was dialed by last.
func (l *load) spread() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := make(map[string]int)
	for i := range l.subscribers {
		counts[l.on[fmt.Sprintf("subscriber-%d", i)]]++
	}
	return counts
}

// lost is how many connections the subscribers have lost.
func (l *load) lost() (n int64) {
	for _, s := range l.subscribers {
		n += s.Lost()
	}
	return n
}

// during has publishers publish while something is done, and for a while before and after it. Then
// every subscriber must have seen all that was acknowledged, once and in order, and been told of no
// gap.
func (l *load) during(t *testing.T, what func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var running sync.WaitGroup
	var all []*faults.Publisher
	before := l.ledger.Count()
	for range publishers {
		name := fmt.Sprintf("publisher-%d", l.published)
		p := faults.NewPublisher(l.ledger, l.published, l.rooms, rand.New(rand.NewPCG(2, uint64(l.published))))
		p.Dial, p.Pace, p.Size = l.dial(name), pace, 200
		l.published++
		all = append(all, p)
		running.Go(func() { p.Run(ctx) })
	}
	l.acked(t, 30)
	what()
	ended := time.Now()
	until(t, "every publisher is acknowledged again", func() bool {
		for _, p := range all {
			if !p.Begun().After(ended) && p.Err() == nil {
				return false
			}
		}
		return true
	})
	l.acked(t, 30)
	for _, p := range all {
		p.Stop()
	}
	running.Wait()
	mark := l.ledger.Mark()
	until(t, "every subscriber has all that was acknowledged", func() bool { return l.ledger.Has(mark) })
	for _, p := range all {
		if err := p.Err(); err != nil {
			t.Error(err)
		}
	}
	tally, complaints := l.ledger.Tally()
	t.Logf("%d acknowledged in this phase; so far %+v, %d connections lost; sockets on instances: %v", l.ledger.Count()-before, tally, l.lost(), l.spread())
	if tally.Wrong() > 0 || tally.Gaps > 0 {
		t.Error("messages were lost, repeated, out of order, or told lost:")
		for _, c := range complaints {
			t.Log(c)
		}
	}
}

// acked waits for n more messages to be acknowledged.
func (l *load) acked(t *testing.T, n int) {
	t.Helper()
	n += l.ledger.Count()
	until(t, "more messages are acknowledged", func() bool { return l.ledger.Count() >= n })
}
