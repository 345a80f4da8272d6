package gateway

import (
	"sync"
	"time"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/gateway/protocol"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// hub stands between the broker and the loops: it knows which loops have members of which room, in
// which encodings, subscribes a room for its first member here and unsubscribes it a moment after
// the last has left, and encodes each message once for each encoding in use.
//
// Users are kept like rooms: a user's sockets are the members.
type hub struct {
	gw     *Gateway
	broker pubsub.Broker

	mu       sync.RWMutex
	interest map[pubsub.Target]*interest // guarded by mu
	idle     []*interest                 // that may have no members; guarded by mu
	away     error                       // the broker is; guarded by mu
}

// linger is how long a room without members stays subscribed.
const linger = time.Second

// maxEarly bounds the messages kept for a room while its subscription is being confirmed.
const maxEarly = 4096

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
	pos     pubsub.Position         // of the newest message seen; guarded by mu
	waiting []waiter                // for the broker to confirm; guarded by mu
	early   []pubsub.Message        // came before it did; guarded by mu
}

type waiter struct {
	loop     *loop.Loop
	ref      loop.Ref
	patience bool
	ready    func(pubsub.Position, error)
}

func (w waiter) tell(pos pubsub.Position, err error) {
	w.loop.Do(w.ref, func(s *loop.Socket) {
		if !s.Ended() {
			w.ready(pos, err)
		}
	})
}

// join counts a socket in as a member of a target. Once the broker has confirmed the subscription,
// ready is called on the socket's loop, in order with the target's messages; with an error when it
// is away, unless there is patience. The socket has to leave, whatever ready was told.
func (h *hub) join(t pubsub.Target, s *loop.Socket, enc loop.Encoding, patience bool, ready func(pubsub.Position, error)) {
	w := waiter{s.Loop(), s.Ref(), patience, ready}
	h.mu.Lock()
	in := h.interest[t]
	if in == nil {
		in = &interest{target: t, members: make([][loop.Encodings]int32, len(h.gw.shares))}
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
		w.tell(in.pos, nil)
	case away != nil && !patience:
		w.tell(pubsub.Position{}, pubsub.ErrUnavailable)
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

// sweep unsubscribes what has had no members for a moment.
func (h *hub) sweep(now time.Time) {
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
	in.pos = pos
	for _, w := range in.waiting {
		w.tell(pos, err)
	}
	early := in.early
	in.waiting, in.early = nil, nil
	for i := range early {
		h.forward(in, &early[i])
	}
}

// Deliver hands a message to the loops that have members. It waits while a loop has too much to do.
func (h *hub) Deliver(m pubsub.Message) {
	for _, l := range h.gw.loops.Loops() {
		l.WaitForRoom()
	}
	h.mu.RLock()
	in := h.interest[m.Target]
	h.mu.RUnlock()
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.active:
		h.forward(in, &m)
	case len(in.early) < maxEarly:
		in.early = append(in.early, m)
	}
}

// forward encodes a message and posts it. in.mu is held; nothing here waits.
func (h *hub) forward(in *interest, m *pubsub.Message) {
	if m.Position.Offset != 0 {
		if m.Position.Epoch == in.pos.Epoch && m.Position.Offset <= in.pos.Offset {
			return // was in the position that members joined at
		}
		in.pos = m.Position
	}
	var frames [loop.Encodings][]byte
	for _, on := range in.members {
		for enc, n := range on {
			if n > 0 && frames[enc] == nil {
				size := len(m.Payload) + len(m.Target.Name) + len(m.From) + 96
				frames[enc] = protocol.Encode(make([]byte, 0, size), loop.Encoding(enc), m)
			}
		}
	}
	b := &loop.Broadcast{Room: in.target.Name, Frames: frames, Position: in.pos}
	if m.Origin.Instance == h.gw.instance {
		b.Sent = m.Origin.Sent
		if m.SkipOrigin {
			b.Skip = m.Origin.Socket
		}
	}
	for i, on := range in.members {
		if on == [loop.Encodings]int32{} {
			continue
		}
		l := h.gw.loops.Loops()[i]
		if in.target.User {
			l.Call(func() { h.gw.shares[i].direct(in.target.Name, &b.Frames) })
		} else {
			l.Post(b)
		}
	}
}

// Top is what the broker knows of a room's newest message.
func (h *hub) Top(string, pubsub.Position) {}

// Up notes whether the broker can be reached. When it cannot, joins without patience fail now.
func (h *hub) Up(err error) {
	h.gw.brokerUp(err)
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
		var patient []waiter
		for _, w := range in.waiting {
			if w.patience {
				patient = append(patient, w)
			} else {
				w.tell(pubsub.Position{}, pubsub.ErrUnavailable)
			}
		}
		in.waiting = patient
		in.mu.Unlock()
	}
}
