package redis

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/internal/queue"
)

// Broker is a [pubsub.Broker] that reaches the other instances through Redis.
type Broker struct {
	// Static after construction.
	config    Config
	options   *goredis.Options // of the listening connection; of the client but for the Dialer
	layout    layout
	probe     string // the channel on which this instance hears itself
	log       *slog.Logger
	metrics   *metrics
	topsEvery time.Duration
	handler   pubsub.Handler // static once Run is called

	// Safe for concurrent use.
	client     *goredis.Client // for everything but listening
	publishes  *queue.Queue[publish]
	reads      *queue.Queue[read]
	controls   *queue.Queue[controlOp]
	answers    *queue.Answers
	subs       *subscriptions
	health     *health
	badMessage occasional
	badPublish occasional
	badTops    occasional
}

var _ pubsub.Broker = (*Broker)(nil)

// New checks the configuration and returns all that is wrong with it. It does not connect.
func New(c Config) (*Broker, error) {
	options, err := c.check()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, fmt.Errorf("registering the broker's metrics: %w", err)
	}
	options.Dialer = newDialer(options)
	layout := newLayout(c.Prefix, c.Partitions)
	return &Broker{
		config:    c,
		options:   options,
		layout:    layout,
		probe:     layout.probe(c.Name, rand.Uint64()),
		log:       c.Logger,
		metrics:   m,
		topsEvery: 10 * time.Second,
		client:    goredis.NewClient(clone(options)),
		publishes: queue.New[publish](c.Queue),
		reads:     queue.New[read](c.Queue),
		controls:  queue.New[controlOp](c.Queue),
		answers:   queue.NewAnswers(),
		subs:      newSubscriptions(),
		health:    newHealth(),
	}, nil
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

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for _, f := range []func(context.Context){b.publisher, b.reader, b.control, b.tops, b.prober, b.watch} {
		wg.Go(func() { f(ctx) })
	}
	err := b.listener(ctx)
	cancel()
	wg.Wait()
	b.refuseAll()
	_ = b.client.Close()
	close(stop)
	answers.Wait()
	return err
}

// refuseAll answers what is still open when all goroutines have ended.
func (b *Broker) refuseAll() {
	for _, p := range b.publishes.Close() {
		p.done(pubsub.Receipt{}, pubsub.ErrClosed)
	}
	for _, r := range b.reads.Close() {
		r.done(pubsub.History{}, pubsub.ErrClosed)
	}
	for _, c := range b.controls.Close() {
		c.refuse(pubsub.ErrClosed)
	}
	for _, w := range b.subs.close() {
		w.done(pubsub.Position{}, pubsub.ErrClosed)
	}
}

// Publish implements [pubsub.Broker].
func (b *Broker) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	if m.Key != "" && !m.Target.User && b.config.Retentions.For(m.Target.Name).History <= 0 {
		b.answers.Add(func() { done(pubsub.Receipt{}, pubsub.ErrNoHistory) })
		return
	}
	if err := b.publishes.Put(publish{m: m, done: done, at: time.Now()}); err != nil {
		b.answers.Add(func() { done(pubsub.Receipt{}, refusal(err)) })
	}
}

// Subscribe implements [pubsub.Broker]. While Redis is away done waits for it to come back.
func (b *Broker) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	op := controlOp{target: t, done: done}
	if err := b.controls.Put(op); err != nil {
		b.answers.Add(func() { op.refuse(refusal(err)) })
	}
}

// Unsubscribe implements [pubsub.Broker]. It is never refused.
func (b *Broker) Unsubscribe(t pubsub.Target) {
	_ = b.controls.Force(controlOp{target: t})
}

// Read implements [pubsub.Broker].
func (b *Broker) Read(room string, q pubsub.Query, done func(pubsub.History, error)) {
	if err := b.reads.Put(read{room: room, query: q, done: done}); err != nil {
		b.answers.Add(func() { done(pubsub.History{}, refusal(err)) })
	}
}

// Renew implements [pubsub.Broker].
func (b *Broker) Renew(room string, epoch uint64, done func(pubsub.Position, error)) {
	r := read{room: room, renew: epoch, done: func(h pubsub.History, err error) { done(h.Top, err) }}
	if err := b.reads.Put(r); err != nil {
		b.answers.Add(func() { done(pubsub.Position{}, refusal(err)) })
	}
}

// refusal is the contract's error for the queue's.
func refusal(err error) error {
	if err == queue.ErrClosed {
		return pubsub.ErrClosed
	}
	return fmt.Errorf("%w: %w", pubsub.ErrUnavailable, err)
}

// unavailable wraps what Redis or the network said.
func unavailable(err error) error { return fmt.Errorf("%w: %w", pubsub.ErrUnavailable, err) }
