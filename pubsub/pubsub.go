// Package pubsub is the contract between the gateway and what carries its messages from one
// instance to the others: [Broker]. A broker knows rooms, messages and positions; it never sees a
// socket. Implementations live in the packages below this one and pass the suite in
// pubsub/pubsubtest.
//
// # Delivery
//
// A message whose publish was acknowledged (done called without an error) is handed to
// [Handler.Deliver] on every instance that has subscribed its target, the publishing one included.
// A broker that may have lost some on the way says so through [Handler.Top], and the handler reads
// what it missed with [Broker.Read].
//
// # Ordering
//
// Deliver is called for the messages of one target in the order of their offsets, and the messages
// that one goroutine published to one target keep their order.
//
// # Concurrency
//
// Publish, Subscribe, Unsubscribe and Read never wait: they hand over and return, and the answer
// comes through a callback, on a goroutine of the broker's and never inside the call itself, exactly
// once. A callback must not wait either. Deliver may wait; that slows the reading of further messages, nothing else.
package pubsub

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Errors that a broker hands to callbacks; others may be wrapped in them.
var (
	// ErrUnavailable: the broker cannot be reached or its queue is full. The message may or may
	// not have been published; it is safe to send it again with the same key.
	ErrUnavailable = errors.New("the broker is unavailable")
	// ErrNoHistory: a message has a key, but its room keeps no history, so the key cannot be kept
	// either. It was not published.
	ErrNoHistory = errors.New("the room keeps no history")
	// ErrClosed: Run has ended.
	ErrClosed = errors.New("the broker is closed")
)

// Kind says what a payload is.
type Kind uint8

const (
	// Text is UTF-8.
	Text Kind = iota
	// Binary is any bytes.
	Binary
	// JSON is UTF-8 and one valid JSON value.
	JSON
	// Foreign was published on the channel by a program that knows nothing of the envelope: its
	// payload is delivered as it is, as text if it is UTF-8.
	Foreign
)

// Position is the place of a message in its room's history. The zero Position is none: the
// message has no history.
type Position struct {
	// Epoch names one life of the history: a random number from 1 to MaxEpoch. When history is
	// lost a new epoch begins.
	Epoch uint64
	// Offset counts the messages of an epoch: 1, 2, 3 …, without holes.
	Offset uint64
}

// MaxEpoch is the greatest epoch, and a bound for offsets: the greatest integer that JavaScript's
// (and Lua's) numbers hold exactly.
const MaxEpoch = 1<<53 - 1

// Origin says which socket published a message, so that the message need not go back to it. It is
// opaque to brokers and carried unchanged. The zero Origin is a publisher that is no socket.
type Origin struct {
	// Instance is a random number that an instance chooses at its start.
	Instance uint64
	// Socket is the instance's own name for the socket.
	Socket uint64
	// Sent is the instance's own clock when it published, in nanoseconds; only the instance
	// itself can compare it.
	Sent int64
}

// Target is whom a message is for: the members of a room, or all sockets of a user.
type Target struct {
	// User tells that Name is a user, otherwise it is a room.
	User bool
	Name string
}

// Room is the target that is a room.
func Room(name string) Target { return Target{Name: name} }

// User is the target that is all sockets of a user, on any instance.
func User(name string) Target { return Target{User: true, Name: name} }

// Message is what is published.
type Message struct {
	Target Target
	Kind   Kind
	// From is the user who published it; empty when not known.
	From   string
	Origin Origin
	// SkipOrigin: not back to the socket that published it.
	SkipOrigin bool
	// Position is given by the broker; a publisher leaves it zero.
	Position Position
	// Key, when not empty, makes publishing idempotent: a second publish to the same room with
	// the same key, within the history's lifetime, is answered with the first one's position and
	// not delivered again. Without history it means nothing. It is not delivered.
	Key string
	// Payload must not be changed once it is handed over, in either direction.
	Payload []byte
}

// Receipt is the answer to a publish.
type Receipt struct {
	// Position the message was given; zero without history.
	Position Position
	// Instances that have subscribed the target, as far as the broker can tell.
	Instances int
}

// Query says which part of a room's history is wanted. Exactly one field is set, or none for only
// the top position.
type Query struct {
	// After, when Since is set: all kept messages with a greater offset.
	Since bool
	After uint64
	// Last so many of the kept messages.
	Last int
}

// History is the answer to a Query.
type History struct {
	// Top is the position of the newest message, at the moment of reading; an Epoch with offset 0
	// where nothing was published yet, zero for a room without history.
	Top Position
	// Messages in the order of their offsets, all of epoch Top.Epoch, without holes, ending with
	// Top.Offset. The first may be later than asked for: what is before it is no longer kept.
	Messages []Message
}

// Handler is told what arrives. The methods are called from the broker's goroutines, also at the same
// time, but Deliver for one target never is.
type Handler interface {
	// Deliver hands over a message of a subscribed target. It may wait.
	Deliver(Message)
	// Top tells that the newest message of a subscribed room has this position now. A broker
	// calls it after a subscription was interrupted and is back, which it says, and now and then,
	// so that the loss of a quiet room's last messages is noticed. It must not wait.
	Top(room string, top Position, interrupted bool)
	// Up tells that the broker can be reached, or, with an error, that it cannot. It is called
	// when that changes. It must not wait.
	Up(err error)
}

// UserKnower is a [Handler] that knows itself which users it has subscribed: there are as many as sockets, and a
// broker in the same process need not keep their names once more.
type UserKnower interface {
	// KnowsUser reports whether the user's messages are wanted. It must not wait.
	KnowsUser(name string) bool
}

// Broker carries messages between instances.
type Broker interface {
	// Run connects and works until ctx ends, then answers every callback still open, with
	// [ErrClosed] where nothing better is known. The other methods may be called before Run and
	// are answered once it runs. An error is one that no waiting would mend (a wrong password in
	// the configuration); a server that is away is not an error.
	Run(ctx context.Context, h Handler) error
	// Publish gives m a position, if the target has a history, and delivers it to every
	// subscriber of its target.
	Publish(m Message, done func(Receipt, error))
	// Subscribe begins the delivery of a target's messages. When done is called without an error,
	// every message published from now on will be delivered, and the position is that of the
	// room's newest message at some moment after the subscription began (zero for a user and for
	// a room without history). A subscription outlives the loss of the broker, and while the
	// broker is away done waits for it: an error means a full queue, the end of Run, or an
	// Unsubscribe that came first. Subscribing again what is subscribed changes nothing.
	Subscribe(t Target, done func(Position, error))
	// Unsubscribe ends the delivery of a target's messages, however often it was subscribed.
	Unsubscribe(t Target)
	// Read reads from a room's history.
	Read(room string, q Query, done func(History, error))
	// Renew begins a new epoch of a room's history, without messages, if its epoch is still the
	// one given; done is told the position after it. It is for who finds that a history went back:
	// what was a position in it may now be that of another message.
	Renew(room string, epoch uint64, done func(Position, error))
}

// Retention says how much history the rooms that match a pattern keep.
type Retention struct {
	// Match is a room name in which `*` stands for any characters.
	Match string
	// History is the number of messages kept; 0 or less: none, and messages have no position.
	History int
	// TTL is for how long they are kept after the room's last message.
	TTL time.Duration
}

// Retentions are looked through in order; the first that matches counts.
type Retentions []Retention

// For is the retention of a room: the first that matches, or none.
func (rs Retentions) For(room string) Retention {
	for _, r := range rs {
		if Match(r.Match, room) {
			return r
		}
	}
	return Retention{}
}

// Match reports whether name matches pattern, in which `*` stands for any characters, also none,
// and every other character for itself.
func Match(pattern, name string) bool {
	prefix, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, prefix) {
		return false
	}
	name = name[len(prefix):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}
