package redis

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// tops reads the newest positions of rooms: of those that Redis has confirmed, for the answer to
// Subscribe and after a reconnect, and now and then of all.
func (l *link) tops(ctx context.Context) {
	all := time.NewTimer(jitter(l.b.topsEvery))
	defer all.Stop()
	for {
		select {
		case <-l.subs.confirm:
			l.topsOfConfirmed(ctx)
		case <-all.C:
			l.topsOfAll(ctx)
			all.Reset(jitter(l.b.topsEvery))
		case <-ctx.Done():
			return
		}
	}
}

// jitter is d, give or take a fifth.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5) }

func (l *link) topsOfConfirmed(ctx context.Context) {
	for ctx.Err() == nil {
		jobs := l.subs.takeConfirmed(maxBatch)
		if len(jobs) == 0 {
			return
		}
		failed := l.answerTops(ctx, jobs)
		if len(failed) > 0 {
			l.subs.putBack(failed)
			pause(ctx, 200*time.Millisecond)
			signal(l.subs.confirm)
			return
		}
	}
}

// answerTops does the jobs, and returns those whose position could not be read.
func (l *link) answerTops(ctx context.Context, jobs []topJob) (failed []topJob) {
	var rooms []*sub
	for _, j := range jobs {
		if j.sub.history {
			rooms = append(rooms, j.sub)
		}
	}
	positions, err := l.readTops(ctx, rooms)
	for _, j := range jobs {
		var at pubsub.Position
		if j.sub.history {
			var ok bool
			if at, ok = positions[j.sub]; !ok {
				failed = append(failed, j)
				continue
			}
			if j.tell {
				l.tell(j.sub, at, true)
			}
		}
		for _, w := range j.waiting {
			w.done(at, nil)
		}
	}
	if err != nil {
		if ok, skipped := l.b.badTops.now(); ok {
			l.b.log.Warn("the newest positions of rooms cannot be read", "error", err, "suppressed", skipped)
		}
	}
	return failed
}

func (l *link) topsOfAll(ctx context.Context) {
	for rooms := range slices.Chunk(l.subs.liveRooms(), maxBatch) {
		positions, err := l.readTops(ctx, rooms)
		if err != nil || ctx.Err() != nil {
			return // health finds out about Redis, and the next time is soon
		}
		for _, u := range rooms {
			l.tell(u, positions[u], false)
		}
		l.topsOfConfirmed(ctx) // they are waited for
	}
}

func (l *link) tell(u *sub, at pubsub.Position, interrupted bool) {
	if l.subs.isLive(u) {
		l.b.handler.Top(u.target.Name, at, interrupted)
	}
}

// readTops reads in one pipeline. What could not be read is missing in the result, and err says why.
func (l *link) readTops(ctx context.Context, rooms []*sub) (_ map[*sub]pubsub.Position, err error) {
	command := func(i int, load bool) *goredis.Cmd {
		return l.b.readCommand(ctx, rooms[i].target.Name, pubsub.Query{}, 0, load)
	}
	cmds := make([]*goredis.Cmd, len(rooms))
	for i := range rooms {
		cmds[i] = command(i, false)
	}
	l.execReads(cmds, command)
	positions := make(map[*sub]pubsub.Position, len(rooms))
	for i, c := range cmds {
		h, e := l.b.history(&read{room: rooms[i].target.Name}, c)
		if e != nil {
			err = e
			continue
		}
		positions[rooms[i]] = h.Top
	}
	return positions, err
}
