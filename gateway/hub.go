package gateway

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/gateway/protocol"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// hub stands between the broker and the loops: it knows which loops have members of which room, in
// which encodings, subscribes a room for its first member here and unsubscribes it a moment after
// the last has left, and encodes each message once for each encoding in use.
//
// Users are not its business, see users.go.
type hub struct {
	gw     *Gateway
	broker pubsub.Broker

	mu       sync.RWMutex
	interest map[pubsub.Target]*interest // guarded by mu
	idle     []*interest                 // that may have no members; guarded by mu
	away     error                       // the broker is; guarded by mu

	kept atomic.Int64 // bytes in all windows

	laterMu sync.Mutex
	failed  []*interest // to be settled again; guarded by laterMu
	wide    []*interest // whose windows are to be trimmed later; guarded by laterMu
}

// linger is how long a room without members stays subscribed.
const linger = time.Second

// interest is what this instance wants of a target. Where both locks are held, hub.mu came first.
type interest struct {
	target pubsub.Target

	mu      sync.Mutex
	members [][loop.Encodings]int32 // a loop; joins under way included; guarded by mu
	total   int                     // of members; guarded by mu
	asked   bool                    // the broker has not answered yet; guarded by mu
	active  bool                    // the broker has confirmed; guarded by mu
	gone    bool                    // no longer in hub.interest; guarded by mu
	since   time.Time               // of having no members; guarded by mu
	waiting []waiter                // for the broker to confirm; guarded by mu

	// What was seen of the room's history, see history.go. Guarded by mu.
	pos         pubsub.Position  // of the newest message forwarded
	window      []kept           // the newest messages up to pos, without holes
	windowBytes int              // of window
	wide        time.Time        // not zero: the window is not trimmed, since then
	resumes     []waiter         // sockets that wait for what they missed
	hole        bool             // what comes is held back until the history was read
	verify      bool             // what was forwarded is to be compared with the history
	suspect     uint64           // from this offset on; 0: only the message at pos
	reading     bool             // a read is in flight
	merging     bool             // what was read is being taken in
	early       []pubsub.Message // held back
	earlyRead   int              // how many of early came before the read in flight was begun
}

// waiter is a socket that waits to be a member.
type waiter struct {
	loop  *loop.Loop
	ref   loop.Ref
	enc   loop.Encoding
	want  protocol.Want
	asked bool // what it missed was asked for
	ready func(protocol.Joined, error)
}

func (w *waiter) tell(j protocol.Joined, err error) {
	ready := w.ready
	w.loop.Do(w.ref, func(s *loop.Socket) {
		if !s.Ended() {
			ready(j, err)
		}
	})
}

// tellImpatient tells those who will not wait that the broker is away, and returns the others.
func tellImpatient(all []waiter) (patient []waiter) {
	for _, w := range all {
		if w.want.Patience {
			patient = append(patient, w)
		} else {
			w.tell(protocol.Joined{}, pubsub.ErrUnavailable)
		}
	}
	return patient
}

// join counts a socket in as a member of a target. Once the broker has confirmed the subscription,
// and what the socket missed is known, ready is called on the socket's loop, in order with the
// target's messages; with an error when the broker is away, unless there is patience. The socket has
// to leave, whatever ready was told.
func (h *hub) join(t pubsub.Target, s *loop.Socket, enc loop.Encoding, want protocol.Want, ready func(protocol.Joined, error)) {
	w := waiter{loop: s.Loop(), ref: s.Ref(), enc: enc, want: want, ready: ready}
	h.mu.Lock()
	in := h.interest[t]
	if in == nil {
		in = &interest{target: t, members: make([][loop.Encodings]int32, len(h.gw.loops.Loops()))}
		h.interest[t] = in
	}
	away := h.away
	in.mu.Lock()
	if !in.active && !in.asked {
		in.asked = true
		h.broker.Subscribe(t, func(pos pubsub.Position, err error) { h.subscribed(in, pos, err) })
	}
	h.mu.Unlock()
	defer in.mu.Unlock()
	in.members[s.Loop().Index()][enc]++
	in.total++
	switch {
	case in.active:
		h.admit(in, w)
	case away != nil && !want.Patience:
		w.tell(protocol.Joined{}, pubsub.ErrUnavailable)
	default:
		in.waiting = append(in.waiting, w)
	}
}

// leave takes a member of a target back.
func (h *hub) leave(t pubsub.Target, l *loop.Loop, enc loop.Encoding) {
	h.mu.RLock()
	in := h.interest[t]
	h.mu.RUnlock()
	in.mu.Lock()
	in.members[l.Index()][enc]--
	in.total--
	last := in.total == 0
	if last {
		in.since = time.Now()
	}
	in.mu.Unlock()
	if last {
		h.mu.Lock()
		h.idle = append(h.idle, in)
		h.mu.Unlock()
	}
}

// sweep unsubscribes what has had no members for a moment, tries again what failed, and gives back
// the memory of windows that were kept for sockets that come back.
func (h *hub) sweep(now time.Time) {
	h.retryAll()
	h.narrow(now)
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.idle[:0]
	for _, in := range h.idle {
		in.mu.Lock()
		switch {
		case in.gone || in.total > 0:
		case now.Sub(in.since) < linger:
			kept = append(kept, in)
		default:
			in.gone = true
			delete(h.interest, in.target)
			h.shrink(in, 0, 0)
			h.broker.Unsubscribe(in.target) // hands over only, in order with Subscribe
		}
		in.mu.Unlock()
	}
	clear(h.idle[len(kept):])
	h.idle = kept
}

// subscribed is the broker's answer.
func (h *hub) subscribed(in *interest, pos pubsub.Position, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.asked, in.active = false, err == nil // after an error the next join tries again
	waiting, early := in.waiting, in.early
	in.waiting, in.early = nil, nil
	if err != nil {
		for _, w := range waiting {
			w.tell(protocol.Joined{}, err)
		}
		return
	}
	in.pos = pos
	for _, w := range waiting {
		h.admit(in, w)
	}
	for i := range early {
		h.deliver(in, &early[i])
	}
}

// admit makes a socket a member, once what it missed is known.
func (h *hub) admit(in *interest, w waiter) {
	if w.want.Last == 0 && w.want.Since == nil {
		w.tell(protocol.Joined{Position: in.pos}, nil)
		return
	}
	in.resumes = append(in.resumes, w)
	h.settle(in)
}

// Deliver hands a message to the loops that have members. It waits while a loop has too much to do.
func (h *hub) Deliver(m pubsub.Message) {
	for _, l := range h.gw.loops.Loops() {
		l.WaitForRoom()
	}
	if m.Target.User {
		h.gw.users.deliver(&m)
		return
	}
	h.mu.RLock()
	in := h.interest[m.Target]
	h.mu.RUnlock()
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	h.deliver(in, &m)
}

// KnowsUser reports whether a user has a socket here, or had one a moment ago.
func (h *hub) KnowsUser(name string) bool { return h.gw.users.know(name) }

// Up notes whether the broker can be reached. When it cannot, joins without patience fail now.
func (h *hub) Up(err error) {
	h.gw.brokerUp(err)
	h.gw.users.up(err)
	h.mu.Lock()
	h.away = err
	var all []*interest
	if err != nil {
		for _, in := range h.interest {
			all = append(all, in)
		}
	}
	h.mu.Unlock()
	for _, in := range all {
		in.mu.Lock()
		in.waiting = tellImpatient(in.waiting)
		in.resumes = tellImpatient(in.resumes)
		if in.suspect == 0 {
			in.suspect = in.pos.Offset
		}
		in.mu.Unlock()
	}
}
