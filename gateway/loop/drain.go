package loop

import (
	"math/rand/v2"
	"time"
)

// drainStep is how often sockets are closed while draining.
const drainStep = 50 * time.Millisecond

// Leaver is a [Handler] that wants to tell its client that the instance is leaving, and after how
// long the client is to connect again; the socket is closed then.
type Leaver interface {
	Leaving(s *Socket, after time.Duration)
}

// Drain ends every socket with outcome Drained: in random order, evenly spread over a time, so that
// the clients do not all come back at once. A socket that still has something to be sent is left
// until it is sent. Who comes meanwhile is ended at once. Drain returns when every socket was told
// and its time has come, or at the deadline; then the rest is ended, sent or not.
func (g *Group) Drain(spread time.Duration, deadline time.Time) {
	began := time.Now()
	for _, l := range g.loops {
		l.Call(func() { l.drain(spread) })
	}
	tick := time.NewTicker(drainStep)
	defer tick.Stop()
	left := make(chan int, len(g.loops))
	for waiting := true; waiting; {
		now := <-tick.C
		if now.After(deadline) {
			break
		}
		waiting = false
		for _, l := range g.loops {
			if !l.Call(func() { left <- l.leaveUntil(now.Sub(began)) }) {
				left <- 0
			}
		}
		for range g.loops {
			waiting = <-left > 0 || waiting
		}
	}
	g.EndAll(Drained)
}

// leaving is a socket and when it is to be closed, from the beginning of the drain.
type leaving struct {
	ref   Ref
	after time.Duration
}

// drain gives every open socket its time, and tells it.
func (l *Loop) drain(spread time.Duration) {
	l.ending, l.endAs = true, Drained
	for _, s := range l.sockets {
		if s != nil && s.state == open {
			l.leaving = append(l.leaving, leaving{ref: s.Ref()})
		}
	}
	rand.Shuffle(len(l.leaving), func(i, j int) { l.leaving[i], l.leaving[j] = l.leaving[j], l.leaving[i] })
	for i := range l.leaving {
		v := &l.leaving[i]
		v.after = spread * time.Duration(i+1) / time.Duration(len(l.leaving))
		if s := l.byRef(v.ref); s != nil && s.state == open {
			if h, ok := s.handler.(Leaver); ok {
				h.Leaving(s, v.after)
			}
		}
	}
}

// leaveUntil closes the sockets whose time has come, and says how many are left.
func (l *Loop) leaveUntil(elapsed time.Duration) int {
	l.flush() // what came for them goes first
	kept := l.leaving[:0]
	for _, v := range l.leaving {
		s := l.byRef(v.ref)
		switch {
		case s == nil || s.state != open:
		case v.after > elapsed || s.blocked:
			kept = append(kept, v)
		default:
			s.End(Drained)
		}
	}
	l.leaving = kept
	return len(kept)
}
