package loop

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Door lets connections in. Its methods are called from many goroutines and must not wait.
type Door interface {
	// Admit decides on a whole header block, which ends with an empty line and is valid only
	// during the call. full tells that no more sockets are to be opened.
	Admit(block []byte, p Peer, full bool) Verdict
	// Refuse is the answer to a connection that does not get as far as Admit.
	Refuse(r Refusal) []byte
	// Pass takes over a connection that is for the HTTP server; the first bytes are read again.
	Pass(c net.Conn)
}

// Peer is the other side of a connection at the door.
type Peer interface {
	Addr() netip.AddrPort
	TLS() bool
}

// Verdict is what Admit decides. Either HTTP, or a Response that is sent; then the connection
// goes on with Handler until Expires (zero: for ever), or is closed if that is nil.
type Verdict struct {
	HTTP     bool
	Response []byte
	Handler  Handler
	Expires  time.Time
}

// Refusal is why a connection does not get as far as Admit.
type Refusal uint8

const (
	// Malformed: no HTTP.
	Malformed Refusal = iota
	// HeaderTooLarge: no end of the header block within MaxHeader.
	HeaderTooLarge
	// HandshakeTimeout: no end of the header block within HandshakeTimeout.
	HandshakeTimeout
	// Crowded: too many connections even for an answer; what Refuse returns is not sent.
	Crowded
)

// headerBlock finds the end of a header block. from is where the bytes that were looked at end.
func headerBlock(data []byte, from, limit int) (end int, bad bool, r Refusal) {
	if data[0] < 'A' || data[0] > 'Z' { // no HTTP method; a TLS client hello, say
		return 0, true, Malformed
	}
	from = max(from-3, 0)
	i := bytes.Index(data[from:], []byte("\r\n\r\n"))
	if end = from + i + 4; i >= 0 && end <= limit {
		return end, false, 0
	}
	if i >= 0 || len(data) > limit {
		return 0, true, HeaderTooLarge
	}
	return 0, false, 0
}

// prefixed is a connection for the HTTP server, whose first bytes were read already. It counts
// against what the group may hold until it is closed.
type prefixed struct {
	net.Conn
	first  []byte
	group  *Group
	closed sync.Once
}

func (g *Group) prefixed(c net.Conn, first []byte) *prefixed {
	g.passed.Add(1)
	return &prefixed{Conn: c, first: first, group: g}
}

// Close closes the connection.
func (c *prefixed) Close() error {
	c.closed.Do(func() { c.group.passed.Add(-1) })
	return c.Conn.Close()
}

func (c *prefixed) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// fdPeer is the other side of a descriptor.
type fdPeer int32

func (p fdPeer) Addr() netip.AddrPort { return peerFD(int32(p)) }
func (p fdPeer) TLS() bool            { return false }

// adopt makes a connection the loop's own, to be read for its header block.
func (l *Loop) adopt(fd int32) {
	s := &Socket{fd: fd}
	l.add(s)
	s.expires = l.clock + seconds(l.cfg.HandshakeTimeout)
	l.dueAt(s.expires, s)
	l.hear(s) // a client that speaks at once is often here already
}

// hear reads what a socket in the handshake has said, and watches it for more.
func (l *Loop) hear(s *Socket) {
	s.state = handshaking
	if err := l.poller.add(s.fd, s.Ref()); err != nil {
		l.log.Warn("watching a connection", "error", err)
		s.drop(Lost)
		return
	}
	l.readable(s)
	if s.state == handshaking && s.expires <= l.dueDone { // while it waited
		l.lookAt(s, s.expires)
	}
}

// readable reads what is there, with a bound so that one socket does not hold up the others.
func (l *Loop) readable(s *Socket) {
	for range 4 {
		if s.state == dead {
			return
		}
		n, again := readFD(s.fd, l.buf)
		if again {
			return
		}
		l.gotBytes(s, l.buf[:n])
		if n < len(l.buf) {
			return
		}
	}
}

// handshake takes the next bytes of a header block.
func (l *Loop) handshake(s *Socket, data []byte) {
	seen := len(s.out)
	if seen > 0 {
		s.out = append(s.out, data...)
		data = s.out
	}
	end, bad, why := headerBlock(data, seen, l.cfg.MaxHeader)
	switch {
	case bad:
		l.refuse(s, l.group.door.Refuse(why))
		return
	case end == 0:
		if seen == 0 {
			s.out = bytes.Clone(data)
		}
		return
	}
	s.out = nil
	v := l.group.door.Admit(data[:end], fdPeer(s.fd), l.group.full())
	switch {
	case v.HTTP:
		l.pass(s, data)
	case v.Handler == nil:
		l.refuse(s, v.Response)
	default:
		rest := data[end:] // bytes that came with the handshake are the first frames
		s.queue(v.Response)
		l.opened(s, v)
		if len(rest) > 0 && s.state == open {
			s.received(rest)
		}
	}
}

// refuse answers with HTTP and closes.
func (l *Loop) refuse(s *Socket, response []byte) {
	s.out, s.state = nil, closing
	s.queue(response)
	l.closeBy(s)
}

// pass hands the connection to the HTTP server.
func (l *Loop) pass(s *Socket, data []byte) {
	first := bytes.Clone(data)
	s.state = dead
	l.poller.remove(s.fd)
	l.remove(s)
	conn, err := connFD(s.fd)
	if err != nil {
		l.log.Warn("handing a connection to the HTTP server", "error", err)
		return
	}
	l.group.door.Pass(l.group.prefixed(conn, first))
}
