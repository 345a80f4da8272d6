package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Command is anything a client can ask for (DESIGN.md, 5); most programs want the methods named
// after the commands. Which fields count depends on Type.
type Command struct {
	Type  string    `json:"type"`
	Room  string    `json:"room,omitempty"`
	User  string    `json:"user,omitempty"`
	Since *Position `json:"since,omitempty"`
	Last  int       `json:"last,omitempty"`
	Key   string    `json:"key,omitempty"`   // makes a publish safe to send again
	Echo  *bool     `json:"echo,omitempty"`  // false: not back to this socket
	Token string    `json:"token,omitempty"` // of `auth`
	Data  any       `json:"-"`               // as in Publish
}

// Answer is the gateway's to a [Command].
type Answer struct {
	Type      string
	Position  Position
	Recovered *bool
	Instances int
}

// Do sends a command and waits for the answer, or until ctx or the connection ends. A refusal is
// an [Error].
func (c *Conn) Do(ctx context.Context, command Command) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	answer := make(chan wire, 1)
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.pending[id] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
	}()

	frame, err := command.encode(id)
	if err != nil {
		return Answer{}, fmt.Errorf("encoding %s: %w", command.Type, err)
	}
	if err := c.write(ctx, ws.OpText, frame); err != nil {
		return Answer{}, err
	}
	select {
	case w := <-answer:
		if w.Type == "error" {
			return Answer{}, &Error{Code: w.Code, Message: w.Message}
		}
		return Answer{w.Type, Position{w.Epoch, w.Offset}, w.Recovered, w.Instances}, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	case <-c.done:
		return Answer{}, c.Err()
	}
}

// encode puts raw data in as it is: json.Marshal would rewrite it.
func (command Command) encode(id uint64) ([]byte, error) {
	head, err := json.Marshal(struct {
		Command
		ID uint64 `json:"id"`
	}{command, id})
	if err != nil || command.Data == nil && command.Type != "publish" && command.Type != "send" {
		return head, err
	}
	raw, ok := command.Data.(json.RawMessage)
	if !ok {
		if raw, err = json.Marshal(command.Data); err != nil {
			return nil, err
		}
	} else if !json.Valid(raw) {
		return nil, errors.New("data is not a JSON value")
	}
	head = append(head[:len(head)-1], `,"data":`...)
	return append(append(head, raw...), '}'), nil
}

// write sends one frame. When ctx ends before it has begun the connection goes on; a frame sent in
// part ends it.
func (c *Conn) write(ctx context.Context, op ws.OpCode, payload []byte) error {
	frame, err := ws.CompileFrame(ws.MaskFrameInPlace(ws.NewFrame(op, true, payload)))
	if err != nil {
		return err
	}
	select {
	case c.writing <- struct{}{}:
		defer func() { <-c.writing }()
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return c.Err()
	}
	late := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = c.conn.SetWriteDeadline(time.Unix(1, 0)) // long ago: a write that waits ends now
		close(late)
	})
	_, err = c.conn.Write(frame)
	if !stop() {
		<-late
		_ = c.conn.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		c.fail(err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.Err()
	}
	return nil
}

// readWire reads the gateway's next message.
func (c *Conn) readWire(w *wire) error {
	text, err := c.readMessage()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, w); err != nil {
		return fmt.Errorf("the gateway sent no fanfare.v1 message: %w", err)
	}
	return nil
}

// readMessage reads a whole text message and deals with control frames on the way (RFC 6455 §5.4,
// §5.5). It never holds more than maxMessage bytes.
func (c *Conn) readMessage() ([]byte, error) {
	var message []byte
	state := ws.StateClientSide
	for {
		if c.welcome.Ping > 0 {
			// A quiet socket is pinged: silence for longer is a dead connection.
			_ = c.conn.SetReadDeadline(time.Now().Add(c.welcome.Ping*5/2 + controlTimeout))
		}
		h, err := ws.ReadHeader(c.in)
		if err != nil {
			return nil, err
		}
		if err := ws.CheckHeader(h, state); err != nil {
			return nil, err
		}
		if !h.OpCode.IsControl() && h.Length > c.maxMessage-int64(len(message)) {
			return nil, fmt.Errorf("the gateway sent a message of more than %d bytes", c.maxMessage)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(c.in, payload); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpPing:
			if err := c.pong(payload); err != nil {
				return nil, err
			}
		case ws.OpPong:
		case ws.OpClose:
			return nil, c.closed(payload)
		case ws.OpBinary:
			return nil, errors.New("the gateway sent a binary frame in fanfare.v1")
		default:
			message = append(message, payload...)
			if !h.Fin {
				state = state.Set(ws.StateFragmented)
				continue
			}
			if !utf8.Valid(message) {
				return nil, ws.ErrProtocolInvalidUTF8
			}
			return message, nil
		}
	}
}

func (c *Conn) pong(payload []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	return c.write(ctx, ws.OpPong, payload)
}

// closed answers the gateway's close frame and tells what was in it.
func (c *Conn) closed(payload []byte) error {
	code, reason := ws.ParseCloseFrameData(payload)
	if len(payload) < 2 {
		code = ws.StatusNoStatusRcvd
	}
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	_ = c.write(ctx, ws.OpClose, payload[:min(len(payload), 2)])
	return &CloseError{Code: int(code), Reason: reason}
}

// withoutQuery is for messages: the query may hold a token.
func withoutQuery(url string) string {
	before, _, _ := strings.Cut(url, "?")
	return before
}
