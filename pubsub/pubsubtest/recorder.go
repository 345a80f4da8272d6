package pubsubtest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// Recorder is a [pubsub.Handler] that keeps what it is told.
type Recorder struct {
	// Guarded by mu.
	mu      sync.Mutex
	got     Recorded
	changed chan struct{} // closed and replaced on every change
}

// Recorded is what a Recorder was told.
type Recorded struct {
	Messages []pubsub.Message
	Tops     []Top
	Ups      []error
}

// Top is a call of Handler.Top.
type Top struct {
	Room        string
	Top         pubsub.Position
	Interrupted bool
}

// IsUp reports whether Up was last called without an error.
func (r Recorded) IsUp() bool { return len(r.Ups) > 0 && r.Ups[len(r.Ups)-1] == nil }

// Interrupted reports whether a Top told of an interruption of the room, and gives its position.
func (r Recorded) Interrupted(room string) (pubsub.Position, bool) {
	for _, t := range r.Tops {
		if t.Room == room && t.Interrupted {
			return t.Top, true
		}
	}
	return pubsub.Position{}, false
}

// Of are the messages of a target, in the order of their delivery.
func (r Recorded) Of(t pubsub.Target) []pubsub.Message {
	var ms []pubsub.Message
	for _, m := range r.Messages {
		if m.Target == t {
			ms = append(ms, m)
		}
	}
	return ms
}

// NewRecorder makes a Recorder that was told nothing.
func NewRecorder() *Recorder { return &Recorder{changed: make(chan struct{})} }

// Deliver implements [pubsub.Handler].
func (r *Recorder) Deliver(m pubsub.Message) {
	r.change(func(got *Recorded) { got.Messages = append(got.Messages, m) })
}

// Top implements [pubsub.Handler].
func (r *Recorder) Top(room string, top pubsub.Position, interrupted bool) {
	r.change(func(got *Recorded) { got.Tops = append(got.Tops, Top{room, top, interrupted}) })
}

// Up implements [pubsub.Handler].
func (r *Recorder) Up(err error) {
	r.change(func(got *Recorded) { got.Ups = append(got.Ups, err) })
}

func (r *Recorder) change(f func(*Recorded)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.got)
	close(r.changed)
	r.changed = make(chan struct{})
}

// Now is what was told until now.
func (r *Recorder) Now() Recorded {
	got, _ := r.snapshot()
	return got
}

func (r *Recorder) snapshot() (Recorded, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Only appended to: what is clipped here stays as it is.
	return Recorded{slices.Clip(r.got.Messages), slices.Clip(r.got.Tops), slices.Clip(r.got.Ups)}, r.changed
}

// Forget drops what was told until now.
func (r *Recorder) Forget() { r.change(func(got *Recorded) { *got = Recorded{Ups: got.Ups} }) }

// ForgetTops drops what was told by Top until now.
func (r *Recorder) ForgetTops() { r.change(func(got *Recorded) { got.Tops = nil }) }

// Wait waits until cond holds of what was told, or fails the test after [Patience].
func (r *Recorder) Wait(t testing.TB, what string, cond func(*Recorded) bool) Recorded {
	t.Helper()
	return r.WaitFor(t, Patience, what, cond)
}

// WaitFor is Wait for what takes longer.
func (r *Recorder) WaitFor(t testing.TB, patience time.Duration, what string, cond func(*Recorded) bool) Recorded {
	t.Helper()
	late := time.After(patience)
	for {
		got, changed := r.snapshot()
		if cond(&got) {
			return got
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("waited %v for this: %s; there are %d messages, tops %v, ups %v",
				patience, what, len(got.Messages), got.Tops, got.Ups)
		}
	}
}

// Messages waits until n messages of a target have come, and returns them.
func (r *Recorder) Messages(t testing.TB, target pubsub.Target, n int) []pubsub.Message {
	t.Helper()
	got := r.Wait(t, "messages of "+target.Name, func(r *Recorded) bool {
		return len(r.Messages) >= n && len(r.Of(target)) >= n
	})
	return got.Of(target)
}
