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

// A pipeline has at most so many commands, and as few as make up so many bytes.
const (
	maxBatch      = 256
	maxBatchBytes = 1 << 20
)

// publish is a call of Publish.
type publish struct {
	m    pubsub.Message
	done func(pubsub.Receipt, error)
	at   time.Time // of the call
}

var errTooLate = errors.New("it waited too long to be sent")

// publisher sends what is published on the link, in order, one pipeline at a time. It never waits for more to
// come: while one pipeline is under way the next collects.
func (l *link) publisher(ctx context.Context) {
	var batch []publish
	for {
		select {
		case <-l.publishes.Wake():
		case <-ctx.Done():
			return
		}
		batch = l.publishes.Take(batch)
		for rest := batch; len(rest) > 0; {
			n := batchSize(rest)
			if ctx.Err() != nil {
				l.b.refuse(rest, pubsub.ErrClosed)
				break
			}
			l.send(rest[:n])
			rest = rest[n:]
		}
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

// send publishes a batch and answers each.
func (l *link) send(batch []publish) {
	if err := l.health.publishing(); err != nil {
		l.b.refuse(batch, unavailable(err))
		return
	}
	late := 0
	for late < len(batch) && time.Since(batch[late].at) > answerWithin-100*time.Millisecond {
		late++
	}
	l.b.refuse(batch[:late], unavailable(errTooLate))
	if batch = batch[late:]; len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), batch[0].at.Add(answerWithin))
	defer cancel()

	l.b.metrics.batch.Observe(float64(len(batch)))
	load := false
	for try := 0; ; try++ {
		var err error
		if batch, err = l.round(ctx, batch, load); len(batch) == 0 {
			return
		}
		var ok bool
		if load, ok = l.remedy(ctx, err, try); !ok {
			l.b.refuse(batch, unavailable(err))
			return
		}
	}
}

// round sends a batch once, answers what was done and what cannot be, and returns what Redis has
// refused for the reason err, and can be sent again.
func (l *link) round(ctx context.Context, batch []publish, load bool) (again []publish, err error) {
	cmds := make([]*goredis.Cmd, len(batch), len(batch)+1)
	scripts := 0
	for i := range batch {
		m := &batch[i].m
		if l.b.kept(m) {
			scripts++
		}
		cmds[i] = l.b.command(ctx, m, load && scripts == 1)
	}
	var acks *goredis.Cmd
	if scripts > 0 {
		acks = l.acks(ctx)
	}
	if acks != nil {
		l.exec(ctx, append(cmds, acks)...)
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

// kept reports whether m's target has history.
func (b *Broker) kept(m *pubsub.Message) bool {
	return !m.Target.User && b.config.Retentions.For(m.Target.Name).History > 0
}

// command is the one that publishes m; load: with the script's source.
func (b *Broker) command(ctx context.Context, m *pubsub.Message, load bool) *goredis.Cmd {
	channel := b.layout.channel(m.Target)
	bare := *m
	bare.Position = pubsub.Position{}
	envelope := appendEnvelope(make([]byte, 0, envelopeSize(m)), &bare)
	if !b.kept(m) {
		return goredis.NewCmd(ctx, b.layout.publish(), channel, envelope)
	}
	room := m.Target.Name
	keep := b.config.Retentions.For(room)
	meta, history := b.layout.meta(room), b.layout.history(room)
	ttl := keep.TTL.Milliseconds()
	if m.Key != "" {
		return publishScript.command(ctx, load, 3, meta, history, b.layout.key(room, m.Key),
			channel, newEpoch(), keep.History, ttl, metaTTL(keep), envelope, b.layout.publish())
	}
	return publishScript.command(ctx, load, 2, meta, history,
		channel, newEpoch(), keep.History, ttl, metaTTL(keep), envelope, b.layout.publish())
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
