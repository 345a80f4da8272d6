package loop

import (
	"sync"
	"sync/atomic"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// Encoding numbers the ways in which a message becomes wire bytes. What each means is the
// gateway's business; a loop only keeps their logs apart.
type Encoding uint8

// Encodings is the number of encodings.
const Encodings = 4

// Broadcast is one message for the members of one room. It is shared by all loops and not changed.
type Broadcast struct {
	Room string
	// Frames holds the message as wire bytes, nil for an encoding not in use.
	Frames [Encodings][]byte
	// Skip is the ID of a socket that does not get it, 0 for none.
	Skip uint64
	// Position of the message, zero for none.
	Position pubsub.Position
	// Sent is the time of publishing on this instance's clock, in nanoseconds, 0 if not known.
	Sent int64
}

func (b *Broadcast) size() (n int) {
	for _, f := range b.Frames {
		n += len(f)
	}
	return n + 64
}

// item is what an inbox holds: exactly one of broadcast, fn, or something for the socket ref.
type item struct {
	broadcast *Broadcast
	fn        func()
	ref       Ref
	socketFn  func(*Socket)
	data      []byte // read by a stream
}

// inbox is a loop's only way in: many producers, one consumer.
//
// It is bounded for broadcasts alone: who hands over messages waits in [Loop.WaitForRoom] while more
// than maxInboxBytes are queued, which slows the reading from the broker. All else is bounded by
// what causes it (a socket has one read, a publish has one answer).
type inbox struct {
	wake func() // static after init

	mu     sync.Mutex
	items  []item     // guarded by mu
	bytes  int        // of broadcasts in items; guarded by mu
	room   *sync.Cond // bytes fell, or closed
	closed bool       // guarded by mu

	asleep atomic.Bool  // the consumer parks, or is about to
	depth  atomic.Int64 // for metrics
}

const maxInboxBytes = 32 << 20

func (in *inbox) init(wake func()) {
	in.wake = wake
	in.room = sync.NewCond(&in.mu)
}

// put adds an item and wakes the consumer if it sleeps. It reports false when there is no consumer
// any more.
func (in *inbox) put(it item) bool {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return false
	}
	in.items = append(in.items, it)
	if it.broadcast != nil {
		in.bytes += it.broadcast.size()
	}
	in.mu.Unlock()
	in.depth.Add(1)
	if in.asleep.Load() && in.asleep.Swap(false) {
		in.wake()
	}
	return true
}

// take swaps the queued items for an empty slice.
func (in *inbox) take(empty []item) []item {
	in.mu.Lock()
	got := in.items
	in.items = empty[:0]
	if in.bytes > maxInboxBytes {
		in.room.Broadcast()
	}
	in.bytes = 0
	in.mu.Unlock()
	in.depth.Add(-int64(len(got)))
	return got
}

func (in *inbox) empty() bool { return in.depth.Load() <= 0 }

// waitForRoom blocks while too many bytes are queued.
func (in *inbox) waitForRoom() {
	in.mu.Lock()
	for in.bytes > maxInboxBytes && !in.closed {
		in.room.Wait()
	}
	in.mu.Unlock()
}

// close refuses what comes from now on, and lets everyone who waits for room go on.
func (in *inbox) close() {
	in.mu.Lock()
	in.closed = true
	in.room.Broadcast()
	in.mu.Unlock()
}
