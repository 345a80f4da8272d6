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

const (
	// maxReads is how many histories a pipeline reads at most: they can be large.
	maxReads = 16
	// pageBytes is about how much of a history is read at once. What is more is read in several
	// pages: the whole may not be there within ioTimeout, and other reads are to have their turn.
	pageBytes = 1 << 20
)

// errAnswer: Redis answered something that the scripts do not return.
var errAnswer = errors.New("unexpected answer from Redis")

// read is a call of Read, or of Renew when an epoch is to be renewed.
type read struct {
	room  string
	query pubsub.Query
	renew uint64
	done  func(pubsub.History, error)

	got   []pubsub.Message // of the pages before
	epoch uint64           // of the pages before
	next  uint64           // the first offset of the page that is wanted now; 0: the query's
}

func (b *Broker) readOrRenew(ctx context.Context, r read, load bool) *goredis.Cmd {
	if r.renew == 0 {
		return b.readCommand(ctx, r.room, r.query, r.next, load)
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
		h, err := l.b.history(&r, cmds[i])
		if err == nil && r.next > 0 {
			if err = l.reads.Force(r); err == nil { // after those that wait
				continue
			}
			r.done(pubsub.History{}, refusal(err))
			continue
		}
		if err != nil {
			err = unavailable(err)
		}
		r.done(h, err)
	}
}

// readCommand reads the newest position and what q asks for; next: from there on, if not 0.
func (b *Broker) readCommand(ctx context.Context, room string, q pubsub.Query, next uint64, load bool) *goredis.Cmd {
	mode, n := "top", uint64(0)
	switch {
	case next > 0:
		mode, n = "since", next
	case q.Since && q.After < pubsub.MaxEpoch:
		mode, n = "since", q.After+1
	case !q.Since && q.Last > 0:
		mode, n = "last", uint64(q.Last)
	}
	return readScript.command(ctx, load, 2, b.layout.meta(room), b.layout.history(room),
		newEpoch(), metaTTL(b.config.Retentions.For(room)), mode, strconv.FormatUint(n, 10), pageBytes)
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

// history reads the answer to a read's command. Only what is dense and ends with the top is believed.
// Where that was only a page, r is what is to be read next, and r.next is not 0.
func (b *Broker) history(r *read, cmd *goredis.Cmd) (pubsub.History, error) {
	paged := r.next > 0
	r.next = 0
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
	if paged && r.epoch != top.Epoch { // a new history: all over again
		r.got, r.epoch, r.next = nil, top.Epoch, r.query.After+1
		return pubsub.History{}, nil
	}
	last := top.Offset
	if r.query.Since && len(entries) > 0 {
		if n, ok := entryOffset(entries[len(entries)-1]); ok && n < last {
			last = n
		}
		slices.Reverse(entries)
	}
	messages := b.page(r.room, entries, pubsub.Position{Epoch: top.Epoch, Offset: last})
	if n := len(r.got); n > 0 {
		switch end := r.got[n-1].Position.Offset; {
		case len(entries) == 0:
			last, messages = end, r.got
		case len(messages) > 0 && messages[0].Position.Offset == end+1:
			messages = append(r.got, messages...)
		}
	}
	switch {
	case last == top.Offset:
		return pubsub.History{Top: top, Messages: messages}, nil
	case len(entries) == 0: // the stream ends before the top
		return pubsub.History{Top: top}, nil
	}
	r.got, r.epoch, r.next = messages, top.Epoch, last+1
	return pubsub.History{}, nil
}

// page reads entries, newest first, of which the first must have this position. It returns those
// that are dense up to there, in the order of their offsets.
func (b *Broker) page(room string, entries []any, at pubsub.Position) (messages []pubsub.Message) {
	for _, e := range entries {
		m, ok := b.entry(e, at.Offset)
		if !ok {
			break
		}
		m.Target, m.Position = pubsub.Room(room), at
		messages = append(messages, m)
		at.Offset--
	}
	slices.Reverse(messages)
	return messages
}

// entryOffset is the offset of a stream entry: [id, [field, envelope]].
func entryOffset(v any) (uint64, bool) {
	entry, _ := v.([]any)
	if len(entry) != 2 {
		return 0, false
	}
	id, _ := entry[0].(string)
	n, isOurs := strings.CutSuffix(id, "-0")
	offset, err := strconv.ParseUint(n, 10, 64)
	return offset, err == nil && isOurs
}

// entry reads a stream entry that must have this offset.
func (b *Broker) entry(v any, offset uint64) (pubsub.Message, bool) {
	if got, ok := entryOffset(v); !ok || got != offset {
		return pubsub.Message{}, false
	}
	fields, _ := v.([]any)[1].([]any)
	if len(fields) != 2 {
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
