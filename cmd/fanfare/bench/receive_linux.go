package bench

import (
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxCarry is the room for unfinished frames that a socket keeps, in bytes.
const maxCarry = 4 << 10

// readable reads once, into the loop's buffer or, where a large frame is under way, right behind what came of
// it; epoll tells again if there is more.
func (l *loop) readable(s *socket) {
	b, kept := l.buf, len(s.carry)
	if kept > maxCarry {
		b = s.carry[:cap(s.carry)]
	} else {
		copy(b, s.carry)
	}
	n, errno := recv(s.fd, b[kept:])
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
		return
	case errno != 0:
		l.end(s, errno.Error()+" by the server")
		return
	case n == 0:
		l.end(s, "connection closed by the server without a close frame")
		return
	}
	l.now = l.r.clock()
	rest := l.consume(s, b[:kept+n])
	switch large := cap(s.carry) > maxCarry; {
	case s.state == ended:
	case large && len(rest) == kept+n && len(rest) < cap(s.carry):
		s.carry = rest // where it is
	case len(rest) > maxCarry:
		s.carry = append(l.largeCarry(max(frameLength(rest), 2*len(rest))), rest...)
	case large:
		l.carries = append(l.carries, s.carry)
		s.carry = append([]byte(nil), rest...)
	default:
		s.carry = append(s.carry[:0], rest...)
	}
}

// largeCarry is an empty slice with room for size bytes.
func (l *loop) largeCarry(size int) (b []byte) {
	if n := len(l.carries); n > 0 {
		b, l.carries = l.carries[n-1][:0], l.carries[:n-1]
	}
	return slices.Grow(b, size)
}

// consume handles all that is complete in b and returns the rest.
func (l *loop) consume(s *socket, b []byte) []byte {
	if s.state == upgrading {
		var ok bool
		if b, ok = l.upgraded(s, b); !ok {
			return b
		}
	}
	for len(b) > 0 {
		first, payload, n, err := nextFrame(b, len(l.buf))
		if err != nil {
			l.end(s, err.Error())
			return nil
		}
		if n == 0 {
			return b
		}
		switch {
		case first == finBit|opText:
			l.message(s, payload)
		case first&rsv1Bit != 0:
			l.compressed(s, first, payload)
		default:
			l.otherFrame(s, first, payload)
		}
		if s.state == ended {
			return nil
		}
		b = b[n:]
	}
	return nil
}

// otherFrame handles what is not a whole text message: control frames and fragments.
func (l *loop) otherFrame(s *socket, first byte, payload []byte) {
	switch first &^ finBit {
	case opContinuation, opText, opBinary:
		if len(s.parts)+len(payload) > len(l.buf) {
			l.end(s, errTooLong.Error())
			return
		}
		s.parts = append(s.parts, payload...)
		if first&finBit != 0 {
			whole := s.parts
			s.parts = nil
			l.message(s, whole)
		}
	case opPing:
		l.queue(s, opPong, payload)
	case opPong:
	case opClose:
		l.end(s, closeReason(payload))
	default:
		l.end(s, "a frame with an unknown opcode")
	}
}

const messagePrefix = `{"type":"message"`

// message handles one whole message of the server.
func (l *loop) message(s *socket, p []byte) {
	if len(p) > len(messagePrefix) && string(p[:len(messagePrefix)]) == messagePrefix {
		l.delivered(s, p)
		return
	}
	l.command(s, p)
}

// command handles what is rarer than messages.
func (l *loop) command(s *socket, p []byte) {
	if strings.HasPrefix(string(p[:min(len(p), 13)]), `{"type":"ack"`) {
		l.acked(s, p)
		return
	}
	var m struct{ Type, Code string }
	if err := json.Unmarshal(p, &m); err != nil {
		l.counts.corrupt++
		return
	}
	switch m.Type {
	case "welcome":
		l.welcomed(s)
	case "joined":
		l.joined(s)
	case "error":
		l.refused(s, m.Code, numberAfter(p, idKey))
	case "message":
		l.delivered(s, p)
	}
}
