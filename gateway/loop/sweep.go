package loop

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/frame"
)

// There is no timer a socket. Once a second the clock ticks; a loop then looks at the sockets that
// are due at that second (handshakes, closing handshakes, tokens), and sweeps over a part of all
// its sockets for pings and idle ends.

// sweepSeconds is how long the sweep takes to visit every socket, for these intervals.
func (c *Config) sweepSeconds() int { return max(int(min(c.Ping, c.Idle)/time.Second)/8, 1) }

func seconds(d time.Duration) uint32 { return uint32((d + time.Second - 1) / time.Second) }

// dueAt has the socket looked at at a second of the clock.
func (l *Loop) dueAt(second uint32, s *Socket) {
	second = max(second, l.dueDone+1)
	l.due[second] = append(l.due[second], s.Ref())
}

// closeBy bounds the time in which the peer of a closing socket may end its side.
func (l *Loop) closeBy(s *Socket) {
	s.expires = l.clock + closeWait
	l.dueAt(s.expires, s)
}

// tick is called about once a second.
func (l *Loop) tick(clock uint32) {
	l.clock = clock
	l.spare.trim()
	l.spareEntries.trim()
	l.letGo = true
	for ; l.dueDone < clock; l.dueDone++ {
		second := l.dueDone + 1
		for _, r := range l.due[second] {
			if s := l.byRef(r); s != nil {
				l.lookAt(s, second)
			}
		}
		delete(l.due, second)
	}
	l.sweep(len(l.sockets)/l.cfg.sweepSeconds() + 1)
	if l.failed {
		l.failed = false
		l.heed()
	}
}

// lookAt ends a socket whose time is over; one that waits is looked at when it has its turn.
func (l *Loop) lookAt(s *Socket, second uint32) {
	switch s.state {
	case handshaking:
		l.refuse(s, l.group.door.Refuse(HandshakeTimeout))
	case closing:
		if s.expires <= second {
			s.drop(Lost)
		}
	case open:
		if s.expires != 0 && s.expires <= second {
			s.End(Expired)
		}
	}
}

// sweep visits the next n slots.
func (l *Loop) sweep(n int) {
	ping, idle := seconds(l.cfg.Ping), seconds(l.cfg.Idle)
	grain := uint32(l.cfg.sweepSeconds())
	for range min(n, len(l.sockets)) {
		if l.swept >= len(l.sockets) {
			l.swept = 0
		}
		s := l.sockets[l.swept]
		l.swept++
		if s == nil || s.state != open {
			continue
		}
		switch silent := l.clock - s.lastRead; {
		case silent+grain > idle:
			s.End(Idle)
		case silent >= ping && !s.pinged:
			s.pinged = true
			s.queue(frame.AppendFrame(l.small[:0], ws.OpPing, nil))
		}
	}
}
