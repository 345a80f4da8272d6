package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/internal/queue"
)

const (
	// A pipeline has at most so many commands, and as few as make up so many bytes.
	maxBatch      = 256
	maxBatchBytes = 1 << 20
	// maxNames bounds the targets whose names a link keeps.
	maxNames = 4096
)

// publish is a call of Publish.
type publish struct {
	m    pubsub.Message
	done func(pubsub.Receipt, error)
	at   time.Time // of the call
}

// pipeline is publishes and the commands that do them.
type pipeline struct {
	batch []publish
	cmds  []*goredis.Cmd
}

// lane is the way of a link's publishes, in order. The publisher makes pipelines and sends small ones; the sender sends
// whole ones; two pipelines go round between them, so that one is made while the other is under way.
type lane struct {
	// Safe for concurrent use.
	publishes *queue.Queue[publish]
	made      chan *pipeline // by publisher, which closes it
	free      chan *pipeline // for publisher
}

func newLane(max int) *lane {
	const pipelines = 2
	l := &lane{queue.New[publish](max), make(chan *pipeline, pipelines), make(chan *pipeline, pipelines)}
	for range pipelines {
		l.free <- new(pipeline)
	}
	return l
}

// publisher makes pipelines of what is published on the link, in order. It never waits for more to
// come: what is less than a whole pipeline it sends itself, once the one before it is done, with what came
// until then; whole ones it leaves to the sender, and makes the next meanwhile.
func (l *link) publisher(ctx context.Context) {
	way := l.lane
	defer close(way.made)
	named := make(map[pubsub.Target]*names)
	var taken []publish
	for {
		select {
		case <-way.publishes.Wake():
		case <-ctx.Done():
			return
		}
		taken = way.publishes.Take(taken)
		for rest := taken; len(rest) > 0; {
			p, ok := way.freePipeline(ctx)
			alone := len(rest) < maxBatch
			if ok && alone {
				var other *pipeline
				if other, ok = way.freePipeline(ctx); ok {
					way.free <- other
				}
				taken = append(rest, way.publishes.Take(nil)...)
				rest = taken
			}
			if !ok {
				l.b.refuse(rest, pubsub.ErrClosed)
				return
			}
			n := batchSize(rest)
			p.batch, p.cmds = append(p.batch[:0], rest[:n]...), p.cmds[:0]
			for i := range p.batch {
				p.cmds = append(p.cmds, l.b.command(&p.batch[i].m, l.names(named, p.batch[i].m.Target), false))
			}
			if alone && n == len(rest) {
				l.dispatch(ctx, p)
			} else {
				way.made <- p
			}
			rest = rest[n:]
		}
	}
}

// freePipeline waits for one; not ok: ctx has ended.
func (l *lane) freePipeline(ctx context.Context) (p *pipeline, ok bool) {
	select {
	case p = <-l.free:
		return p, true
	case <-ctx.Done():
		return nil, false
	}
}

// batchSize is how many from the front of ps make one pipeline.
func batchSize(ps []publish) int {
	size := 0
	for n := range min(len(ps), maxBatch) {
		if size += len(ps[n].m.Payload); size >= maxBatchBytes {
			return n + 1
		}
	}
	return min(len(ps), maxBatch)
}

// names is what the commands for a target have in common, ready to be handed to go-redis. Static.
type names struct {
	keep                   pubsub.Retention // none for a user
	channel, meta, history any
	most, ttl, metaTTL     any // of keep
}

// names of a target. They are kept in known.
func (l *link) names(known map[pubsub.Target]*names, t pubsub.Target) *names {
	n := known[t]
	if n == nil {
		if len(known) >= maxNames {
			clear(known)
		}
		n = l.b.names(t)
		known[t] = n
	}
	return n
}

func (b *Broker) names(t pubsub.Target) *names {
	n := &names{channel: b.layout.channel(t)}
	if b.kept(t) {
		n.keep = b.config.Retentions.For(t.Name)
		n.meta, n.history = b.layout.meta(t.Name), b.layout.history(t.Name)
		n.most, n.ttl, n.metaTTL = n.keep.History, n.keep.TTL.Milliseconds(), metaTTL(n.keep)
	}
	return n
}

// kept reports whether the target has history.
func (b *Broker) kept(t pubsub.Target) bool {
	return !t.User && b.config.Retentions.For(t.Name).History > 0
}

// command is the one that publishes m; load: with the script's source.
func (b *Broker) command(m *pubsub.Message, n *names, load bool) *goredis.Cmd {
	ctx := context.Background()
	bare := *m
	bare.Position = pubsub.Position{}
	envelope := appendEnvelope(make([]byte, 0, envelopeSize(m)), &bare)
	if n.keep.History <= 0 {
		return goredis.NewCmd(ctx, b.publish, n.channel, envelope)
	}
	if m.Key != "" {
		return publishScript.command(ctx, load, 3, n.meta, n.history, b.layout.key(m.Target.Name, m.Key),
			n.channel, newEpoch(), n.most, n.ttl, n.metaTTL, envelope, b.publish)
	}
	return publishScript.command(ctx, load, 2, n.meta, n.history,
		n.channel, newEpoch(), n.most, n.ttl, n.metaTTL, envelope, b.publish)
}
