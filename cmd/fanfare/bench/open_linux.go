package bench

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// openSome begins as many connections as may be begun now.
func (l *loop) openSome() {
	limit := max(l.r.Connects/l.r.Threads, 1)
	for l.opened < len(l.sockets) && l.opening < limit && l.mayOpen() {
		s := &l.sockets[l.opened]
		l.opened++
		l.opening++
		s.since = l.r.clock()
		s.state = connecting
		t := l.r.targetOf(int(s.number))
		fd, err := t.dial(int(s.number) / len(l.r.targets))
		if err != nil {
			l.end(s, "connecting: "+describe(err))
			continue
		}
		s.fd, s.events = int32(fd), unix.EPOLLOUT
		if int(s.number) >= l.r.Sockets-l.r.Stalled {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1) // the least there is
		}
		if err := l.watch(fd, s.index, s.events); err != nil {
			l.end(s, "epoll_ctl: "+describe(err))
		}
	}
}

// mayOpen holds Config.ConnectRate.
func (l *loop) mayOpen() bool {
	if l.r.ConnectRate == 0 {
		return true
	}
	due := float64(l.now-l.entered) / 1e9 * l.r.ConnectRate / float64(l.r.Threads)
	return float64(l.opened) <= due
}

// connected sends the upgrade, or finds out why there is no connection.
func (l *loop) connected(s *socket) {
	no, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && no != 0 {
		err = unix.Errno(no)
	}
	if err != nil {
		l.end(s, "connecting: "+describe(err))
		return
	}
	s.state = upgrading
	s.out = l.r.request(s.out, int(s.number))
	l.flush(s)
}

// upgraded reads the answer to the upgrade; it returns what comes after it, or
// false if there is nothing further to read.
func (l *loop) upgraded(s *socket, b []byte) ([]byte, bool) {
	n, reason := readUpgrade(b, l.r.Compression)
	if reason != "" {
		l.end(s, reason)
		return nil, false
	}
	if n > 0 {
		s.state = welcoming
	}
	return b[n:], n > 0
}

// welcomed: the socket is open.
func (l *loop) welcomed(s *socket) {
	if s.state != welcoming {
		return
	}
	s.state = open
	l.counts.opened++
	l.opening--
	l.settled()
}

// joinAll asks for all rooms of all open sockets.
func (l *loop) joinAll() {
	for i := range l.sockets {
		s := &l.sockets[i]
		if s.state != open {
			continue
		}
		l.waiting++
		s.since = l.now
		s.joins = int32(l.r.RoomsPerSocket)
		for j := range l.r.RoomsPerSocket {
			room := (int(s.room) + j) % l.r.Rooms
			l.queue(s, opText, []byte(`{"type":"join","room":"`+l.r.rooms[room]+`","id":`+strconv.Itoa(j+1)+`}`))
		}
	}
}

// joined: one room has answered.
func (l *loop) joined(s *socket) {
	if s.joins == 0 {
		return
	}
	if s.member {
		l.rejoined(s)
		return
	}
	if s.joins--; s.joins > 0 {
		return
	}
	l.counts.joined++
	if int(s.number) >= l.r.Sockets-l.r.Stalled {
		s.deaf = true
		l.listen(s, 0)
		l.settled()
		return
	}
	s.member = true
	for j := range l.r.RoomsPerSocket {
		l.addMember((int(s.room)+j)%l.r.Rooms, 1)
	}
	l.settled()
}

// refused: the server answered with an error frame.
func (l *loop) refused(s *socket, code string, id int64) {
	reason := "error frame: " + code
	if _, ok := l.answered(s, id); ok {
		l.r.fault(reason)
		return
	}
	if s.joins > 0 {
		l.end(s, reason)
		return
	}
	l.r.fault(reason)
}

// end closes a socket and counts why.
func (l *loop) end(s *socket, reason string) {
	if s.state == ended {
		return
	}
	l.r.fault(reason)
	was := s.state
	s.state = ended
	if s.fd >= 0 {
		_ = unix.Close(int(s.fd))
	}
	s.carry, s.parts, s.out = nil, nil, nil
	if was < open {
		l.counts.failed++
		l.opening--
		l.settled()
		return
	}
	l.counts.closed++
	if s.joins > 0 {
		s.joins = 0
		l.settled()
	}
	if s.member {
		l.leave(s)
	}
}

// endDeaf closes a stalled socket that the server has given up, as it may.
func (l *loop) endDeaf(s *socket) {
	if s.state != ended {
		s.state = ended
		_ = unix.Close(int(s.fd))
	}
}

// closeAll says goodbye to the servers; what cannot be sent at once is not.
func (l *loop) closeAll() {
	bye := appendFrame(nil, opClose, []byte{1000 >> 8, 1000 & 0xff})
	for i := range l.sockets {
		s := &l.sockets[i]
		if s.state == open && len(s.out) == 0 {
			_, _ = send(s.fd, bye)
		}
		if s.state != ended && s.fd >= 0 {
			_ = unix.Close(int(s.fd))
		}
	}
}

// closeReason is a close frame in words, RFC 6455 §5.5.1.
func closeReason(payload []byte) string {
	if len(payload) < 2 {
		return "closed by the server without a code"
	}
	code := int(payload[0])<<8 | int(payload[1])
	if len(payload) == 2 {
		return fmt.Sprintf("closed by the server with %d", code)
	}
	return fmt.Sprintf("closed by the server with %d %.60q", code, payload[2:])
}
