package redis

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/internal/queue"
)

// Broker is a [pubsub.Broker] that reaches the other instances through Redis.
type Broker struct {
	// Static after construction.
	config    Config
	where     *place
	listening *goredis.Options // of listening connections, but for the address
	layout    layout
	publish   any     // the command: PUBLISH or SPUBLISH
	links     []*link // one, or on a cluster one a partition
	keeps     bool    // some rooms have history
	log       *slog.Logger
	metrics   *metrics
	topsEvery time.Duration
	handler   pubsub.Handler // static once Run is called

	// Receives when what watch looks at may have changed.
	changed chan struct{}

	// Safe for concurrent use.
	servers    *servers
	starting   *queue.Queue[*link] // used for the first time
	answers    *queue.Answers
	everUp     atomic.Bool
	badMessage occasional
	badPublish occasional
	badTops    occasional
}

var _ pubsub.Broker = (*Broker)(nil)

// New checks the configuration and returns all that is wrong with it. It does not connect.
func New(c Config) (*Broker, error) {
	where, err := c.check()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering the broker's metrics: %w", err)
	}
	where.prepare(c.Name)
	b := &Broker{
		config:    c,
		where:     where,
		listening: clone(where.options),
		layout:    newLayout(c.Prefix, c.Partitions, where.cluster),
		links:     make([]*link, 1),
		keeps:     slices.ContainsFunc(c.Retentions, func(r pubsub.Retention) bool { return r.History > 0 }),
		log:       c.Logger,
		metrics:   m,
		topsEvery: 10 * time.Second,
		changed:   make(chan struct{}, 1),
		starting:  queue.New[*link](0),
		answers:   queue.NewAnswers(),
	}
	if where.cluster {
		b.links = make([]*link, c.Partitions)
	}
	b.publish = b.layout.publish()
	random := rand.Uint64()
	for i := range b.links {
		b.links[i] = newLink(b, i, random)
	}
	b.servers = newServers(where, len(b.links), func(i int) { b.links[i].health.moved(b.servers.addr(i)) })
	return b, nil
}

// clone: a go-redis client changes the options it is given.
func clone(o *goredis.Options) *goredis.Options {
	c := *o
	return &c
}

// Run works until ctx ends and returns nil, or returns an error that no waiting would mend, such
// as a wrong password, as long as it was never connected. It can be called once.
func (b *Broker) Run(ctx context.Context, h pubsub.Handler) error {
	b.handler = h
	var answers sync.WaitGroup
	stop := make(chan struct{})
	answers.Go(func() { b.answers.Run(stop) })

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { b.servers.run(ctx); return nil })
	g.Go(func() error { b.watch(ctx); return nil })
	b.links[0].use() // whether Redis can be reached is known from the start
	for ctx.Err() == nil {
		select {
		case <-b.starting.Wake():
			for _, l := range b.starting.Take(nil) {
				g.Go(func() error { return l.run(ctx) })
			}
		case <-ctx.Done():
		}
	}
	err := g.Wait()
	for _, l := range b.links {
		l.refuseAll()
	}
	b.servers.close()
	close(stop)
	answers.Wait()
	return err
}

// link on which a room or user is.
func (b *Broker) link(name string) *link {
	if len(b.links) == 1 {
		return b.links[0]
	}
	return b.links[b.layout.partition(name)]
}

// Publish implements [pubsub.Broker].
func (b *Broker) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	if m.Key != "" && !m.Target.User && b.config.Retentions.For(m.Target.Name).History <= 0 {
		b.answers.Add(func() { done(pubsub.Receipt{}, pubsub.ErrNoHistory) })
		return
	}
	l := b.link(m.Target.Name)
	l.use()
	if err := l.lane.publishes.Put(publish{m: m, done: done, at: time.Now()}); err != nil {
		b.answers.Add(func() { done(pubsub.Receipt{}, refusal(err)) })
	}
}

// Subscribe implements [pubsub.Broker]. While Redis is away done waits for it to come back.
func (b *Broker) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	op := controlOp{target: t, done: done}
	l := b.link(t.Name)
	l.use()
	if err := l.controls.Put(op); err != nil {
		b.answers.Add(func() { op.refuse(refusal(err)) })
	}
}

// Unsubscribe implements [pubsub.Broker]. It is never refused.
func (b *Broker) Unsubscribe(t pubsub.Target) {
	_ = b.link(t.Name).controls.Force(controlOp{target: t})
}

// Read implements [pubsub.Broker].
func (b *Broker) Read(room string, q pubsub.Query, done func(pubsub.History, error)) {
	b.read(read{room: room, query: q, done: done})
}

// Renew implements [pubsub.Broker].
func (b *Broker) Renew(room string, epoch uint64, done func(pubsub.Position, error)) {
	b.read(read{room: room, renew: epoch, done: func(h pubsub.History, err error) { done(h.Top, err) }})
}

func (b *Broker) read(r read) {
	l := b.link(r.room)
	l.use()
	if err := l.reads.Put(r); err != nil {
		b.answers.Add(func() { r.done(pubsub.History{}, refusal(err)) })
	}
}

// refusal is the contract's error for the queue's.
func refusal(err error) error {
	if err == queue.ErrClosed {
		return pubsub.ErrClosed
	}
	return fmt.Errorf("%w: %w", pubsub.ErrUnavailable, err)
}
