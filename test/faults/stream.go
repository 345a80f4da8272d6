package faults

import (
	"fmt"
	"math"

	"github.com/fanfare-ws/fanfare/client"
)

// Stream judges what one subscriber is sent of one room.
type Stream struct {
	ledger *Ledger
	name   string // of the subscriber
	room   string

	// Guarded by ledger.mu.
	pos        client.Position // of the newest message seen; without an epoch before the first join
	seen       map[Number]client.Position
	newest     map[int]int // of each publisher
	epochs     map[string]bool
	told       []span // of which loss was told
	next       int    // what was acknowledged before this one is seen or was told lost
	duplicated int
	reordered  int
	silent     int
	gaps       int
	complaints []string
}

// span is the messages of an epoch with an offset over after and at most to.
type span struct {
	epoch     string
	after, to uint64
	before    bool // they are from before it was a member, and not for it
}

// Stream adds a stream.
func (l *Ledger) Stream(name, room string) *Stream {
	s := &Stream{
		ledger: l, name: name, room: room,
		seen: make(map[Number]client.Position), newest: make(map[int]int), epochs: make(map[string]bool),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = append(l.streams, s)
	return s
}

// Position to resume from; without an epoch: there is none.
func (s *Stream) Position() client.Position {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.pos
}

// Gaps is how many losses were told.
func (s *Stream) Gaps() int {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return s.gaps
}

// Joined takes in the answer to a join that was sent with Position.
func (s *Stream) Joined(j client.Joined) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	switch {
	case s.pos.Epoch == "":
		s.told = append(s.told, span{j.Position.Epoch, 0, j.Position.Offset, true})
		s.at(j.Position)
	case j.Recovered == nil:
		s.wrong(&s.silent, "joined without a word about what was missed since %v", s.pos)
		s.at(j.Position)
	case !*j.Recovered:
		s.lose(j.Position)
	case j.Position.Epoch != s.pos.Epoch || j.Position.Offset < s.pos.Offset:
		s.wrong(&s.silent, "recovered from %v at %v", s.pos, j.Position)
		s.at(j.Position)
	}
}

// Gap takes in a gap notice.
func (s *Stream) Gap(to client.Position) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.lose(to)
}

// Skipped takes in a gap notice from which the subscriber resumes at once: nothing need be lost.
func (s *Stream) Skipped() {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.gaps++
}

// Message takes in a message.
func (s *Stream) Message(offset uint64, n Number) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	at := client.Position{Epoch: s.pos.Epoch, Offset: offset}
	switch before, known := s.seen[n]; {
	case known && (before.Epoch == at.Epoch || !s.ledger.again[n]):
		s.wrong(&s.duplicated, "%v at %v was seen at %v", n, at, before)
	case offset <= s.pos.Offset:
		s.wrong(&s.reordered, "%v at %v after %v", n, at, s.pos)
	case n.N < s.newest[n.Publisher] && !known:
		s.wrong(&s.reordered, "%v at %v after number %d of the same publisher", n, at, s.newest[n.Publisher])
	case offset != s.pos.Offset+1:
		s.wrong(&s.silent, "%v at %v after %v", n, at, s.pos)
	}
	s.pos.Offset = max(s.pos.Offset, offset)
	s.seen[n] = at
	s.newest[n.Publisher] = max(s.newest[n.Publisher], n.N)
	s.ledger.seen(s.room, n, at)
}

// pretend has the stream go on from a position that it never saw.
func (s *Stream) pretend(from client.Position) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.pos = from
}

// Below here: the caller holds ledger.mu.

func (s *Stream) at(p client.Position) {
	s.pos = p
	s.epochs[p.Epoch] = true
}

// lose moves to a position before which all that was not seen is told lost.
func (s *Stream) lose(to client.Position) {
	s.gaps++
	if to.Epoch != s.pos.Epoch {
		s.told = append(s.told, span{s.pos.Epoch, 0, math.MaxUint64, false})
	}
	s.told = append(s.told, span{to.Epoch, 0, to.Offset, false})
	s.at(to)
}

func (s *Stream) wrong(count *int, format string, args ...any) {
	*count++
	if len(s.complaints) < 5 {
		s.complaints = append(s.complaints, s.name+" in "+s.room+": "+fmt.Sprintf(format, args...))
	}
}

// has reports whether a message was seen, or told lost.
func (s *Stream) has(a acked) bool {
	_, seen := s.seen[a.number]
	return seen || s.isTold(a, true) || s.isTold(a, false)
}

// isTold reports whether a message's loss was told, or whether it was from before. The epoch in
// which it was acknowledged is known if somebody saw it.
func (s *Stream) isTold(a acked, before bool) bool {
	for _, t := range s.told {
		if t.before != before || a.offset <= t.after || a.offset > t.to {
			continue
		}
		known := false
		for _, p := range s.ledger.where[a.number] {
			if p.Epoch == t.epoch && p.Offset == a.offset {
				return true
			}
			known = known || p.Offset == a.offset
		}
		if !known {
			return true
		}
	}
	return false
}

// toldLost is how many messages were for it, and never seen, of which it was told.
func (s *Stream) toldLost(list []acked) (n int) {
	for _, a := range list {
		if _, seen := s.seen[a.number]; !seen && s.isTold(a, false) && !s.isTold(a, true) {
			n++
		}
	}
	return n
}

func (s *Stream) caughtUp(to int) bool {
	list := s.ledger.acked[s.room]
	for s.next < to && s.has(list[s.next]) {
		s.next++
	}
	return s.next >= to
}

func (s *Stream) lost(list []acked) (n int) {
	for _, a := range list {
		if !s.has(a) {
			s.wrong(&n, "%v was never seen; the stream ended at %v", a, s.pos)
		}
	}
	return n
}

func (n Number) String() string { return fmt.Sprintf("%d-%d", n.Publisher, n.N) }

func (a acked) String() string { return fmt.Sprintf("%v (offset %d)", a.number, a.offset) }
