package faults

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/fanfaretest"
)

// Plan is what a scenario's world is made of. The zero value of a number is its default; negative:
// none.
type Plan struct {
	Seed      uint64
	Redis     []string // the URL for each instance: so many instances are started
	Args      []string // of every instance
	Stay      int      // subscribers that stay; default 6
	Churn     int      // subscribers that leave and come back about every second; default 2
	Publisher int      // default 4
	Rooms     int      // default 2
	Pace      time.Duration
	Size      int // of messages, in bytes
	Subscribe func(*Subscriber)
}

// World is a scenario under way: instances, subscribers and publishers.
type World struct {
	Ledger      *Ledger
	Rand        *rand.Rand // for the scenario's own choices
	Subscribers []*Subscriber
	Rooms       []string

	t          testing.TB
	plan       Plan
	publishers []*Publisher
	ctx        context.Context
	tasks      sync.WaitGroup
	publishing sync.WaitGroup
	fault      time.Time // when it ended
	heal       time.Duration

	// Guarded by mu.
	mu        sync.Mutex
	instances []*fanfaretest.Process
}

const (
	// within bounds everything that is waited for.
	within = 60 * time.Second
	// lifetime bounds a scenario.
	lifetime = 5 * time.Minute
	poll     = 10 * time.Millisecond
)

// Begin starts the instances, the subscribers and, when all of those have joined, the publishers.
func Begin(t testing.TB, p Plan) *World {
	t.Helper()
	for _, d := range []struct {
		n      *int
		number int
	}{{&p.Stay, 6}, {&p.Churn, 2}, {&p.Publisher, 4}, {&p.Rooms, 2}, {&p.Size, 200}} {
		if *d.n == 0 {
			*d.n = d.number
		}
	}
	if p.Pace == 0 {
		p.Pace = 15 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	w := &World{Ledger: NewLedger(), t: t, plan: p, ctx: ctx, instances: make([]*fanfaretest.Process, len(p.Redis))}
	t.Logf("seed %d", p.Seed)
	w.Rand = w.rand("scenario")
	var starting sync.WaitGroup
	for i := range p.Redis {
		starting.Go(func() { w.StartInstance(i) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { // before the instances go: it was registered after theirs
		cancel()
		w.tasks.Wait()
		w.publishing.Wait()
	})
	for i := range p.Rooms {
		w.Rooms = append(w.Rooms, fmt.Sprintf("room-%d", i))
	}
	for i := range max(0, p.Stay) + max(0, p.Churn) {
		w.Subscribe(fmt.Sprintf("subscriber-%d", i), func(s *Subscriber) {
			if i >= max(0, p.Stay) {
				s.Every = time.Second
			}
			if p.Subscribe != nil {
				p.Subscribe(s)
			}
		})
	}
	for _, s := range w.Subscribers {
		w.Until("all have joined", s.Joined)
	}
	for i := range p.Publisher {
		pub := NewPublisher(w.Ledger, i, w.Rooms, w.rand(fmt.Sprintf("publisher-%d", i)))
		pub.Dial, pub.Pace, pub.Size = w.dialFirst(i), p.Pace, p.Size
		w.publishers = append(w.publishers, pub)
		w.publishing.Go(func() { pub.Run(ctx) })
	}
	return w
}

// Subscribe adds a subscriber.
func (w *World) Subscribe(name string, configure func(*Subscriber)) *Subscriber {
	s := NewSubscriber(w.Ledger, name, w.Rooms, w.rand(name))
	s.Dial, s.Buffer = w.dialFirst(len(w.Subscribers)), 4096
	configure(s)
	w.Subscribers = append(w.Subscribers, s)
	w.tasks.Go(func() { s.Run(w.ctx) })
	return s
}

// rand makes choices for someone, the same for the same seed.
func (w *World) rand(who string) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, w.t.Name(), who)
	return rand.New(rand.NewPCG(w.plan.Seed, h.Sum64()))
}

// dialFirst dials a certain instance the first time, and then any.
func (w *World) dialFirst(i int) func(context.Context, *rand.Rand, client.Options) (*client.Conn, error) {
	return func(ctx context.Context, rng *rand.Rand, o client.Options) (*client.Conn, error) {
		p := w.Instance(i % len(w.plan.Redis))
		i = rng.IntN(len(w.plan.Redis))
		return client.Dial(ctx, p.SocketURL, o)
	}
}

// Instance is the i-th, as it was started last.
func (w *World) Instance(i int) *fanfaretest.Process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.instances[i]
}

// StartInstance starts the i-th instance (again) and waits until it is ready.
func (w *World) StartInstance(i int) {
	w.t.Helper()
	args := append([]string{"--redis", w.plan.Redis[i], "--name", fmt.Sprintf("instance-%d", i), "--rate", "-1", "--history", "50000"}, w.plan.Args...)
	p := fanfaretest.Start(w.t, args...)
	w.mu.Lock()
	w.instances[i] = p
	w.mu.Unlock()
	w.Until("an instance is ready", func() bool { return w.Status(i, "readyz") == http.StatusOK })
}

// Status is the answer of the i-th instance's ops port; 0: none.
func (w *World) Status(i int, path string) int {
	ctx, cancel := context.WithTimeout(w.ctx, dialTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Instance(i).OpsURL+path, nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// Until waits until something holds; when it does not in time the test fails.
func (w *World) Until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(poll) {
		if time.Now().After(deadline) {
			w.t.Errorf("not within %v: %s", within, what)
			return
		}
	}
}
