package memory

import (
	"math/rand/v2"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// room is a room that is subscribed or has history. Owned by Run's goroutine.
type room struct {
	subscribed bool
	keep       pubsub.Retention // zero: no history

	// The history. A subscribed room keeps its epoch and top when the messages expire.
	top  pubsub.Position
	last time.Time        // of the last message, or of the beginning
	ring []pubsub.Message // at most keep.History; the oldest is at next when it is that long
	next int

	// The idempotency keys, each forgotten a TTL after it was used.
	keys map[string]pubsub.Position
	aged []agedKey // in the order of at
}

type agedKey struct {
	key string
	at  time.Time
}

func newRoom(keep pubsub.Retention, now time.Time) *room {
	return &room{keep: keep, last: now, top: pubsub.Position{Epoch: 1 + rand.Uint64N(pubsub.MaxEpoch)}}
}

// add gives m the next position and keeps it.
func (r *room) add(m *pubsub.Message, now time.Time) pubsub.Position {
	r.top.Offset++
	r.last = now
	if m.Key != "" {
		if r.keys == nil {
			r.keys = make(map[string]pubsub.Position)
		}
		r.keys[m.Key] = r.top
		r.aged = append(r.aged, agedKey{m.Key, now})
	}
	kept := *m
	kept.Position, kept.Key = r.top, ""
	if len(r.ring) < r.keep.History {
		r.ring = append(r.ring, kept)
	} else {
		r.ring[r.next] = kept
		r.next = (r.next + 1) % len(r.ring)
	}
	return r.top
}

// expire forgets what is too old, and reports whether no history is left.
func (r *room) expire(now time.Time) (empty bool) {
	if r.keep.History <= 0 {
		return true
	}
	if now.Sub(r.last) >= r.keep.TTL {
		r.ring, r.next, r.keys, r.aged = nil, 0, nil, nil
		return true
	}
	n := 0
	for n < len(r.aged) && now.Sub(r.aged[n].at) >= r.keep.TTL {
		delete(r.keys, r.aged[n].key)
		n++
	}
	r.aged = r.aged[n:]
	return false
}

func (r *room) read(q pubsub.Query) pubsub.History {
	n := 0
	switch {
	case q.Since && q.After < r.top.Offset:
		n = int(min(r.top.Offset-q.After, uint64(len(r.ring))))
	case !q.Since:
		n = max(0, min(q.Last, len(r.ring)))
	}
	h := pubsub.History{Top: r.top}
	for i := len(r.ring) - n; i < len(r.ring); i++ {
		h.Messages = append(h.Messages, r.ring[(r.next+i)%len(r.ring)])
	}
	return h
}
