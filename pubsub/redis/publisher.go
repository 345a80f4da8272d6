package redis

import (
	"context"
	"errors"
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

// publisher sends what is published, in order, one pipeline at a time. It never waits for more to
// come: while one pipeline is under way the next collects.
func (b *Broker) publisher(ctx context.Context) {
	var batch []publish
	for {
		select {
		case <-b.publishes.Wake():
		case <-ctx.Done():
			return
		}
		batch = b.publishes.Take(batch)
		for rest := batch; len(rest) > 0; {
			n := batchSize(rest)
			if ctx.Err() != nil {
				b.refuse(rest, pubsub.ErrClosed)
				break
			}
			b.send(rest[:n])
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
func (b *Broker) send(batch []publish) {
	if err := b.health.publishing(); err != nil {
		b.refuse(batch, unavailable(err))
		return
	}
	late := 0
	for late < len(batch) && time.Since(batch[late].at) > answerWithin-100*time.Millisecond {
		late++
	}
	b.refuse(batch[:late], unavailable(errTooLate))
	if batch = batch[late:]; len(batch) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), batch[0].at.Add(answerWithin))
	defer cancel()

	b.metrics.batch.Observe(float64(len(batch)))
	cmds := make([]*goredis.Cmd, len(batch))
	for i := range batch {
		cmds[i] = b.command(ctx, &batch[i].m, false)
	}
	b.exec(ctx, cmds)
	b.sendAgain(ctx, batch, cmds)

	for i := range batch {
		receipt, err := b.receipt(cmds[i])
		b.answer(&batch[i], receipt, err)
	}
}

// sendAgain sends what Redis did not do because it did not know the script: a restarted or flushed
// server. The first one teaches it. Another instance may have done so in the middle of our
// pipeline; then what came before for the same target would now come after, and is refused
// instead.
func (b *Broker) sendAgain(ctx context.Context, batch []publish, cmds []*goredis.Cmd) {
	if !slices.ContainsFunc(cmds, func(c *goredis.Cmd) bool { return noScript(c.Err()) }) {
		return
	}
	passed := make(map[pubsub.Target]bool)
	again := make([]bool, len(cmds))
	for i := len(cmds) - 1; i >= 0; i-- {
		target := batch[i].m.Target
		if noScript(cmds[i].Err()) {
			again[i] = !passed[target]
		} else {
			passed[target] = true
		}
	}
	var retry []*goredis.Cmd
	for i := range cmds {
		if again[i] {
			cmds[i] = b.command(ctx, &batch[i].m, len(retry) == 0)
			retry = append(retry, cmds[i])
		}
	}
	if len(retry) > 0 {
		b.exec(ctx, retry)
	}
}

// command is the one that publishes m; load: with the script's source.
func (b *Broker) command(ctx context.Context, m *pubsub.Message, load bool) *goredis.Cmd {
	channel := b.layout.channel(m.Target)
	bare := *m
	bare.Position = pubsub.Position{}
	envelope := appendEnvelope(make([]byte, 0, envelopeSize(m)), &bare)
	if m.Target.User {
		return goredis.NewCmd(ctx, "publish", channel, envelope)
	}
	room := m.Target.Name
	keep := b.config.Retentions.For(room)
	if keep.History <= 0 {
		return goredis.NewCmd(ctx, "publish", channel, envelope)
	}
	meta, history := b.layout.meta(room), b.layout.history(room)
	ttl := keep.TTL.Milliseconds()
	if m.Key != "" {
		return publishScript.command(ctx, load, 4, meta, history, channel, b.layout.key(room, m.Key),
			newEpoch(), keep.History, ttl, metaTTL(keep), envelope, "PUBLISH")
	}
	return publishScript.command(ctx, load, 3, meta, history, channel,
		newEpoch(), keep.History, ttl, metaTTL(keep), envelope, "PUBLISH")
}

// receipt reads the answer to a command. An error of the connection, not of this one message,
// refuses further ones until a probe gets through.
func (b *Broker) receipt(cmd *goredis.Cmd) (pubsub.Receipt, error) {
	v, err := cmd.Result()
	if err != nil {
		var said goredis.Error
		if errors.As(err, &said) {
			if ok, skipped := b.badPublish.now(); ok {
				b.log.Warn("Redis refused to publish", "error", err, "suppressed", skipped)
			}
		} else {
			b.health.publishFailed(err)
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
