package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

var errTooLate = errors.New("it waited too long to be sent")

// sender sends pipelines, one after the other, until the publisher ends.
func (l *link) sender(ctx context.Context) {
	for p := range l.lane.made {
		l.dispatch(ctx, p)
	}
}

// dispatch sends a pipeline, no other being under way.
func (l *link) dispatch(ctx context.Context, p *pipeline) {
	if ctx.Err() != nil {
		l.b.refuse(p.batch, pubsub.ErrClosed)
	} else {
		l.send(p.batch, p.cmds)
	}
	clear(p.batch)
	clear(p.cmds)
	l.lane.free <- p
}

// send publishes a batch with its commands and answers each.
func (l *link) send(batch []publish, cmds []*goredis.Cmd) {
	if err := l.health.publishing(); err != nil {
		l.b.refuse(batch, unavailable(err))
		return
	}
	late := 0
	for late < len(batch) && time.Since(batch[late].at) > answerWithin-100*time.Millisecond {
		late++
	}
	l.b.refuse(batch[:late], unavailable(errTooLate))
	if batch, cmds = batch[late:], cmds[late:]; len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), batch[0].at.Add(answerWithin))
	defer cancel()

	l.b.metrics.batch.Observe(float64(len(batch)))
	for try := 0; ; try++ {
		var err error
		if batch, err = l.round(ctx, batch, cmds); len(batch) == 0 {
			return
		}
		load, ok := l.remedy(ctx, err, try)
		if !ok {
			l.b.refuse(batch, unavailable(err))
			return
		}
		cmds = l.commands(batch, load)
	}
}

// commands makes those of a batch anew; load: the first script brings its source.
func (l *link) commands(batch []publish, load bool) []*goredis.Cmd {
	cmds := make([]*goredis.Cmd, len(batch))
	for i := range batch {
		n := l.b.names(batch[i].m.Target)
		cmds[i] = l.b.command(&batch[i].m, n, load && n.keep.History > 0)
		load = load && n.keep.History <= 0
	}
	return cmds
}

// round sends a batch once, answers what was done and what cannot be, and returns what Redis has
// refused for the reason err, and can be sent again.
func (l *link) round(ctx context.Context, batch []publish, cmds []*goredis.Cmd) (again []publish, err error) {
	var acks *goredis.Cmd
	if slices.ContainsFunc(batch, func(p publish) bool { return l.b.kept(p.m.Target) }) {
		acks = l.acks(ctx)
	}
	if acks != nil {
		l.exec(ctx, append(slices.Clip(cmds), acks)...)
	} else {
		l.exec(ctx, cmds...)
	}
	var few error
	repeat := l.repeat(batch, cmds)
	for i := range batch {
		if repeat != nil && repeat[i] {
			again = append(again, batch[i])
			if err == nil {
				err = cmds[i].Err()
			}
			continue
		}
		receipt, err := l.receipt(cmds[i])
		if err == nil && receipt.Position.Offset != 0 && acks != nil {
			if few == nil {
				few = l.acked(acks)
			}
			if few != nil {
				receipt, err = pubsub.Receipt{}, unavailable(few)
			}
		}
		l.b.answer(&batch[i], receipt, err)
	}
	return again, err
}

// repeat tells which of a batch can be sent again: what Redis has refused, unless something later
// for the same target was done already, which would then come first. nil: none.
func (l *link) repeat(batch []publish, cmds []*goredis.Cmd) []bool {
	if !slices.ContainsFunc(cmds, func(c *goredis.Cmd) bool { return repeatable(c.Err()) }) {
		return nil
	}
	passed := make(map[pubsub.Target]bool)
	repeat := make([]bool, len(cmds))
	for i := len(cmds) - 1; i >= 0; i-- {
		target := batch[i].m.Target
		if repeatable(cmds[i].Err()) {
			repeat[i] = !passed[target]
		} else {
			passed[target] = true
		}
	}
	return repeat
}

// acks is the command that waits for the replicas to have what was sent before it; nil: none is
// waited for.
func (l *link) acks(ctx context.Context) *goredis.Cmd {
	if l.b.config.AckReplicas == 0 {
		return nil
	}
	within := ackTimeout
	if at, ok := ctx.Deadline(); ok {
		within = max(min(within, time.Until(at)-200*time.Millisecond), time.Millisecond)
	}
	return goredis.NewCmd(ctx, "wait", l.b.config.AckReplicas, within.Milliseconds())
}

// acked is nil when enough replicas have answered.
func (l *link) acked(acks *goredis.Cmd) error {
	if acks == nil {
		return nil
	}
	n, err := acks.Int()
	if err == nil && n < l.b.config.AckReplicas {
		err = fmt.Errorf("%d of %d replicas have acknowledged", n, l.b.config.AckReplicas)
	}
	return err
}

// receipt reads the answer to a command. An error of the connection or of the server as a whole, not
// of this one message, refuses further ones until a probe gets through.
func (l *link) receipt(cmd *goredis.Cmd) (pubsub.Receipt, error) {
	v, err := cmd.Result()
	if err != nil {
		if !said(err) || unfit(err) {
			l.b.servers.suspect(l.index, err)
			l.health.publishFailed(err)
		} else if ok, skipped := l.b.badPublish.now(); ok {
			l.b.log.Warn("Redis refused to publish", "error", err, "suppressed", skipped)
		}
		return pubsub.Receipt{}, unavailable(err)
	}
	switch v := v.(type) {
	case int64:
		return pubsub.Receipt{Instances: int(v)}, nil
	case []any:
		if len(v) == 3 {
			at, ok := position(v[0], v[1])
			receivers, isInt := v[2].(int64)
			if ok && isInt {
				return pubsub.Receipt{Position: at, Instances: int(receivers)}, nil
			}
		}
	}
	return pubsub.Receipt{}, unavailable(errAnswer)
}

func (b *Broker) refuse(batch []publish, err error) {
	for i := range batch {
		b.answer(&batch[i], pubsub.Receipt{}, err)
	}
}

func (b *Broker) answer(p *publish, r pubsub.Receipt, err error) {
	if err == nil {
		b.metrics.publish.Observe(time.Since(p.at).Seconds())
	}
	p.done(r, err)
}
