package redis

import (
	"context"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/internal/queue"
)

// link is the way to the partitions that are always on one server together: to all of them, or, on
// a cluster, to one. What goes on on one link does not wait for another. It works from its first
// use on.
type link struct {
	// Static after construction.
	b     *Broker
	index int    // on a cluster the partition
	probe string // the channel on which this instance hears itself, and a key that it may write

	// Safe for concurrent use.
	used     atomic.Bool
	lane     *lane // for publishes
	reads    *queue.Queue[read]
	controls *queue.Queue[controlOp]
	subs     *subscriptions
	health   *health

	watched watched // owned by watch
}

func newLink(b *Broker, index int, random uint64) *link {
	return &link{
		b:        b,
		index:    index,
		probe:    b.layout.probe(index, b.config.Name, random),
		lane:     newLane(b.config.Queue),
		reads:    queue.New[read](b.config.Queue),
		controls: queue.New[controlOp](b.config.Queue),
		subs:     newSubscriptions(),
		health:   newHealth(b.changed),
	}
}

// use has the link work, now or once Run runs.
func (l *link) use() {
	if !l.used.Load() && !l.used.Swap(true) {
		_ = l.b.starting.Put(l)
	}
}

// run works until ctx ends, or returns an error that no waiting would mend.
func (l *link) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range []func(context.Context){l.publisher, l.sender, l.reader, l.control, l.tops, l.prober} {
		g.Go(func() error { f(ctx); return nil })
	}
	g.Go(func() error { return l.listener(ctx) })
	return g.Wait()
}

// refuseAll answers what is still open when all goroutines have ended.
func (l *link) refuseAll() {
	for _, p := range l.lane.publishes.Close() {
		p.done(pubsub.Receipt{}, pubsub.ErrClosed)
	}
	for _, r := range l.reads.Close() {
		r.done(pubsub.History{}, pubsub.ErrClosed)
	}
	for _, c := range l.controls.Close() {
		c.refuse(pubsub.ErrClosed)
	}
	for _, w := range l.subs.close() {
		w.done(pubsub.Position{}, pubsub.ErrClosed)
	}
}

// exec sends commands to the link's server as one pipeline; each holds its own error afterwards.
func (l *link) exec(ctx context.Context, cmds ...*goredis.Cmd) {
	client, err := l.b.servers.client(ctx, l.index)
	if err != nil {
		for _, c := range cmds {
			c.SetErr(err)
		}
		return
	}
	pipe := client.Pipeline()
	for _, c := range cmds {
		_ = pipe.Process(ctx, c)
	}
	_, _ = pipe.Exec(ctx)
}
