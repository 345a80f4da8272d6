package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// Fanfare is fanfare.v1: one JSON object a text frame, both ways. docs/protocol.md has it whole.
type Fanfare struct{}

// Subprotocol is the name of fanfare.v1 in Sec-WebSocket-Protocol.
const Subprotocol = "fanfare.v1"

// MaxKey is the length of an idempotency key in bytes.
const MaxKey = 255

// code is the word for what went wrong in an error frame.
type code string

const (
	badRequest  code = "bad_request"
	forbidden   code = "forbidden"
	unavailable code = "unavailable"
	rateLimited code = "rate_limited"
	notMember   code = "not_member"
	internal    code = "internal"
)

// Encoding is JSON.
func (Fanfare) Encoding() loop.Encoding { return JSON }

// Open sends the welcome.
func (Fanfare) Open(s Session) {
	w := begin("welcome").string("socket", s.ID()).string("instance", s.Instance()).string("user", s.User())
	w.int("ping", uint64(s.PingSeconds())).send(s)
}

// Leaving sends the drain notice.
func (Fanfare) Leaving(s Session, after time.Duration) {
	begin("drain").int("retry_ms", uint64(after.Milliseconds())).send(s)
}

// Closed has nothing to do.
func (Fanfare) Closed(Session) {}

// Skipped sends the gap notice.
func (Fanfare) Skipped(s Session, room string, pos pubsub.Position) {
	s.Send(EncodeGap(room, pos))
}

// Message carries out a command.
func (f Fanfare) Message(s Session, op ws.OpCode, payload []byte) {
	var c command
	var err error
	if op == ws.OpText {
		err = c.read(payload)
	}
	badID := false
	if bytes.Equal(c.ID, []byte("null")) {
		c.ID = nil
	} else if len(c.ID) > 0 && !plainID(c.ID) {
		c.ID, badID = nil, true
	}
	switch {
	case !s.Take():
		fail(s, c.ID, rateLimited, "too many messages")
		return
	case op != ws.OpText:
		fail(s, nil, badRequest, "send text frames with one JSON object each")
		return
	case badID:
		fail(s, nil, badRequest, "id is a number or a string of at most 64 bytes")
		return
	case err != nil:
		why := "not a JSON object"
		if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && t.Field != "" {
			why = "wrong type of " + t.Field
		}
		fail(s, c.ID, badRequest, why)
		return
	}
	switch c.Type {
	case "join":
		f.join(s, &c)
	case "leave":
		f.leave(s, &c)
	case "publish":
		f.publish(s, &c)
	case "send":
		f.sendTo(s, &c)
	case "auth":
		f.auth(s, &c)
	case "ping":
		begin("pong").id(c.ID).send(s)
	case "":
		fail(s, c.ID, badRequest, "type is needed")
	default:
		fail(s, c.ID, badRequest, "unknown type: want join, leave, publish, send, auth or ping")
	}
}

func (Fanfare) join(s Session, c *command) {
	if err := CheckRoom(c.Room); err != nil {
		fail(s, c.ID, badRequest, err.Error())
		return
	}
	want := Want{Last: c.Last}
	if c.Since != nil {
		since, err := c.Since.position()
		if err != nil {
			fail(s, c.ID, badRequest, err.Error())
			return
		}
		want.Since = &since
	}
	if c.Last < 0 {
		fail(s, c.ID, badRequest, "last is a number of messages")
		return
	}
	room, id, resumes := c.Room, c.ID, c.Since != nil
	s.Join(room, want, func(j Joined, err error) {
		if err != nil {
			failWith(s, id, err)
			return
		}
		w := begin("joined").string("room", room).id(id)
		if j.Position.Epoch != 0 {
			w = w.epoch(j.Position.Epoch).int("offset", j.Position.Offset)
		}
		if resumes {
			w = w.bool("recovered", j.Recovered)
		}
		w.send(s)
		s.Replay(j.Missed)
	})
}

// since is a position as clients send it back.
type since struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// position reads it. An epoch that is none of ours is one that no room has now.
func (c since) position() (pubsub.Position, error) {
	if c.Epoch == "" || len(c.Epoch) > 32 {
		return pubsub.Position{}, errors.New("since is the epoch and the offset of the last message seen")
	}
	epoch, err := strconv.ParseUint(c.Epoch, 16, 64)
	if err != nil {
		epoch = 0
	}
	return pubsub.Position{Epoch: epoch, Offset: c.Offset}, nil
}

func (Fanfare) leave(s Session, c *command) {
	room, id := c.Room, c.ID
	s.Leave(room, func(was bool) {
		if !was {
			fail(s, id, notMember, "not a member of this room")
			return
		}
		begin("left").string("room", room).id(id).send(s)
	})
}

func (Fanfare) publish(s Session, c *command) {
	if err := CheckRoom(c.Room); err != nil {
		fail(s, c.ID, badRequest, err.Error())
		return
	}
	if len(c.Data) == 0 {
		fail(s, c.ID, badRequest, "data is needed")
		return
	}
	if !s.Allow(c.Room, auth.Publish) {
		failWith(s, c.ID, ErrForbidden)
		return
	}
	if len(c.Key) > MaxKey {
		fail(s, c.ID, badRequest, "a key has at most 255 bytes")
		return
	}
	id := c.ID
	m := pubsub.Message{Target: pubsub.Room(c.Room), Kind: pubsub.JSON, Payload: c.Data, Key: c.Key}
	m.SkipOrigin = c.Echo != nil && !*c.Echo
	s.Publish(m, func(r pubsub.Receipt, err error) {
		if err != nil {
			failWith(s, id, err)
			return
		}
		w := begin("ack").id(id)
		if r.Position.Offset != 0 {
			w = w.int("offset", r.Position.Offset)
		}
		w.send(s)
	})
}

func (Fanfare) sendTo(s Session, c *command) {
	if c.User == "" || len(c.User) > 255 {
		fail(s, c.ID, badRequest, "user is needed, at most 255 bytes")
		return
	}
	if len(c.Data) == 0 {
		fail(s, c.ID, badRequest, "data is needed")
		return
	}
	id := c.ID
	m := pubsub.Message{Target: pubsub.User(c.User), Kind: pubsub.JSON, Payload: c.Data}
	s.Publish(m, func(r pubsub.Receipt, err error) {
		if err != nil {
			failWith(s, id, err)
			return
		}
		begin("ack").id(id).int("instances", uint64(r.Instances)).send(s)
	})
}

func (Fanfare) auth(s Session, c *command) {
	id := c.ID
	s.Authenticate(c.Token, func(err error) {
		if err != nil {
			fail(s, id, forbidden, "the token is not valid for this socket's user")
			return
		}
		begin("ack").id(id).send(s)
	})
}

// plainID reports whether an id is a JSON number or string of reasonable length.
func plainID(id json.RawMessage) bool {
	c := id[0]
	return len(id) <= 66 && (c == '"' || c == '-' || c >= '0' && c <= '9')
}

func fail(s Session, id json.RawMessage, c code, message string) {
	begin("error").id(id).string("code", string(c)).string("message", message).send(s)
}

// failWith tells an error that a session or the broker gave; what it says exactly is for the log.
func failWith(s Session, id json.RawMessage, err error) {
	switch {
	case errors.Is(err, ErrForbidden):
		fail(s, id, forbidden, "not permitted in this room")
	case errors.Is(err, pubsub.ErrNoHistory):
		fail(s, id, badRequest, "this room keeps no history, so a key cannot be kept")
	case errors.Is(err, ErrTooManyRooms):
		fail(s, id, forbidden, "too many rooms on this socket")
	case errors.Is(err, pubsub.ErrUnavailable), errors.Is(err, pubsub.ErrClosed):
		fail(s, id, unavailable, "the broker is away: try again")
	default:
		fail(s, id, internal, "internal error")
	}
}
