package pubsubtest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// nothingMissed subscribes rooms while messages are published to them all the time. Every message
// whose publish began after the subscription was done must come; and in rooms with history every
// one after the position that it was done with.
func nothingMissed(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	const rooms, after = 40, 20
	var all sync.WaitGroup
	for n := range rooms {
		all.Go(func() {
			name := fmt.Sprintf([]string{"kept-%d", "plain-%d"}[n%2], n)
			ctx, cancel := context.WithCancel(context.Background())
			var noise sync.WaitGroup
			noise.Go(func() {
				for ctx.Err() == nil {
					_, _ = a.TryPublish(pubsub.Message{Target: pubsub.Room(name), Payload: []byte("noise")})
				}
			})
			at := b.Subscribe(pubsub.Room(name))
			for k := range after {
				m := pubsub.Message{Target: pubsub.Room(name), Payload: fmt.Appendf(nil, "%d", k)}
				if _, err := a.TryPublish(m); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
			cancel()
			noise.Wait()
			got := b.Wait(t, "all messages after the subscription", func(r *Recorded) bool {
				ms := r.Of(pubsub.Room(name))
				for k := len(ms) - 1; k >= 0; k-- {
					if string(ms[k].Payload) == fmt.Sprint(after-1) {
						return true
					}
				}
				return false
			})
			next, offset := 0, at.Offset+1
			for _, m := range got.Of(pubsub.Room(name)) {
				if string(m.Payload) == fmt.Sprint(next) {
					next++
				}
				if m.Position.Offset == offset {
					offset++
				} else if m.Position.Offset > offset {
					t.Errorf("%s: offset %d came when %d was next", name, m.Position.Offset, offset)
				}
			}
			if next != after {
				t.Errorf("%s: message %d was missed", name, next)
			}
		})
	}
	all.Wait()
}

// comesAndGoes unsubscribes and subscribes a room again and again: a message published after a
// subscription is done comes, however soon after an Unsubscribe it began.
func comesAndGoes(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	for _, name := range []string{"kept", "plain"} {
		room := pubsub.Room(name)
		for n := range 100 {
			if n%3 > 0 {
				b.Broker.Unsubscribe(room)
			}
			if n%5 == 0 { // one that is overtaken, and is answered whichever way
				b.Broker.Subscribe(room, func(pubsub.Position, error) {})
				b.Broker.Unsubscribe(room)
			}
			b.Subscribe(room)
			text := fmt.Sprint(n)
			a.Text(name, text)
			b.Wait(t, "message "+text, func(r *Recorded) bool {
				ms := r.Of(room)
				return len(ms) > 0 && string(ms[len(ms)-1].Payload) == text
			})
		}
		if got := b.Now().Of(room); len(got) != 100 {
			t.Errorf("%s: %d messages, want 100", name, len(got))
		}
	}
}

func users(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	ann := pubsub.User("ann")
	if at := b.Subscribe(ann); at != (pubsub.Position{}) {
		t.Errorf("a user has the position %+v", at)
	}
	for n, want := 1, 1; n <= 2; n++ {
		r := a.Publish(pubsub.Message{Target: ann, Payload: []byte("x")})
		if r.Instances != want || r.Position != (pubsub.Position{}) {
			t.Errorf("receipt %+v, want %d instances and no position", r, want)
		}
		b.Messages(t, ann, n)
		a.Subscribe(ann)
		want = len(instances(a, b))
	}
	a.Broker.Unsubscribe(ann)
	b.Broker.Unsubscribe(ann)
	barrier(t, c, a, []*Instance{b}, "ann")
	barrier(t, c, b, []*Instance{a}, "ann")
	if r := a.Publish(pubsub.Message{Target: ann}); r.Instances != 0 {
		t.Errorf("%d instances, want none", r.Instances)
	}
}

func roomOrUser(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	b.Subscribe(pubsub.Room("x"))
	a.Publish(pubsub.Message{Target: pubsub.User("x"), Payload: []byte("user")})
	a.Text("x", "room")
	b.Subscribe(pubsub.User("x"))
	a.Publish(pubsub.Message{Target: pubsub.User("x"), Payload: []byte("user")})
	b.Messages(t, pubsub.User("x"), 1)
	b.Broker.Unsubscribe(pubsub.Room("x"))
	barrier(t, c, b, []*Instance{a}, "x")
	a.Publish(pubsub.Message{Target: pubsub.User("x"), Payload: []byte("user")})
	a.Text("x", "room")
	b.Messages(t, pubsub.User("x"), 2)
	barrier(t, c, b, []*Instance{a}, "x")
	got := b.Now()
	for target, want := range map[pubsub.Target]int{pubsub.Room("x"): 1, pubsub.User("x"): 2} {
		ms := got.Of(target)
		if len(ms) != want {
			t.Errorf("%+v: %d messages, want %d", target, len(ms), want)
		}
		for _, m := range ms {
			if target.User != (string(m.Payload) == "user") {
				t.Errorf("%+v got %q", target, m.Payload)
			}
		}
	}
}
