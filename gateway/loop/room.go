package loop

import (
	"sort"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// room is a loop's share of a room.
type room struct {
	name string
	pos  pubsub.Position // of the newest message that was appended
	logs [Encodings]*roomLog
}

// roomLog holds the wire bytes of one room in one encoding that some member still has to get.
//
// Bytes are named by their place since the log began: buf holds [base, head). A member is a cursor
// into it. Flushing sends buf[cursor:head] to each member in one send, so that all that came in a
// tick leaves at once and no socket has a queue. When the last cursor reaches head the memory
// goes back. A member more than the slow limit behind is ended or skipped, so buf is bounded by that
// limit and one tick's messages.
type roomLog struct {
	room    *room
	enc     Encoding
	buf     []byte
	head    uint64
	entries []entry // of what is in buf, in order
	members []member
	behind  int // members that are not at head since the last flush
	dirty   bool
}

// entry is one message in a log.
type entry struct {
	end  uint64 // where its bytes end
	skip uint64 // the socket that does not get it, or 0
	sent int64  // when it was published, if this instance did, or 0
}

// member is a socket in a log.
type member struct {
	socket *Socket
	cursor uint64
	skips  bool // an entry between cursor and head is not for this socket
}

func (g *roomLog) base() uint64 { return g.head - uint64(len(g.buf)) }

// after is the index of the first entry that ends after the place.
func (g *roomLog) after(place uint64) int {
	if place == g.base() {
		return 0
	}
	return sort.Search(len(g.entries), func(i int) bool { return g.entries[i].end > place })
}

// start is where entry i begins.
func (g *roomLog) start(i int) uint64 {
	if i == 0 {
		return g.base() // trimming keeps to entry boundaries
	}
	return g.entries[i-1].end
}

// append adds a message's frames to the logs of its room.
func (l *Loop) append(b *Broadcast) {
	r := l.rooms[b.Room]
	if r == nil {
		return
	}
	r.pos = b.Position
	for enc, g := range r.logs {
		if g == nil || len(b.Frames[enc]) == 0 {
			continue
		}
		if g.buf == nil {
			g.entries = l.spareEntries.get()
		}
		switch n := len(b.Frames[enc]); {
		case g.buf == nil && n > maxSpareSize: // shared, not copied; what comes after it is appended to a copy
			g.buf = b.Frames[enc][:n:n]
		case g.buf == nil:
			g.buf = l.spare.get()
			fallthrough
		default:
			g.buf = append(g.buf, b.Frames[enc]...)
		}
		g.head += uint64(len(b.Frames[enc]))
		e := entry{end: g.head, sent: b.Sent}
		if b.Skip != 0 {
			if s := l.byID(b.Skip); s != nil {
				if i := s.memberOf(g); i >= 0 {
					e.skip = b.Skip
					g.members[i].skips = true
				}
			}
		}
		g.entries = append(g.entries, e)
		if !g.dirty {
			g.dirty = true
			l.dirty = append(l.dirty, g)
		}
	}
}

// flushLog has every member sent what it has not got yet.
func (l *Loop) flushLog(g *roomLog) {
	if len(g.buf) == 0 {
		return
	}
	var (
		base  = g.base()
		last  = g.head // the cursor for which count holds
		count uint32   // messages from last to head
	)
	g.behind = 0
	for i := range g.members {
		m := &g.members[i]
		if m.cursor == g.head {
			continue
		}
		s := m.socket
		if s.batched {
			l.submit() // what comes now must not overtake it
		}
		switch {
		case s.blocked:
			g.behind++
			if g.head-m.cursor > uint64(l.cfg.SlowLimit) {
				l.slow = append(l.slow, s)
			}
		case m.skips:
			if !l.sendMember(g, m) {
				g.behind++
			}
		default:
			if m.cursor != last {
				last, count = m.cursor, uint32(len(g.entries)-g.after(m.cursor))
			}
			l.carried.add(count, g.head-m.cursor)
			l.enqueue(outgoing{socket: s, data: g.buf[m.cursor-base:], log: g, member: int32(i), count: count})
		}
	}
}

// sentLog takes in what became of sending a member all that the log has for it.
func (l *Loop) sentLog(o *outgoing) {
	g := o.log
	m := &g.members[o.member]
	l.stats.BytesOut.Add(uint64(o.n))
	if o.n == len(o.data) {
		m.cursor = g.head
		l.stats.Delivered.Add(uint64(o.count))
		return
	}
	g.behind++
	if !o.broken { // else it is behind until it is dropped, at the end of the flush
		l.stats.Delivered.Add(g.advance(m, o.n))
	}
}

// flushed lets go of what every member has got.
func (l *Loop) flushed(g *roomLog) {
	g.dirty = false
	if len(g.buf) == 0 {
		return
	}
	l.observe(g)
	if g.behind == 0 {
		l.giveBack(g)
		return
	}
	lowest := g.head
	for i := range g.members {
		lowest = min(lowest, g.members[i].cursor)
	}
	g.trim(lowest)
}

// observe records how long the messages of this flush took from their publishing, on this
// instance's clock, to here. Each message is recorded once, and is no longer timed after.
func (l *Loop) observe(g *roomLog) {
	if l.cfg.Latency == nil {
		return
	}
	now := int64(0)
	for i := len(g.entries) - 1; i >= 0 && g.entries[i].sent != 0; i-- {
		if now == 0 {
			now = l.nanotime()
		}
		l.cfg.Latency.Observe(float64(now-g.entries[i].sent) / 1e9)
		g.entries[i].sent = 0
	}
}

// advance moves a member's cursor after a short send and notes whether it stands within a frame.
// It returns how many messages were completed.
func (g *roomLog) advance(m *member, n int) (completed uint64) {
	from := g.after(m.cursor)
	m.cursor += uint64(n)
	to := g.after(m.cursor)
	m.socket.mid = nil
	if m.cursor != g.head && m.cursor != g.start(to) {
		m.socket.mid = g
	}
	m.socket.block()
	return uint64(to - from)
}

// sendMember sends one member what it has not got yet, leaving out what is not for it. It reports
// whether the member is at the head now.
func (l *Loop) sendMember(g *roomLog, m *member) bool {
	s, id := m.socket, uint64(0)
	if m.skips {
		id = s.ID()
	}
	for m.cursor < g.head {
		// The longest run of entries that are for this member.
		i := g.after(m.cursor)
		if id != 0 && g.entries[i].skip == id && s.mid != g {
			m.cursor = g.entries[i].end
			continue
		}
		end := g.head
		if id != 0 {
			j := i + 1
			for j < len(g.entries) && g.entries[j].skip != id {
				j++
			}
			end = g.entries[j-1].end
		}
		part := g.buf[m.cursor-g.base() : end-g.base()]
		n, ok := s.write(part)
		l.stats.BytesOut.Add(uint64(n))
		if !ok {
			l.gone = append(l.gone, s)
			return false
		}
		if n < len(part) {
			l.stats.Delivered.Add(g.advance(m, n))
			return false
		}
		l.stats.Delivered.Add(uint64(g.after(end) - i))
		m.cursor = end
		if s.mid == g {
			s.mid = nil
		}
	}
	m.skips = false
	return true
}

// caughtUp is called when a member that was behind reached the head outside of a flush.
func (l *Loop) caughtUp(g *roomLog) {
	if g.behind > 0 {
		g.behind--
	}
	if g.behind == 0 && !g.dirty {
		l.giveBack(g)
	}
}

// giveBack gives the log's memory back; every cursor is at the head.
func (l *Loop) giveBack(g *roomLog) {
	if g.buf == nil {
		return
	}
	l.spare.put(g.buf)
	l.spareEntries.put(g.entries)
	g.buf, g.entries = nil, nil
}

// trim drops what is before the place, when that is worth a copy.
func (g *roomLog) trim(lowest uint64) {
	if len(g.buf) < 64<<10 || lowest-g.base() < uint64(len(g.buf)/2) {
		return
	}
	i := g.after(lowest) // keep the whole entry that a cursor stands in
	cut := int(g.start(i) - g.base())
	g.buf = append(make([]byte, 0, len(g.buf)-cut), g.buf[cut:]...)
	g.entries = append(make([]entry, 0, len(g.entries)-i), g.entries[i:]...)
}

// Join makes the socket a member of a room, in an encoding, from the next message on. It returns
// the position of the newest message that it will not get. A socket that is a member stays one.
func (s *Socket) Join(name string, enc Encoding, pos pubsub.Position) pubsub.Position {
	l := s.loop
	r := l.rooms[name]
	if r == nil {
		r = &room{name: name, pos: pos}
		l.rooms[name] = r
		l.stats.Rooms.Add(1)
	}
	g := r.logs[enc]
	if g == nil {
		g = &roomLog{room: r, enc: enc}
		r.logs[enc] = g
	}
	if s.memberOf(g) < 0 && s.state == open {
		s.members = append(s.members, membership{g, int32(len(g.members))})
		g.members = append(g.members, member{socket: s, cursor: g.head})
		l.stats.Members.Add(1)
	}
	return r.pos
}

// Leave ends the socket's membership and reports whether there was one.
func (s *Socket) Leave(name string) bool {
	for i, m := range s.members {
		if m.log.room.name == name {
			s.loop.leave(s, i)
			return true
		}
	}
	return false
}

// EachRoom calls fn with the rooms that the socket is a member of.
func (s *Socket) EachRoom(fn func(name string)) {
	for _, m := range s.members {
		fn(m.log.room.name)
	}
}

// Rooms is the number of rooms that the socket is a member of.
func (s *Socket) Rooms() int { return len(s.members) }

// Member reports whether the socket is a member of the room.
func (s *Socket) Member(name string) bool {
	for _, m := range s.members {
		if m.log.room.name == name {
			return true
		}
	}
	return false
}

// memberOf is the socket's index in a log's members, or -1.
func (s *Socket) memberOf(g *roomLog) int {
	for _, m := range s.members {
		if m.log == g {
			return int(m.index)
		}
	}
	return -1
}

// leave removes the socket's i-th membership. A frame that is half sent is kept for sending.
func (l *Loop) leave(s *Socket, i int) {
	g, at := s.members[i].log, s.members[i].index
	m := g.members[at]
	if s.mid == g {
		end := g.entries[g.after(m.cursor)].end
		rest := g.buf[m.cursor-g.base() : end-g.base()]
		s.out = append(append(make([]byte, 0, len(rest)+len(s.out)), rest...), s.out...)
		s.mid = nil
		s.listOut()
	}
	last := len(g.members) - 1
	if moved := g.members[last].socket; moved != s {
		g.members[at] = g.members[last]
		for j := range moved.members {
			if moved.members[j].log == g {
				moved.members[j].index = at
			}
		}
	}
	g.members[last] = member{}
	g.members = g.members[:last]
	if cap(g.members) > 64 && last < cap(g.members)/4 {
		g.members = append(make([]member, 0, 2*last), g.members...)
	}
	s.members[i] = s.members[len(s.members)-1]
	s.members[len(s.members)-1] = membership{}
	s.members = s.members[:len(s.members)-1]
	l.stats.Members.Add(-1)
	if m.cursor != g.head && !g.dirty {
		l.caughtUp(g)
	}
	if last == 0 {
		l.dropLog(g)
	}
}

func (l *Loop) leaveAll(s *Socket) {
	for len(s.members) > 0 {
		l.leave(s, len(s.members)-1)
	}
	s.members = nil
}

// dropLog forgets a log without members, and its room when that was the last.
func (l *Loop) dropLog(g *roomLog) {
	l.giveBack(g)
	g.head, g.behind = 0, 0
	r := g.room
	r.logs[g.enc] = nil
	for _, other := range r.logs {
		if other != nil {
			return
		}
	}
	delete(l.rooms, r.name)
	l.stats.Rooms.Add(-1)
}

// skipAhead moves a slow socket to the head of the logs in which it is too far behind.
func (l *Loop) skipAhead(s *Socket) {
	for i := 0; i < len(s.members); i++ {
		g := s.members[i].log
		m := &g.members[s.members[i].index]
		if g.head-m.cursor <= uint64(l.cfg.SlowLimit) {
			continue
		}
		if s.mid == g { // finish the frame that is half sent
			end := g.entries[g.after(m.cursor)].end
			rest := g.buf[m.cursor-g.base() : end-g.base()]
			s.out = append(append(make([]byte, 0, len(rest)+len(s.out)), rest...), s.out...)
			s.mid = nil
		}
		m.cursor, m.skips = g.head, false
		if !g.dirty {
			l.caughtUp(g)
		}
		l.stats.Skipped.Add(1)
		s.handler.Skipped(s, g.room.name, g.room.pos)
	}
}
