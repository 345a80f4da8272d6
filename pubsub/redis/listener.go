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
func (b *Broker) listener(ctx context.Context) error {
	backoff := minBackoff
	for {
		err := b.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		connected := b.health.lost(err)
		if connected {
			backoff = minBackoff
			b.metrics.reconnects.Inc()
		} else if !b.health.wasUp() && hopeless(err) {
			return fmt.Errorf("connecting to Redis at %s: %w", b.options.Addr, err)
		}
		// Between half and the whole: instances that lost the same server do not come back as one.
		pause(ctx, backoff/2+rand.N(backoff/2))
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen is one session, until it is lost.
func (b *Broker) listen(ctx context.Context) error {
	s, err := connect(ctx, b.options)
	if err != nil {
		return err
	}
	defer s.close()
	stop := context.AfterFunc(ctx, func() { s.kill(ctx.Err()) })
	defer stop()
	if err := b.loadScripts(ctx); err != nil {
		return err
	}
	b.subs.begin(s)
	b.health.begin(s)
	defer b.subs.end()
	for {
		v, err := s.ps.Receive(ctx)
		if err != nil {
			return s.reason(err)
		}
		s.received.Add(1)
		switch v := v.(type) {
		case *goredis.Message:
			b.received(s, v)
		case *goredis.Subscription:
			if v.Channel == b.probe {
				b.health.subscribed()
			} else {
				b.subs.reply(v.Channel)
			}
		}
	}
}

// received delivers what was published on a channel.
func (b *Broker) received(s *session, v *goredis.Message) {
	if v.Channel == b.probe {
		b.health.heard(s)
		return
	}
	target, ok := b.subs.wanted(v.Channel)
	if !ok {
		return
	}
	m, err := decode([]byte(v.Payload))
	if err != nil {
		b.bad("channel", err)
		return
	}
	m.Target = target
	if target.User {
		m.Position = pubsub.Position{}
	}
	s.busy.Store(true)
	b.handler.Deliver(m)
	s.busy.Store(false)
}

// hopeless: the configuration is wrong, not the server away.
func hopeless(err error) bool {
	for _, prefix := range []string{"WRONGPASS", "NOAUTH", "NOPERM", "ERR AUTH", "ERR DB index", "ERR invalid password"} {
		if goredis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}
