package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrClosed is what every call returns after [Conn.Close].
var ErrClosed = errors.New("the connection was closed by this side")

// Error is the gateway's refusal of one command. The connection goes on.
type Error struct {
	// Code is one of bad_request, forbidden, unavailable, rate_limited, too_large, not_member,
	// internal.
	Code string
	// Message is a short phrase for people.
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("the gateway answered %s: %s", e.Code, e.Message) }

// CloseError tells how the gateway closed the connection.
type CloseError struct {
	// Code as in RFC 6455 §7.4.1; 1008 is a missing or invalid credential, 1005 none given.
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("the gateway closed the connection: %d %s", e.Code, e.Reason)
}

// Position is a place in a room's history. Without an epoch it is none: a room without history.
type Position struct {
	Epoch  string `json:"epoch"` // names one life of the history; opaque
	Offset uint64 `json:"offset"`
}

// Welcome is the gateway's greeting.
type Welcome struct {
	Socket   string // the gateway's name for this socket
	Instance string // the instance that serves it
	User     string // who the gateway takes this client for
	Ping     time.Duration
}

// Joined is the answer to a join.
type Joined struct {
	// Position of the room's newest message; zero in a room without history.
	Position Position
	// Recovered, after Resume: nil: the gateway does not say; true: all that was missed follows.
	Recovered *bool
}

// Ack is the answer to a publish.
type Ack struct {
	// Offset the message was given; 0 in a room without history.
	Offset uint64
}

// Event is what arrives unasked: a [Message], [Direct], [Gap] or [Drain]. Each can be marshalled to
// JSON.
type Event interface{ event() }

// Message was published to a room.
type Message struct {
	Room string `json:"room"`
	From string `json:"from,omitempty"`
	// Offset is 0 in a room without history.
	Offset uint64 `json:"offset,omitempty"`
	// Data is the JSON value as it was published; nil for a binary message.
	Data json.RawMessage `json:"data,omitempty"`
	// Binary is the payload of a binary message.
	Binary []byte `json:"data_base64,omitempty"`
}

// Direct was sent to this user.
type Direct struct {
	From   string          `json:"from,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Binary []byte          `json:"data_base64,omitempty"`
}

// Gap tells that messages of the room before Position were missed and cannot be had.
type Gap struct {
	Room     string   `json:"room"`
	Position Position `json:"position"`
}

// Drain tells that the instance is leaving; dial again after Retry.
type Drain struct {
	Retry time.Duration `json:"retry_ns"`
}

func (Message) event() {}
func (Direct) event()  {}
func (Gap) event()     {}
func (Drain) event()   {}

// wire is any frame from the gateway (DESIGN.md, 5).
type wire struct {
	Type       string          `json:"type"`
	ID         uint64          `json:"id"`
	Room       string          `json:"room"`
	From       string          `json:"from"`
	Epoch      string          `json:"epoch"`
	Offset     uint64          `json:"offset"`
	Recovered  *bool           `json:"recovered"`
	Data       json.RawMessage `json:"data"`
	DataBase64 []byte          `json:"data_base64"`
	Instances  int             `json:"instances"`
	Code       string          `json:"code"`
	Message    string          `json:"message"`
	RetryMS    int64           `json:"retry_ms"`
	Socket     string          `json:"socket"`
	Instance   string          `json:"instance"`
	User       string          `json:"user"`
	Ping       float64         `json:"ping"` // seconds
}

// event is nil for what is no event.
func (w *wire) event() Event {
	switch w.Type {
	case "message":
		return Message{Room: w.Room, From: w.From, Offset: w.Offset, Data: w.Data, Binary: w.DataBase64}
	case "direct":
		return Direct{From: w.From, Data: w.Data, Binary: w.DataBase64}
	case "gap":
		return Gap{Room: w.Room, Position: Position{w.Epoch, w.Offset}}
	case "drain":
		return Drain{Retry: time.Duration(w.RetryMS) * time.Millisecond}
	}
	return nil
}
