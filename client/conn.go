package client

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const subprotocol = "fanfare.v1"

// How long a pong or a close frame may take to be written, and a ping may be overdue.
const controlTimeout = 5 * time.Second

// Options for Dial. The zero value is the default.
type Options struct {
	// Token is sent as `Authorization: Bearer`.
	Token string
	// Header is sent with the handshake.
	Header http.Header
	// TLS for wss; nil: the system's roots.
	TLS *tls.Config
	// MaxMessage is the size in bytes above which a message ends the connection. 0: 1 MiB.
	MaxMessage int64
	// Buffer is the number of events that may wait for Receive. 0: 256.
	Buffer int
}

// Conn is a connection that has been welcomed. See the package for its concurrency.
type Conn struct {
	// Static after construction.
	conn    net.Conn
	welcome Welcome
	events  chan Event    // closed by nobody
	writing chan struct{} // holds one token: who has it may write
	done    chan struct{} // closed by end
	reader  sync.WaitGroup

	// Read state. Owned by Dial, then by the reading goroutine.
	in         *bufio.Reader
	maxMessage int64

	// Guarded by mu.
	mu      sync.Mutex
	nextID  uint64
	pending map[uint64]chan wire // each with room for its one answer
	err     error                // why done is closed
}

// Dial connects to url (ws or wss) and waits for the gateway's welcome. A refused credential is a
// [CloseError] with code 1008, or a [ws.StatusError] from a gateway that rejects over HTTP.
func Dial(ctx context.Context, url string, o Options) (*Conn, error) {
	header := http.Header{}
	if o.Token != "" {
		header.Set("Authorization", "Bearer "+o.Token)
	}
	for name, values := range o.Header {
		header[name] = values
	}
	dialer := ws.Dialer{Protocols: []string{subprotocol}, Header: ws.HandshakeHeaderHTTP(header), TLSConfig: o.TLS}
	conn, in, _, err := dialer.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("dialing %s: %w", withoutQuery(url), err)
	}
	if in == nil { // else it holds what came with the handshake
		in = bufio.NewReader(conn)
	}
	c := &Conn{
		conn:       conn,
		in:         in,
		maxMessage: cmp.Or(o.MaxMessage, 1<<20),
		events:     make(chan Event, cmp.Or(o.Buffer, 256)), // full: the reading goroutine waits
		writing:    make(chan struct{}, 1),
		done:       make(chan struct{}),
		pending:    make(map[uint64]chan wire),
	}
	stop := context.AfterFunc(ctx, func() { c.fail(context.Cause(ctx)) })
	defer stop()
	var w wire
	if err := c.readWire(&w); err != nil {
		c.fail(err)
		return nil, fmt.Errorf("waiting for the welcome of %s: %w", withoutQuery(url), c.Err())
	}
	if w.Type != "welcome" {
		c.fail(ErrClosed)
		return nil, fmt.Errorf("%s sent %q for a welcome", withoutQuery(url), w.Type)
	}
	c.welcome = Welcome{w.Socket, w.Instance, w.User, time.Duration(w.Ping * float64(time.Second))}
	c.reader.Go(c.read)
	return c, nil
}

// Welcome is what the gateway said first.
func (c *Conn) Welcome() Welcome { return c.welcome }

// Join joins a room: messages published from now on arrive as events.
func (c *Conn) Join(ctx context.Context, room string) (Joined, error) {
	return c.join(ctx, Command{Type: "join", Room: room})
}

// Resume joins a room with what was missed since a position.
func (c *Conn) Resume(ctx context.Context, room string, since Position) (Joined, error) {
	return c.join(ctx, Command{Type: "join", Room: room, Since: &since})
}

func (c *Conn) join(ctx context.Context, command Command) (Joined, error) {
	a, err := c.Do(ctx, command)
	return Joined{a.Position, a.Recovered}, err
}

// Leave leaves a room.
func (c *Conn) Leave(ctx context.Context, room string) error {
	_, err := c.Do(ctx, Command{Type: "leave", Room: room})
	return err
}

// Publish publishes data to a room and waits for the ack. A [json.RawMessage] goes as it is,
// anything else as [json.Marshal] has it. When ctx or the connection ends before the answer, the
// message may or may not be in the room.
func (c *Conn) Publish(ctx context.Context, room string, data any) (Ack, error) {
	a, err := c.Do(ctx, Command{Type: "publish", Room: room, Data: data})
	return Ack{a.Position.Offset}, err
}

// Send sends data, as in Publish, to every socket of a user, and tells how many instances had it.
func (c *Conn) Send(ctx context.Context, user string, data any) (instances int, err error) {
	a, err := c.Do(ctx, Command{Type: "send", User: user, Data: data})
	return a.Instances, err
}

// Receive waits for the next event. What arrived before the connection ended is still handed out.
func (c *Conn) Receive(ctx context.Context) (Event, error) {
	select {
	case e := <-c.events:
		return e, nil
	default:
	}
	select {
	case e := <-c.events:
		return e, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
	}
	c.reader.Wait() // it may have been handing over an event
	select {
	case e := <-c.events:
		return e, nil
	default:
		return nil, c.Err()
	}
}

// Err is why the connection ended, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close says goodbye (1000), ends the connection and waits for its goroutine. It never fails.
func (c *Conn) Close() {
	if c.ends(ErrClosed) {
		ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
		defer cancel()
		_ = c.write(ctx, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
		c.end()
	}
	c.reader.Wait()
}

// fail ends the connection for the first reason given.
func (c *Conn) fail(err error) {
	if c.ends(err) {
		c.end()
	}
}

// ends notes why the connection ends; who is the first to do so must call end.
func (c *Conn) ends(err error) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return false
	}
	c.err = err
	return true
}

func (c *Conn) end() {
	close(c.done)
	_ = c.conn.Close()
}

// read hands what arrives to who waits for it, until the connection ends.
func (c *Conn) read() {
	for {
		var w wire
		if err := c.readWire(&w); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = &CloseError{Code: 1006, Reason: "the connection just ended"} // RFC 6455 §7.1.5
			}
			c.fail(err)
			return
		}
		if e := w.event(); e != nil {
			select {
			case c.events <- e:
			case <-c.done:
				return
			}
			continue
		}
		c.mu.Lock()
		answer := c.pending[w.ID]
		delete(c.pending, w.ID)
		c.mu.Unlock()
		if answer != nil {
			answer <- w
		}
	}
}
