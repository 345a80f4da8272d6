package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// session is one listening connection, from its making to its loss. go-redis would connect again
// behind our back and hide that something was missed, so a session's dialer works only once.
type session struct {
	// Static after construction.
	client  *goredis.Client
	ps      *goredis.PubSub
	addr    string
	sharded bool // channels are of SSUBSCRIBE

	// For the watch: received counts what came; busy is set while Deliver is called, when not
	// receiving is no sign of a dead connection.
	received atomic.Uint64
	busy     atomic.Bool

	// Guarded by mu.
	mu    sync.Mutex
	conn  net.Conn // once dialed
	cause error    // why it was killed
}

var (
	errOver   = errors.New("this connection was lost")
	errSilent = errors.New("nothing came back from Redis for 3s")
	errMoved  = errors.New("the partition is on another server now")
)

// connect makes a session on the server at addr, which has answered, and which takes writes to
// guard, a key: it is no replica, and in a cluster it is the one that has the key's slot.
func connect(ctx context.Context, o *goredis.Options, addr, guard string, sharded bool) (*session, error) {
	s := &session{addr: addr, sharded: sharded}
	o = clone(o)
	o.Addr = addr
	dial, greet := o.Dialer, o.OnConnect
	o.OnConnect = func(ctx context.Context, c *goredis.Conn) error {
		if err := greet(ctx, c); err != nil {
			return err
		}
		if err := c.Del(ctx, guard).Err(); isMoved(err) || unfit(err) {
			return err
		}
		return nil
	}
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		s.mu.Lock()
		used := s.conn != nil || s.cause != nil
		s.mu.Unlock()
		if used {
			return nil, errOver
		}
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cause != nil {
			_ = c.Close()
			return nil, s.cause
		}
		s.conn = c
		return c, nil
	}
	s.client = goredis.NewClient(o)
	s.ps = s.client.Subscribe(ctx)
	if err := s.ps.Ping(ctx); err != nil {
		s.close()
		return nil, err
	}
	if _, err := s.ps.ReceiveTimeout(ctx, ioTimeout); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) subscribe(ctx context.Context, channels ...string) error {
	if s.sharded {
		return s.ps.SSubscribe(ctx, channels...)
	}
	return s.ps.Subscribe(ctx, channels...)
}

func (s *session) unsubscribe(ctx context.Context, channels ...string) error {
	if s.sharded {
		return s.ps.SUnsubscribe(ctx, channels...)
	}
	return s.ps.Unsubscribe(ctx, channels...)
}

// kill ends the session because of err, from any goroutine: its Receive fails at once.
func (s *session) kill(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = err
	}
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// reason is why the session was killed, or err, which came of it.
func (s *session) reason(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	return fmt.Errorf("listening: %w", err)
}

// close gives everything back.
func (s *session) close() {
	s.kill(errOver)
	_ = s.ps.Close()
	_ = s.client.Close()
}
