package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// maxReads is how many histories a pipeline reads at most: they can be large.
const maxReads = 16

// errAnswer: Redis answered something that the scripts do not return.
var errAnswer = errors.New("unexpected answer from Redis")

// read is a call of Read, or of Renew when an epoch is to be renewed.
type read struct {
	room  string
	query pubsub.Query
	renew uint64
	done  func(pubsub.History, error)
}

func (b *Broker) readOrRenew(ctx context.Context, r read, load bool) *goredis.Cmd {
	if r.renew == 0 {
		return b.readCommand(ctx, r.room, r.query, load)
	}
	return renewScript.command(ctx, load, 2, b.layout.meta(r.room), b.layout.history(r.room),
		newEpoch(), metaTTL(b.config.Retentions.For(r.room)), strconv.FormatUint(r.renew, 10))
}

// reader reads histories, in pipelines.
func (l *link) reader(ctx context.Context) {
	var batch []read
	for {
		select {
		case <-l.reads.Wake():
		case <-ctx.Done():
			return
		}
		batch = l.reads.Take(batch)
		for rest := batch; len(rest) > 0; {
			n := min(len(rest), maxReads)
			l.readSome(ctx, rest[:n])
			rest = rest[n:]
		}
	}
}

func (l *link) readSome(ctx context.Context, batch []read) {
	down := l.health.publishing()
	cmds := make([]*goredis.Cmd, 0, len(batch))
	var asked []read
	for _, r := range batch {
		switch {
		case ctx.Err() != nil:
			r.done(pubsub.History{}, pubsub.ErrClosed)
		case l.b.config.Retentions.For(r.room).History <= 0:
			r.done(pubsub.History{}, nil)
		case down != nil:
			r.done(pubsub.History{}, unavailable(down))
		default:
			asked = append(asked, r)
			cmds = append(cmds, l.b.readOrRenew(ctx, r, false))
		}
	}
	l.execReads(cmds, func(i int, load bool) *goredis.Cmd {
		return l.b.readOrRenew(ctx, asked[i], load)
	})
	for i, r := range asked {
		h, err := l.b.history(r.room, r.query, cmds[i])
		if err != nil {
			err = unavailable(err)
		}
		r.done(h, err)
	}
}

// readCommand reads the newest position and what q asks for.
func (b *Broker) readCommand(ctx context.Context, room string, q pubsub.Query, load bool) *goredis.Cmd {
	mode, n := "top", uint64(0)
	switch {
	case q.Since && q.After < pubsub.MaxEpoch:
		mode, n = "since", q.After+1
	case !q.Since && q.Last > 0:
		mode, n = "last", uint64(q.Last)
	}
	return readScript.command(ctx, load, 2, b.layout.meta(room), b.layout.history(room),
		newEpoch(), metaTTL(b.config.Retentions.For(room)), mode, strconv.FormatUint(n, 10))
}

// execReads sends cmds as one pipeline, and what was refused once more, made anew by again: reading
// or renewing twice does no harm.
func (l *link) execReads(cmds []*goredis.Cmd, again func(i int, load bool) *goredis.Cmd) {
	if len(cmds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ioTimeout)
	defer cancel()
	l.exec(ctx, cmds...)
	for try := 0; ; try++ {
		i := slices.IndexFunc(cmds, func(c *goredis.Cmd) bool { return repeatable(c.Err()) })
		if i < 0 {
			return
		}
		load, ok := l.remedy(ctx, cmds[i].Err(), try)
		if !ok {
			return
		}
		var retry []*goredis.Cmd
		for i, c := range cmds {
			if repeatable(c.Err()) {
				cmds[i] = again(i, load)
				retry = append(retry, cmds[i])
			}
		}
		l.exec(ctx, retry...)
	}
}

// history reads the answer to a readCommand. Only what is dense and ends with the top is believed.
func (b *Broker) history(room string, q pubsub.Query, cmd *goredis.Cmd) (pubsub.History, error) {
	v, err := cmd.Slice()
	if err != nil {
		return pubsub.History{}, err
	}
	if len(v) != 3 {
		return pubsub.History{}, errAnswer
	}
	top, ok := position(v[0], v[1])
	entries, isList := v[2].([]any)
	if !ok || !isList {
		return pubsub.History{}, errAnswer
	}
	h := pubsub.History{Top: top}
	if q.Since {
		slices.Reverse(entries)
	}
	next := top.Offset
	for _, e := range entries { // newest first
		m, ok := b.entry(e, next)
		if !ok {
			break
		}
		m.Target, m.Position = pubsub.Room(room), pubsub.Position{Epoch: top.Epoch, Offset: next}
		h.Messages = append(h.Messages, m)
		next--
	}
	slices.Reverse(h.Messages)
	return h, nil
}

// entry reads a stream entry that must have this offset: [id, [field, envelope]].
func (b *Broker) entry(v any, offset uint64) (pubsub.Message, bool) {
	entry, _ := v.([]any)
	if len(entry) != 2 {
		return pubsub.Message{}, false
	}
	id, _ := entry[0].(string)
	fields, _ := entry[1].([]any)
	n, isOurs := strings.CutSuffix(id, "-0")
	if got, err := strconv.ParseUint(n, 10, 64); err != nil || !isOurs || got != offset || len(fields) != 2 {
		return pubsub.Message{}, false
	}
	envelope, _ := fields[1].(string)
	m, err := decode([]byte(envelope))
	if err == nil && m.Kind == pubsub.Foreign {
		err = errMalformed
	}
	if err != nil {
		b.bad("history", err)
		return pubsub.Message{}, false
	}
	return m, true
}

// position reads an epoch and an offset as scripts return them.
func position(epoch, offset any) (pubsub.Position, bool) {
	e, _ := epoch.(string)
	at := pubsub.Position{}
	var err1, err2 error
	at.Epoch, err1 = strconv.ParseUint(e, 10, 64)
	switch o := offset.(type) {
	case int64:
		at.Offset = uint64(o)
	case string:
		at.Offset, err2 = strconv.ParseUint(o, 10, 64)
	default:
		return at, false
	}
	ok := err1 == nil && err2 == nil && valid(at.Epoch) && (at.Offset == 0 || valid(at.Offset))
	return at, ok
}

// bad counts something in Redis that is not as it must be, and logs it now and then.
func (b *Broker) bad(where string, err error) {
	b.metrics.bad.Inc()
	if ok, skipped := b.badMessage.now(); ok {
		b.log.Warn("a message in Redis is not as it must be and was dropped", "where", where, "error", err, "suppressed", skipped)
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
