package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

const (
	minBackoff = 50 * time.Millisecond
	maxBackoff = 3 * time.Second
)

// listener keeps a session, and delivers what it receives. It returns nil when ctx ends, or an
// error that no waiting would mend.
func (l *link) listener(ctx context.Context) error {
	backoff := minBackoff
	for {
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if l.b.servers.locator == nil && hasPrefix(err, "MOVED") {
			err = errIsCluster
		}
		if l.health.lost(err) {
			backoff = minBackoff
			l.b.metrics.reconnects.Inc()
		} else if !l.b.everUp.Load() && hopeless(err) {
			return fmt.Errorf("connecting to Redis at %s: %w", l.b.where, err)
		}
		l.b.servers.suspect(l.index, err)
		// Between half and the whole: instances that lost the same server do not come back as one.
		pause(ctx, backoff/2+rand.N(backoff/2))
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen is one session, until it is lost.
func (l *link) listen(ctx context.Context) error {
	addr, err := l.b.servers.await(ctx, l.index)
	if err != nil {
		return err
	}
	s, err := connect(ctx, l.b.listening, addr, l.probe, l.b.layout.sharded)
	if err != nil {
		return err
	}
	defer s.close()
	stop := context.AfterFunc(ctx, func() { s.kill(ctx.Err()) })
	defer stop()
	if err := l.loadScripts(ctx); err != nil {
		return err
	}
	l.subs.begin(s)
	defer l.subs.end()
	l.health.begin(s)
	l.health.moved(l.b.servers.addr(l.index)) // it may have, meanwhile
	for {
		v, err := s.ps.Receive(ctx)
		if err != nil {
			return s.reason(err)
		}
		s.received.Add(1)
		switch v := v.(type) {
		case *goredis.Message:
			l.received(s, v)
		case *goredis.Subscription:
			switch {
			case v.Channel != l.probe:
				l.subs.reply(v.Channel)
			case v.Kind == "sunsubscribe": // nobody asked for it: the server gave the slot away
				return errMoved
			default:
				l.health.subscribed()
			}
		}
	}
}

// received delivers what was published on a channel.
func (l *link) received(s *session, v *goredis.Message) {
	if v.Channel == l.probe {
		l.health.heard(s)
		return
	}
	target, ok := l.subs.wanted(v.Channel)
	if !ok {
		return
	}
	m, err := decode([]byte(v.Payload))
	if err != nil {
		l.b.bad("channel", err)
		return
	}
	m.Target = target
	if target.User {
		m.Position = pubsub.Position{}
	}
	s.busy.Store(true)
	l.b.handler.Deliver(m)
	s.busy.Store(false)
}
