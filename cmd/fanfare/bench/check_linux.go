package bench

import "bytes"

// checks is what a loop remembers to know whether its sockets got every message
// once and in order. A pair is a socket and one of its rooms; a track is a pair
// and one publisher of the room. Owned by the loop.
type checks struct {
	seen    []uint32 // a track: the highest sequence number so far
	order   []uint64 // a pair: hash of (publisher, seq) in the order received
	spoilt  []bool   // a pair: something was missing, so its hash means nothing
	missing map[lostKey]struct{}
	members []int32 // a room: the loop's live sockets in it
	latency histogram
	calm    histogram // before the storm
	dataAt  int       // where `"data":{` was in the last message

	slots    []slot // a publisher: its last messages, in a ring, while saturating
	slotMask uint32
}

// lostKey names a message that a socket has not got, though it got a later one.
type lostKey struct {
	track int
	seq   uint32
}

// maxMissing bounds the memory for lost messages: beyond, one that comes late counts as a duplicate.
const maxMissing = 4 << 20

// slot counts the loop's members that a message has still to reach.
type slot struct {
	seq  uint32
	left int32
}

func (c *checks) init(r *run, sockets int) {
	if !r.checked() {
		c.members = make([]int32, max(r.Rooms, 0))
		return
	}
	c.seen = make([]uint32, sockets*r.RoomsPerSocket*r.perRoom)
	c.order = make([]uint64, sockets*r.RoomsPerSocket)
	c.spoilt = make([]bool, sockets*r.RoomsPerSocket)
	c.missing = make(map[lostKey]struct{})
	c.members = make([]int32, r.Rooms)
	if r.saturating() {
		c.slotMask = uint32(r.ring - 1)
		c.slots = make([]slot, r.Publishers*r.ring)
	}
}

const dataKey = `"data":{`

// delivered checks and counts one message. This is the hot path.
func (l *loop) delivered(s *socket, p []byte) {
	at := l.dataAt
	if len(p) < at+len(dataKey) || string(p[at:at+len(dataKey)]) != dataKey {
		if at = bytes.Index(p, []byte(dataKey)); at < 0 {
			l.counts.corrupt++
			return
		}
		l.dataAt = at
	}
	st, ok := readData(p[at+len(dataKey)-1:], l.r.pattern)
	if !ok || int64(st.pub) >= int64(l.r.Publishers) {
		l.counts.corrupt++
		return
	}
	if l.phase == resuming {
		l.replay(st)
		return
	}
	if st.run != l.r.id || !s.member || !l.r.checked() {
		l.counts.strays++
		return
	}
	pair, ok := l.pair(s, int(l.r.pubRoom[st.pub]))
	if !ok {
		l.counts.strays++
		return
	}
	track := pair*l.r.perRoom + int(l.r.pubPlace[st.pub])
	if st.seq != l.seen[track]+1 {
		if !l.unexpected(pair, track, st) {
			return
		}
	} else {
		l.seen[track] = st.seq
		l.credit(st.pub, st.seq)
	}
	l.order[pair] = (l.order[pair] ^ (uint64(st.pub)<<32 | uint64(st.seq))) * 0x9E3779B97F4A7C15
	l.counts.delivered++
	if l.phase == measuring || l.phase == storming {
		l.latency.add(l.now - st.at)
	}
}

// pair is the index of a socket and a room; false if the socket has not joined it.
func (l *loop) pair(s *socket, room int) (int, bool) {
	j := room - int(s.room)
	if j < 0 {
		j += l.r.Rooms
	}
	return int(s.index)*l.r.RoomsPerSocket + j, j < l.r.RoomsPerSocket
}

// unexpected: a message is not the next of its publisher. It says whether to count it as delivered.
func (l *loop) unexpected(pair, track int, st stamp) bool {
	last := l.seen[track]
	if st.seq <= last {
		lost := lostKey{track, st.seq}
		if _, ok := l.missing[lost]; !ok {
			l.counts.duplicates++
			return false
		}
		delete(l.missing, lost)
		l.counts.lost--
		l.counts.outOfOrder++
		return true
	}
	l.spoilt[pair] = true
	l.counts.lost += int64(st.seq - last - 1)
	for seq := last + 1; seq < st.seq && len(l.missing) < maxMissing; seq++ {
		l.missing[lostKey{track, seq}] = struct{}{}
	}
	if l.slots != nil { // whoever waits for these waits for this socket no more
		for seq := max(last, st.seq-min(st.seq, l.slotMask)) + 1; seq < st.seq; seq++ {
			l.credit(st.pub, seq)
		}
	}
	l.seen[track] = st.seq
	l.credit(st.pub, st.seq)
	return true
}

// credit: one member less to wait for, and if it was the loop's last, one loop less.
func (l *loop) credit(pub, seq uint32) {
	if l.slots == nil {
		return
	}
	s := &l.slots[int(pub)*l.r.ring+int(seq&l.slotMask)]
	if s.seq != seq {
		if seq < s.seq {
			return
		}
		*s = slot{seq: seq, left: l.members[l.r.pubRoom[pub]]}
	}
	if s.left--; s.left == 0 {
		l.r.reached(l, pub, seq)
	}
}

// addMember counts the loop's members of a room, and the loops that have some.
func (l *loop) addMember(room int, n int32) {
	was := l.members[room]
	l.members[room] += n
	l.r.live[room].Add(n)
	switch {
	case was == 0:
		l.r.roomLoops[room].Add(1)
	case l.members[room] == 0:
		l.r.roomLoops[room].Add(-1)
	}
}

// leave takes an ended socket out of its rooms and out of what is waited for.
func (l *loop) leave(s *socket) {
	for j := range l.r.RoomsPerSocket {
		room := (int(s.room) + j) % l.r.Rooms
		l.addMember(room, -1)
		if l.slots == nil {
			continue
		}
		pair, _ := l.pair(s, room)
		for pub := room; pub < l.r.Publishers; pub += l.r.Rooms {
			last := l.seen[pair*l.r.perRoom+pub/l.r.Rooms]
			top := l.r.published[pub].Load()
			for seq := max(last, top-min(top, l.slotMask)) + 1; seq <= top; seq++ {
				if l.slots[pub*l.r.ring+int(seq&l.slotMask)].seq == seq {
					l.credit(uint32(pub), seq)
				}
			}
		}
	}
}
