package bench

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// describe is the configuration as the report repeats it.
func (r *run) describe() Setup {
	s := Setup{URLs: r.URLs, Sockets: r.Sockets, Rooms: max(r.Rooms, 0), RoomsPerSocket: r.RoomsPerSocket, Threads: r.Threads, Idle: r.Idle, Compression: r.Compression,
		Identity: r.identity(), Ingest: r.Ingest, Stalled: r.Stalled, Storm: r.Storm, Resume: r.Resume}
	if r.Idle {
		return s
	}
	s.Publishers, s.Size = r.Publishers, r.Size
	if r.saturating() {
		s.InFlight = r.InFlight
	} else {
		s.Rate = r.Rate
	}
	return s
}

// finish adds what is known only when the loops have ended.
func (r *run) finish(rep *Report) {
	var c counts
	var h, calm, acks histogram
	for _, l := range r.loops {
		c.add(&l.counts)
		h.merge(&l.latency)
		calm.merge(&l.calm)
		acks.merge(&l.ackLatency)
	}
	rep.Opened, rep.Failed, rep.Closed = c.opened, c.failed, c.closed
	rep.Lost, rep.Duplicates, rep.OutOfOrder = c.lost, c.duplicates, c.outOfOrder
	rep.Corrupt, rep.Strays, rep.HeldBack, rep.Stalls = c.corrupt, c.strays, c.heldBack, c.stalls
	if rep.Storm != nil {
		rep.Storm.Latency, h = h.latency(), calm
	}
	if rep.Ingest != nil {
		rep.Ingest.Latency = acks.latency()
		for _, l := range r.loops {
			rep.Ingest.Unanswered += int64(l.sent - l.done.Load() - l.abandoned)
		}
	}
	if r.checked() {
		rep.Lost += r.lostAtEnd()
		rep.Disagree, rep.Uncompared = r.compareOrders()
		rep.Latency = h.latency()
		rep.Latencies = h.bars()
	}
	rep.Compressed = c.compressed
	rep.Errors = maps.Clone(r.faults)
}

func us(d time.Duration) float64 { return float64(d) / 1e3 }

// lostAtEnd counts, for all live members, the messages after the last one they got. Of a
// publisher whose socket has ended, only what somebody got is known to have been sent.
func (r *run) lostAtEnd() (lost int64) {
	gone := make([]bool, r.Publishers)
	tops := make([]uint32, r.Publishers)
	for p := range tops {
		gone[p] = r.loops[p%r.Threads].sockets[p/r.Threads].state == ended
		if !gone[p] {
			tops[p] = r.published[p].Load()
		}
	}
	r.eachMember(func(l *loop, room, pair int) {
		for p := room; p < r.Publishers; p += r.Rooms {
			if gone[p] {
				tops[p] = max(tops[p], l.seen[pair*r.perRoom+p/r.Rooms])
			}
		}
	})
	r.eachMember(func(l *loop, room, pair int) {
		for p := room; p < r.Publishers; p += r.Rooms {
			if missing := int64(tops[p]) - int64(l.seen[pair*r.perRoom+p/r.Rooms]); missing > 0 {
				lost += missing
				l.spoilt[pair] = true
			}
		}
	})
	return lost
}

// eachMember calls f for each room of each live member.
func (r *run) eachMember(f func(l *loop, room, pair int)) {
	for _, l := range r.loops {
		for i := range l.sockets {
			s := &l.sockets[i]
			if !s.member || s.state == ended {
				continue
			}
			for j := range r.RoomsPerSocket {
				f(l, (int(s.room)+j)%r.Rooms, i*r.RoomsPerSocket+j)
			}
		}
	}
}

// compareOrders counts the members whose messages of several publishers came in another
// order than most members of the room saw, and those that cannot be compared because they
// lost some or got some late (they are counted there).
func (r *run) compareOrders() (disagree, uncompared int64) {
	orders := make([]map[uint64]int64, r.Rooms) // a room: how many members have which hash
	r.eachMember(func(l *loop, room, pair int) {
		if l.spoilt[pair] {
			uncompared++
			return
		}
		if orders[room] == nil {
			orders[room] = map[uint64]int64{}
		}
		orders[room][l.order[pair]]++
	})
	for _, members := range orders {
		var all, most int64
		for _, n := range members {
			all += n
			most = max(most, n)
		}
		disagree += all - most
	}
	return disagree, uncompared
}

// faultList is the faults as one line, for an error.
func (r *run) faultList() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(r.faults)) {
		parts = append(parts, fmt.Sprintf("%d × %s", r.faults[reason], reason))
	}
	return strings.Join(parts, "; ")
}

// add adds up what o counted; both loops have ended.
func (c *counts) add(o *counts) {
	c.opened += o.opened
	c.joined += o.joined
	c.failed += o.failed
	c.closed += o.closed
	c.published += o.published
	c.heldBack += o.heldBack
	c.stalls += o.stalls
	c.delivered += o.delivered
	c.lost += o.lost
	c.duplicates += o.duplicates
	c.outOfOrder += o.outOfOrder
	c.corrupt += o.corrupt
	c.strays += o.strays
	c.acked += o.acked
	c.replayed += o.replayed
	c.rejoined += o.rejoined
	c.compressed += o.compressed
}
