package faults

import (
	"slices"
	"sync"

	"github.com/fanfare-ws/fanfare/client"
)

// Number names a message: its publisher, and how many that has published.
type Number struct {
	Publisher int `json:"p"`
	N         int `json:"n"`
}

// acked is a message that was acknowledged.
type acked struct {
	number Number
	offset uint64
}

// place is a position in a room.
type place struct {
	room string
	at   client.Position
}

// Ledger keeps what was acknowledged and what was seen where. Its methods and those of its streams
// may be called from any goroutine.
type Ledger struct {
	// Guarded by mu, as are the streams.
	mu        sync.Mutex
	acked     map[string][]acked // a room
	again     map[Number]bool    // sent more than once
	holds     map[place]Number
	where     map[Number][]client.Position
	streams   []*Stream
	misplaced map[Number]bool
}

// NewLedger returns an empty one.
func NewLedger() *Ledger {
	return &Ledger{
		acked: make(map[string][]acked), again: make(map[Number]bool),
		holds: make(map[place]Number), where: make(map[Number][]client.Position), misplaced: make(map[Number]bool),
	}
}

// Again notes that a message is sent once more.
func (l *Ledger) Again(n Number) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again[n] = true
}

// Acked notes an ack.
func (l *Ledger) Acked(room string, n Number, offset uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked[room] = append(l.acked[room], acked{n, offset})
}

// Count is the number of messages acknowledged.
func (l *Ledger) Count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.acked {
		n += len(a)
	}
	return n
}

// seen notes that a message was seen at a position, by whomever. The caller holds mu.
func (l *Ledger) seen(room string, n Number, at client.Position) {
	p := place{room, at}
	if other, ok := l.holds[p]; !ok {
		l.holds[p] = n
		l.where[n] = append(l.where[n], at)
	} else if other != n {
		l.misplaced[n] = true
	}
}

// Mark is all that is acknowledged now, for Has.
type Mark map[string]int

// Mark returns it.
func (l *Ledger) Mark() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := make(Mark)
	for room, list := range l.acked {
		m[room] = len(list)
	}
	return m
}

// Has reports whether every stream has all that was acknowledged then, or was told of its loss.
func (l *Ledger) Has(m Mark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.streams {
		if !s.caughtUp(m[s.room]) {
			return false
		}
	}
	return true
}

// Tally is what all streams together come to.
type Tally struct {
	Acked, Streams                               int
	Lost, Duplicated, Reordered, Silent, Mislaid int
	// Gaps that were told, and the acknowledged messages that they have cost their subscribers.
	Gaps, Told int
}

// Wrong is the number of things that must not be.
func (t Tally) Wrong() int { return t.Lost + t.Duplicated + t.Reordered + t.Silent + t.Mislaid }

// Tally counts, once all is over. The complaints are about the first few things that are wrong.
func (l *Ledger) Tally() (t Tally, complaints []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for room, list := range l.acked {
		t.Acked += len(list)
		for _, a := range list {
			at := l.where[a.number]
			right := slices.ContainsFunc(at, func(p client.Position) bool { return p.Offset == a.offset })
			if other, taken := l.takenBy(room, a, at); taken {
				complaints = append(complaints, "acknowledged at an offset that was "+other+"'s: "+a.String())
			} else if len(at) > 0 && !right {
				complaints = append(complaints, "seen at another offset than acknowledged: "+a.String())
			} else {
				continue
			}
			l.misplaced[a.number] = true
		}
	}
	t.Streams, t.Mislaid = len(l.streams), len(l.misplaced)
	for _, s := range l.streams {
		t.Lost += s.lost(l.acked[s.room])
		t.Duplicated += s.duplicated
		t.Reordered += s.reordered
		t.Silent += s.silent
		t.Gaps += s.gaps
		t.Told += s.toldLost(l.acked[s.room])
		complaints = append(complaints, s.complaints...)
	}
	return t, complaints[:min(len(complaints), 20)]
}

// takenBy tells whether an acknowledged message that nobody has seen has its offset from an epoch
// of which another message was seen there; only sure while there was but one epoch.
func (l *Ledger) takenBy(room string, a acked, at []client.Position) (other string, taken bool) {
	if len(at) > 0 {
		return "", false
	}
	epochs := make(map[string]bool)
	for _, s := range l.streams {
		if s.room == room {
			for e := range s.epochs {
				epochs[e] = true
			}
		}
	}
	if len(epochs) != 1 {
		return "", false
	}
	for e := range epochs {
		n, ok := l.holds[place{room, client.Position{Epoch: e, Offset: a.offset}}]
		return acked{n, a.offset}.String(), ok
	}
	return "", false
}
