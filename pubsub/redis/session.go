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
	client *goredis.Client
	ps     *goredis.PubSub

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
)

// connect makes a session on which Redis has answered.
func connect(ctx context.Context, o *goredis.Options) (*session, error) {
	s := &session{}
	o = clone(o)
	dial := o.Dialer
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
