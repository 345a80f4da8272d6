// Package protocol says how a socket's frames mean commands, one file a protocol: fanfare.v1, and
// the plain ones: chat, echo, secure.
//
// A protocol is called on the loop's goroutine and never waits; neither do the methods of
// [Session], whose callbacks are called on that goroutine too, and not at all once the socket has
// ended.
package protocol

import (
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// The encodings of a message, see [Encode].
const (
	JSON  loop.Encoding = iota // a fanfare.v1 object
	Plain                      // the payload alone

	// Deflated is added to one of them where compression was negotiated: its frame, compressed if that
	// makes it smaller (frame.Deflate).
	Deflated loop.Encoding = 2
)

// Errors of a [Session], beside those of the broker.
var (
	ErrForbidden    = errors.New("not permitted")
	ErrTooManyRooms = errors.New("too many rooms")
)

// Session is what a protocol may do with its socket.
type Session interface {
	// ID names the socket among all instances; Instance is this one's name; User is who it
	// belongs to, empty if not known; PingSeconds is the interval of the server's pings.
	ID() string
	Instance() string
	User() string
	PingSeconds() int
	// Take counts a message against the socket's rate and reports whether it is within it.
	Take() bool
	// Send queues whole frames for this socket alone; they are copied.
	Send(frames []byte)
	// Replay queues frames that were missed; they do not count for the slow limit.
	Replay(frames [][]byte)
	// Join makes the socket a member of a room.
	Join(room string, want Want, done func(Joined, error))
	// Leave ends the membership, once joins of that room under way are done, and done is told
	// whether there was one.
	Leave(room string, done func(bool))
	// Publish sends a message; From and Origin are filled in. The payload is not copied. done may
	// be nil.
	Publish(m pubsub.Message, done func(pubsub.Receipt, error))
	// Authenticate takes a fresh token for the same user.
	Authenticate(token string, done func(error))
	// Allow reports whether the socket may do that in the room.
	Allow(room string, a auth.Action) bool
	// End ends the socket; a reason other than the outcome's own may be given.
	End(o loop.Outcome, reason ...string)
}

// Want is what a socket that joins asks for.
type Want struct {
	// Patience: with the broker away, join when it is back rather than fail.
	Patience bool
	// Since is the newest position that the client has; it wants all that came after.
	Since *pubsub.Position
	// Last so many messages are wanted, unless Since is set.
	Last int
}

// Joined is the answer.
type Joined struct {
	// Position of the newest message that does not come live; zero in a room without history.
	Position pubsub.Position
	// Missed are whole frames, to be sent before any live message.
	Missed [][]byte
	// Recovered: Missed is all that came after Since.
	Recovered bool
}

// Protocol is one socket's protocol.
type Protocol interface {
	// Encoding in which the socket gets its messages.
	Encoding() loop.Encoding
	// Open is called once, first; for a known user when its messages are sure to come.
	Open(Session)
	// Message hands over a whole message; the payload is valid only during the call, unless
	// longer than frame.Reused.
	Message(s Session, op ws.OpCode, payload []byte)
	// Skipped tells that messages of a room up to the position were left out, the socket being slow.
	Skipped(s Session, room string, pos pubsub.Position)
	// Closed is called once, last. Nothing can be sent any more, but published.
	Closed(Session)
}

// Encode appends a message as the wire bytes of an encoding, JSON or Plain: one whole frame.
func Encode(dst []byte, enc loop.Encoding, m *pubsub.Message) []byte {
	if enc == JSON {
		return encodeJSON(dst, m)
	}
	// Whatever its kind says: a text frame that is not UTF-8 would end every member's socket (RFC 6455 §8.1).
	if m.Kind == pubsub.Binary || !utf8.Valid(m.Payload) {
		return frame.AppendFrame(dst, ws.OpBinary, m.Payload)
	}
	return frame.AppendFrame(dst, ws.OpText, m.Payload)
}

// CheckRoom reports why a name cannot be a room's: empty, over 255 bytes, not UTF-8, or with
// control characters in it.
func CheckRoom(name string) error {
	switch {
	case name == "":
		return errors.New("a room's name is needed")
	case len(name) > 255:
		return errors.New("a room's name has at most 255 bytes")
	case !utf8.ValidString(name):
		return errors.New("a room's name is UTF-8")
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return errors.New("a room's name has no control characters")
		}
	}
	return nil
}

// text sends one text frame.
func text(s Session, parts ...string) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := frame.AppendHeader(make([]byte, 0, n+10), ws.OpText, n)
	for _, p := range parts {
		b = append(b, p...)
	}
	s.Send(b)
}
