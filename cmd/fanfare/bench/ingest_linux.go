package bench

import "bytes"

// ingest is a loop's publishing to rooms that nobody is in. Owned by the loop.
type ingest struct {
	asked      []question // by id, in a ring; nil: no ingest
	ackLatency histogram
	settledID  uint64 // questions up to this one were written off
}

// question is a message that waits for its ack; its id is its number among the loop's.
type question struct {
	id, at int64 // at: ns on the run's clock
	socket int32
}

// minAsked is the least size of the ring: at a rate, so many messages may wait for their acks.
const minAsked = 1 << 16

func (g *ingest) init(r *run, quota uint64) {
	if r.Ingest == 0 {
		return
	}
	size := minAsked
	for size < 2*int(quota) {
		size *= 2
	}
	g.asked = make([]question, size)
}

// ask remembers the loop's message number id.
func (g *ingest) ask(id uint64, socket int32, at int64) {
	g.asked[id&uint64(len(g.asked)-1)] = question{int64(id), at, socket}
}

// answered takes the question with this id out; false if socket has not asked it, or had an answer.
func (l *loop) answered(s *socket, id int64) (at int64, ok bool) {
	if l.asked == nil || id <= 0 {
		return 0, false
	}
	q := &l.asked[id&int64(len(l.asked)-1)]
	if q.id != id || q.socket != s.index {
		return 0, false
	}
	q.id = 0
	if uint64(id) > l.settledID {
		l.done.Add(1)
	}
	return q.at, true
}

var idKey = []byte(`"id":`)

// acked handles the ack of a published message.
func (l *loop) acked(s *socket, p []byte) {
	if l.asked == nil {
		return
	}
	at, ok := l.answered(s, numberAfter(p, idKey))
	if !ok {
		l.counts.strays++
		return
	}
	l.counts.acked++
	if l.phase == measuring {
		l.ackLatency.add(l.now - at)
	}
}

// numberAfter is the decimal number after key in p, 0 if there is none.
func numberAfter(p, key []byte) (n int64) {
	at := bytes.Index(p, key)
	if at < 0 {
		return 0
	}
	for _, c := range p[at+len(key):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int64(c-'0')
	}
	return n
}
