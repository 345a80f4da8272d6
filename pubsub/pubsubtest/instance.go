package pubsubtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// Instance is a running broker and what its handler was told. Its methods wait for the answer and
// fail the test when it does not come within [Patience].
type Instance struct {
	*Recorder
	Broker pubsub.Broker

	t    testing.TB
	stop func() error
}

// Start runs b until the test ends or [Instance.Stop] is called, and waits until it is up.
func Start(t testing.TB, b pubsub.Broker) *Instance {
	t.Helper()
	i := StartDown(t, b)
	i.waitUp()
	return i
}

// StartWith is Start with another handler, which hands on to r at least what it is told by Up.
func StartWith(t testing.TB, b pubsub.Broker, h pubsub.Handler, r *Recorder) *Instance {
	t.Helper()
	i := start(t, b, h, r)
	i.waitUp()
	return i
}

// StartDown is Start without the wait.
func StartDown(t testing.TB, b pubsub.Broker) *Instance {
	t.Helper()
	r := NewRecorder()
	return start(t, b, r, r)
}

func (i *Instance) waitUp() {
	i.t.Helper()
	i.Wait(i.t, "the broker is up", func(r *Recorded) bool { return r.IsUp() })
}

func start(t testing.TB, b pubsub.Broker, h pubsub.Handler, r *Recorder) *Instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	i := &Instance{Recorder: r, Broker: b, t: t}
	go func() { ended <- b.Run(ctx, h) }()
	i.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(Patience):
			return errors.New("Run did not end")
		}
	})
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return i
}

// Stop ends Run and waits for it.
func (i *Instance) Stop() {
	i.t.Helper()
	if err := i.stop(); err != nil {
		i.t.Fatalf("Run: %v", err)
	}
}

// Publish publishes and waits for the receipt.
func (i *Instance) Publish(m pubsub.Message) pubsub.Receipt {
	i.t.Helper()
	r, err := i.TryPublish(m)
	if err != nil {
		i.t.Fatalf("publishing to %+v: %v", m.Target, err)
	}
	return r
}

// TryPublish publishes and waits for the answer.
func (i *Instance) TryPublish(m pubsub.Message) (pubsub.Receipt, error) {
	i.t.Helper()
	return call(i.t, "publish", func(done func(pubsub.Receipt, error)) { i.Broker.Publish(m, done) })
}

// Text publishes a text to a room and waits for the receipt.
func (i *Instance) Text(room, text string) pubsub.Receipt {
	i.t.Helper()
	return i.Publish(pubsub.Message{Target: pubsub.Room(room), Payload: []byte(text)})
}

// Subscribe subscribes and waits until it is done.
func (i *Instance) Subscribe(t pubsub.Target) pubsub.Position {
	i.t.Helper()
	at, err := call(i.t, "subscribe", func(done func(pubsub.Position, error)) { i.Broker.Subscribe(t, done) })
	if err != nil {
		i.t.Fatalf("subscribing to %+v: %v", t, err)
	}
	return at
}

// Read reads from a room's history.
func (i *Instance) Read(room string, q pubsub.Query) pubsub.History {
	i.t.Helper()
	h, err := call(i.t, "read", func(done func(pubsub.History, error)) { i.Broker.Read(room, q, done) })
	if err != nil {
		i.t.Fatalf("reading %q: %v", room, err)
	}
	return h
}

// Renew begins a new epoch and waits for the position.
func (i *Instance) Renew(room string, epoch uint64) pubsub.Position {
	i.t.Helper()
	at, err := call(i.t, "renew", func(done func(pubsub.Position, error)) { i.Broker.Renew(room, epoch, done) })
	if err != nil {
		i.t.Fatalf("renewing %q: %v", room, err)
	}
	return at
}

func call[T any](t testing.TB, what string, f func(done func(T, error))) (T, error) {
	t.Helper()
	type answer struct {
		v   T
		err error
	}
	answers := make(chan answer, 8)
	f(func(v T, err error) { answers <- answer{v, err} })
	select {
	case a := <-answers:
		return a.v, a.err
	case <-time.After(Patience):
		t.Fatalf("%s was not answered within %v", what, Patience)
		panic("unreachable")
	}
}
