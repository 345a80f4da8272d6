package redis

import (
	"context"
	"slices"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// maxChannels is how many channels one SUBSCRIBE names at most.
const maxChannels = 512

// controlOp is a call of Subscribe, or of Unsubscribe when done is nil.
type controlOp struct {
	target pubsub.Target
	done   func(pubsub.Position, error)
}

func (op *controlOp) refuse(err error) {
	if op.done != nil {
		op.done(pubsub.Position{}, err)
	}
}

// control tells Redis what to subscribe: many channels in one command. It is the only one that
// writes to a session.
func (l *link) control(ctx context.Context) {
	var batch []controlOp
	for {
		select {
		case <-l.controls.Wake():
		case <-l.subs.resync:
		case <-ctx.Done():
			return
		}
		batch = l.controls.Take(batch)
		c, dropped := l.subs.apply(batch, l.newSub)
		for _, w := range dropped {
			w.done(pubsub.Position{}, unavailable(errUnsubscribed))
		}
		if c.session != nil {
			if err := l.write(ctx, c); err != nil {
				c.session.kill(err)
			}
		}
	}
}

func (l *link) newSub(t pubsub.Target) *sub {
	return &sub{
		target:  t,
		channel: l.b.layout.channel(t),
		history: !t.User && l.b.config.Retentions.For(t.Name).History > 0,
	}
}

// write sends the commands. A channel is only in one of the two lists. When the whole set has been
// told, the probe's channel comes last: its confirmation means that all others are confirmed.
func (l *link) write(ctx context.Context, c commands) error {
	for channels := range slices.Chunk(c.unsubscribe, maxChannels) {
		if err := c.session.unsubscribe(ctx, channels...); err != nil {
			return err
		}
	}
	for channels := range slices.Chunk(c.subscribe, maxChannels) {
		if err := c.session.subscribe(ctx, channels...); err != nil {
			return err
		}
	}
	if c.last {
		return c.session.subscribe(ctx, l.probe)
	}
	return nil
}
