// Package memory is the embedded broker: one instance, no server, nothing kept beyond the process.
//
// # Ordering
//
// What is called goes through one queue in the order of the calls, and one goroutine, Run's, works
// it off: a subscription begins and ends exactly between two messages.
//
// # Concurrency
//
// Everything but the queue is owned by Run's goroutine. It calls Deliver and the answers, so a
// Deliver that waits holds up all of them; publishers then fill the queue and are refused with
// [pubsub.ErrUnavailable] rather than made to wait.
//
// # Memory
//
// A room costs something only while it is subscribed or has history. Its messages and keys go back
// when its TTL has passed since the last message, by one sweep over all rooms.
package memory

import (
	"context"
	"sync"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/internal/queue"
)

// Config says how the broker works. The zero Config is good: no history.
type Config struct {
	// Retentions say how much history rooms keep. A TTL of 0 is 10 minutes.
	Retentions pubsub.Retentions
	// Queue is how many calls may wait to be worked off; further ones are refused with
	// pubsub.ErrUnavailable. Default 65,536.
	Queue int
}

// Broker is a [pubsub.Broker] in memory.
type Broker struct {
	// Safe for concurrent use.
	queue   *queue.Queue[op]
	answers *queue.Answers

	// Static after construction.
	retentions pubsub.Retentions
	sweepEvery time.Duration

	// Owned by Run.
	handler pubsub.Handler
	knower  pubsub.UserKnower // the handler, if it is one: then users stays empty
	rooms   map[string]*room
	users   map[string]struct{}
	now     time.Time // of the current batch
}

var _ pubsub.Broker = (*Broker)(nil)

// op is one call: a publish, or when call is set, something else.
type op struct {
	m    pubsub.Message
	done func(pubsub.Receipt, error)
	// call is given ErrClosed when it can no longer be done.
	call func(err error)
}

const (
	defaultQueue = 65536
	defaultTTL   = 10 * time.Minute
)

// New makes a broker that works once Run is called.
func New(c Config) *Broker {
	if c.Queue <= 0 {
		c.Queue = defaultQueue
	}
	b := &Broker{
		queue:      queue.New[op](c.Queue),
		answers:    queue.NewAnswers(),
		retentions: append(pubsub.Retentions(nil), c.Retentions...),
		sweepEvery: 10 * time.Second,
		rooms:      make(map[string]*room),
		users:      make(map[string]struct{}),
	}
	for i := range b.retentions {
		r := &b.retentions[i]
		if r.TTL <= 0 {
			r.TTL = defaultTTL
		}
		b.sweepEvery = min(b.sweepEvery, max(r.TTL/4, 100*time.Millisecond))
	}
	return b
}

// Run works until ctx ends, and returns nil. It can be called once.
func (b *Broker) Run(ctx context.Context, h pubsub.Handler) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := make(chan struct{})
	defer close(stop)
	wg.Go(func() { b.answers.Run(stop) })

	b.handler = h
	b.knower, _ = h.(pubsub.UserKnower)
	h.Up(nil)
	sweep := time.NewTicker(b.sweepEvery)
	defer sweep.Stop()
	spare := time.NewTicker(time.Second)
	defer spare.Stop()
	var batch []op
	for {
		select {
		case <-b.queue.Wake():
			batch = b.queue.Take(batch)
			b.workOff(batch)
		case <-spare.C: // the memory that a burst took goes back
			b.workOff(b.queue.Take(nil))
			batch = nil
		case now := <-sweep.C:
			b.sweep(now)
		case <-ctx.Done():
			for _, o := range b.queue.Close() {
				o.refuse(pubsub.ErrClosed)
			}
			return nil
		}
	}
}

// Publish implements [pubsub.Broker].
func (b *Broker) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	b.put(op{m: m, done: done})
}

// Subscribe implements [pubsub.Broker].
func (b *Broker) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	b.put(op{call: func(err error) {
		if err != nil {
			done(pubsub.Position{}, err)
			return
		}
		done(b.subscribe(t), nil)
	}})
}

// Unsubscribe implements [pubsub.Broker]. It is never refused.
func (b *Broker) Unsubscribe(t pubsub.Target) {
	_ = b.queue.Force(op{call: func(err error) {
		if err == nil {
			b.unsubscribe(t)
		}
	}})
}

// Read implements [pubsub.Broker].
func (b *Broker) Read(room string, q pubsub.Query, done func(pubsub.History, error)) {
	b.put(op{call: func(err error) {
		if err != nil {
			done(pubsub.History{}, err)
			return
		}
		done(b.read(room, q), nil)
	}})
}

// Renew implements [pubsub.Broker].
func (b *Broker) Renew(room string, epoch uint64, done func(pubsub.Position, error)) {
	b.put(op{call: func(err error) {
		if err != nil {
			done(pubsub.Position{}, err)
			return
		}
		done(b.renew(room, epoch), nil)
	}})
}

func (b *Broker) put(o op) {
	switch b.queue.Put(o) {
	case queue.ErrFull:
		b.answers.Add(func() { o.refuse(pubsub.ErrUnavailable) })
	case queue.ErrClosed:
		b.answers.Add(func() { o.refuse(pubsub.ErrClosed) })
	}
}

func (o *op) refuse(err error) {
	if o.call != nil {
		o.call(err)
		return
	}
	o.done(pubsub.Receipt{}, err)
}

// Below here: on Run's goroutine.

func (b *Broker) workOff(batch []op) {
	b.now = time.Now()
	for i := range batch {
		b.work(&batch[i])
	}
}

func (b *Broker) work(o *op) {
	switch {
	case o.call != nil:
		o.call(nil)
	case o.m.Target.User:
		b.deliver(o, pubsub.Position{}, b.hasUser(o.m.Target.Name))
	default:
		b.publish(o)
	}
}

func (b *Broker) hasUser(name string) bool {
	if b.knower != nil {
		return b.knower.KnowsUser(name)
	}
	_, subscribed := b.users[name]
	return subscribed
}

func (b *Broker) publish(o *op) {
	r := b.room(o.m.Target.Name)
	switch {
	case o.m.Key != "" && (r == nil || r.keep.History <= 0):
		o.done(pubsub.Receipt{}, pubsub.ErrNoHistory)
		return
	case r == nil:
		b.deliver(o, pubsub.Position{}, false)
		return
	case r.keep.History <= 0:
		b.deliver(o, pubsub.Position{}, r.subscribed)
		return
	}
	r.expire(b.now)
	if at, again := r.keys[o.m.Key]; again {
		o.done(receipt(at, r.subscribed), nil)
		return
	}
	b.deliver(o, r.add(&o.m, b.now), r.subscribed)
}

func (b *Broker) deliver(o *op, at pubsub.Position, subscribed bool) {
	if subscribed {
		o.m.Position, o.m.Key = at, ""
		b.handler.Deliver(o.m)
	}
	o.done(receipt(at, subscribed), nil)
}

func receipt(at pubsub.Position, subscribed bool) pubsub.Receipt {
	if subscribed {
		return pubsub.Receipt{Position: at, Instances: 1}
	}
	return pubsub.Receipt{Position: at}
}

func (b *Broker) subscribe(t pubsub.Target) pubsub.Position {
	if t.User {
		if b.knower == nil {
			b.users[t.Name] = struct{}{}
		}
		return pubsub.Position{}
	}
	r := b.room(t.Name)
	if r == nil {
		r = &room{}
		b.rooms[t.Name] = r
	}
	r.subscribed = true
	return r.top
}

func (b *Broker) unsubscribe(t pubsub.Target) {
	if t.User {
		delete(b.users, t.Name)
		return
	}
	if r := b.rooms[t.Name]; r != nil {
		r.subscribed = false
		b.sweepRoom(t.Name, r, b.now)
	}
}

func (b *Broker) read(name string, q pubsub.Query) pubsub.History {
	r := b.room(name)
	if r == nil || r.keep.History <= 0 {
		return pubsub.History{}
	}
	r.expire(b.now)
	return r.read(q)
}

func (b *Broker) renew(name string, epoch uint64) pubsub.Position {
	r := b.room(name)
	if r == nil || r.keep.History <= 0 {
		return pubsub.Position{}
	}
	if r.top.Epoch == epoch {
		subscribed := r.subscribed
		*r = *newRoom(r.keep, b.now)
		r.subscribed = subscribed
	}
	return r.top
}

// room returns the room, and begins its history if it keeps one. nil: it has no history and no
// subscriber.
func (b *Broker) room(name string) *room {
	if r := b.rooms[name]; r != nil {
		return r
	}
	keep := b.retentions.For(name)
	if keep.History <= 0 {
		return nil
	}
	r := newRoom(keep, b.now)
	b.rooms[name] = r
	return r
}

func (b *Broker) sweep(now time.Time) {
	for name, r := range b.rooms {
		b.sweepRoom(name, r, now)
	}
}

func (b *Broker) sweepRoom(name string, r *room, now time.Time) {
	if empty := r.expire(now); empty && !r.subscribed {
		delete(b.rooms, name)
	}
}
