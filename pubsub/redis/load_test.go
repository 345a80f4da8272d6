package redis_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
)

// failover is how long servers may take to agree on another master, and instances to follow.
const failover = 40 * time.Second

// load publishes numbered messages to rooms, one at a time in each, and again with the same key
// what was not acknowledged, until it is stopped.
type load struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	acked   map[string]map[int]pubsub.Position // by room and number
	refused int
}

func startLoad(t testing.TB, rooms []string, instances ...*pubsubtest.Instance) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stop: cancel, acked: make(map[string]map[int]pubsub.Position)}
	t.Cleanup(l.finish)
	for i, room := range rooms {
		l.acked[room] = make(map[int]pubsub.Position)
		l.done.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				m := pubsub.Message{Target: pubsub.Room(room), Key: fmt.Sprint(n), Payload: fmt.Append(nil, n)}
				r, err := instances[(i+n)%len(instances)].TryPublish(m)
				for err != nil && ctx.Err() == nil {
					l.count(func() { l.refused++ })
					time.Sleep(5 * time.Millisecond)
					r, err = instances[(i+n)%len(instances)].TryPublish(m)
				}
				if err == nil {
					l.count(func() { l.acked[room][n] = r.Position })
				}
			}
		})
	}
	return l
}

func (l *load) count(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// more waits until so many more messages were acknowledged in every one of these rooms, or of all.
func (l *load) more(t testing.TB, n int, rooms ...string) {
	t.Helper()
	least := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		least := 1 << 60
		for room, acked := range l.acked {
			if len(rooms) == 0 || slices.Contains(rooms, room) {
				least = min(least, len(acked))
			}
		}
		return least
	}
	want := least() + n
	for began := time.Now(); least() < want; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > failover {
			t.Fatalf("no publishes get through; %d were refused", l.refused)
		}
	}
}

func (l *load) finish() {
	l.stop()
	l.done.Wait()
}

// check holds what was acknowledged against the history, and what an instance was given against
// both: all is there, once, in order, and nothing was missed that no Top told of.
func (l *load) check(t testing.TB, reader *pubsubtest.Instance, subscribers ...*pubsubtest.Instance) {
	t.Helper()
	for room, acked := range l.acked {
		h := reader.Read(room, pubsub.Query{Since: true})
		text := make(map[pubsub.Position]string)
		last := -1
		for i, m := range h.Messages {
			var n int
			if _, err := fmt.Sscan(string(m.Payload), &n); err != nil || n != last+1 || m.Position.Offset != uint64(i+1) {
				t.Fatalf("%s: history has %q at %+v as its message %d, after %d", room, m.Payload, m.Position, i+1, last)
			}
			last = n
			text[m.Position] = string(m.Payload)
		}
		for n, at := range acked {
			if text[at] != fmt.Sprint(n) {
				t.Errorf("%s: message %d was acknowledged at %+v, where %q is; the top is %+v", room, n, at, text[at], h.Top)
			}
		}
		for i, s := range subscribers {
			got := s.Now()
			_, told := got.Interrupted(room)
			next := uint64(1)
			for _, m := range got.Of(pubsub.Room(room)) {
				switch {
				case text[m.Position] != string(m.Payload):
					t.Fatalf("%s: instance %d was given %q at %+v, where %q is", room, i, m.Payload, m.Position, text[m.Position])
				case m.Position.Offset < next && !told: // a replica may give an offset again
					t.Fatalf("%s: instance %d was given %+v when %d was next", room, i, m.Position, next)
				case m.Position.Offset > next && !told:
					t.Fatalf("%s: instance %d missed messages from %d to %+v and was not told", room, i, next, m.Position)
				}
				next = m.Position.Offset + 1
			}
		}
	}
}
