package protocol

import (
	"bytes"
	"errors"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// The plain protocols are for programs that just send and receive text. They have no error frame:
// what a client does wrong closes its socket, with the reason.

// limited ends a socket that is over its rate.
func limited(s Session) bool {
	if s.Take() {
		return false
	}
	s.End(loop.RateLimited)
	return true
}

// Echo answers each text with `Message text was: ` and the text, and sends binary messages back
// as they are.
type Echo struct{}

func (Echo) Encoding() loop.Encoding                  { return Plain }
func (Echo) Open(Session)                             {}
func (Echo) Skipped(Session, string, pubsub.Position) {}
func (Echo) Closed(Session)                           {}
func (Echo) Message(s Session, op ws.OpCode, payload []byte) {
	echo(s, op, payload, "Message text was: ")
}

func echo(s Session, op ws.OpCode, payload []byte, prefix string) {
	switch {
	case limited(s):
	case op == ws.OpBinary:
		s.Send(frame.AppendFrame(nil, ws.OpBinary, payload))
	default:
		text(s, prefix, string(payload))
	}
}

// Secure tells the user's name and then echoes; the door lets only those in who have a credential.
type Secure struct{}

func (Secure) Encoding() loop.Encoding                  { return Plain }
func (Secure) Skipped(Session, string, pubsub.Position) {}
func (Secure) Closed(Session)                           {}
func (Secure) Open(s Session)                           { text(s, "Authenticated with credential: ", s.User()) }
func (Secure) Message(s Session, op ws.OpCode, payload []byte) {
	echo(s, op, payload, "Secure echo: ")
}

// Chat is plain chat: in its room, to all but the one concerned, `Client #ID joined the chat`,
// `Client #ID says: TEXT`, `Client #ID left the chat`. Binary messages go to the others unchanged.
type Chat struct {
	ClientID, Room string
	joined         bool
	early          []pubsub.Message // sent before the join was done: they come after the notice of it
}

// maxEarly bounds the messages that a client may send before it has joined.
const maxEarly = 64

// Encoding is Plain.
func (c *Chat) Encoding() loop.Encoding { return Plain }

// Open joins the room and tells the others.
func (c *Chat) Open(s Session) {
	s.Join(c.Room, Want{Patience: true}, func(_ Joined, err error) {
		if err != nil {
			s.End(outcomeOf(err))
			return
		}
		c.joined = true
		c.publish(s, []byte("Client #"+c.ClientID+" joined the chat"))
		for _, m := range c.early {
			c.say(s, m)
		}
		c.early = nil
	})
}

// Message tells the others.
func (c *Chat) Message(s Session, op ws.OpCode, payload []byte) {
	if limited(s) {
		return
	}
	if !s.Allow(c.Room, auth.Publish) {
		s.End(loop.Forbidden)
		return
	}
	m := pubsub.Message{Target: pubsub.Room(c.Room), SkipOrigin: true}
	if op == ws.OpBinary {
		m.Kind, m.Payload = pubsub.Binary, bytes.Clone(payload)
	} else {
		prefix := "Client #" + c.ClientID + " says: "
		m.Payload = append(append(make([]byte, 0, len(prefix)+len(payload)), prefix...), payload...)
	}
	switch {
	case c.joined:
		c.say(s, m)
	case len(c.early) < maxEarly:
		c.early = append(c.early, m)
	default:
		s.End(loop.Unavailable)
	}
}

func (c *Chat) say(s Session, m pubsub.Message) {
	s.Publish(m, func(_ pubsub.Receipt, err error) {
		if err != nil { // never lose a text without a word
			s.End(outcomeOf(err))
		}
	})
}

// Skipped is not told: plain chat has no words for it.
func (c *Chat) Skipped(Session, string, pubsub.Position) {}

// Closed tells the others.
func (c *Chat) Closed(s Session) {
	if c.joined {
		c.publish(s, []byte("Client #"+c.ClientID+" left the chat"))
	}
}

func (c *Chat) publish(s Session, payload []byte) {
	s.Publish(pubsub.Message{Target: pubsub.Room(c.Room), SkipOrigin: true, Payload: payload}, nil)
}

func outcomeOf(err error) loop.Outcome {
	switch {
	case errors.Is(err, ErrForbidden), errors.Is(err, ErrTooManyRooms):
		return loop.Forbidden
	case errors.Is(err, pubsub.ErrUnavailable), errors.Is(err, pubsub.ErrClosed):
		return loop.Unavailable
	}
	return loop.Internal
}
