package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// probeEvery: on a cluster of 64 partitions that is 64 small pipelines a second and instance.
const probeEvery = time.Second

// prober publishes to the instance itself, every second and when asked to.
func (l *link) prober(ctx context.Context) {
	for {
		t := time.NewTimer(jitter(probeEvery))
		select {
		case <-t.C:
		case <-l.health.probe:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
		writeErr, err := l.tryProbe(ctx)
		if isMoved(err) { // suspect is told, so that it may be elsewhere now
			writeErr, err = l.tryProbe(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.health.publishFailed(err)
			if said(err) {
				l.health.drop(err)
			}
		default:
			l.health.published(writeErr)
		}
	}
}

// tryProbe writes and publishes. err says why publishing is of no use, writeErr why messages with
// history would be refused, if there are any.
func (l *link) tryProbe(ctx context.Context) (writeErr, err error) {
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	// Neither that memory is full nor that the disk is will keep a DEL from telling a replica.
	write := goredis.NewCmd(ctx, "del", l.probe)
	if l.b.keeps {
		write = goredis.NewCmd(ctx, "set", l.probe, "", "px", (2 * probeEvery).Milliseconds())
	}
	publish := goredis.NewCmd(ctx, l.b.layout.publish(), l.probe, "")
	acks := l.acks(ctx)
	if acks == nil {
		l.exec(ctx, write, publish)
	} else {
		l.exec(ctx, write, publish, acks)
	}
	for _, err := range []error{publish.Err(), write.Err()} {
		if err != nil && (!said(err) || isMoved(err) || unfit(err)) {
			l.b.servers.suspect(l.index, err)
			return nil, err
		}
	}
	if !l.b.keeps || repeatable(write.Err()) {
		return nil, nil
	}
	return errors.Join(write.Err(), l.acked(acks)), nil
}
