package redis

import (
	"context"
	"fmt"
	"time"
)

const (
	silence    = 3 * time.Second
	watchEvery = silence / 6
)

// watched is what watch knows of a link's session.
type watched struct {
	session  *session
	received uint64
	quiet    int
}

// watch tells the handler when Redis can be reached and when not, and kills sessions on which
// nothing comes any more, not even probes.
func (b *Broker) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var told, up bool
	for {
		ticked := false
		select {
		case <-b.changed:
		case <-tick.C:
			ticked = true
		case <-ctx.Done():
			return
		}
		err, known := b.look(ticked)
		if known && (!told || up != (err == nil)) {
			told, up = true, err == nil
			b.tellUp(err)
		}
	}
}

// look looks at all links that are in use. One that is away is known at once; that all are there is
// known when all are.
func (b *Broker) look(ticked bool) (err error, known bool) {
	known = true
	away := 0
	for _, l := range b.links {
		if !l.used.Load() {
			continue
		}
		s, e, k := l.health.state()
		l.watched.look(s, ticked)
		switch {
		case !k:
			known = false
		case e != nil:
			if away++; away == 1 {
				err = l.name(e)
			}
		}
	}
	if away > 1 {
		err = fmt.Errorf("%w (and %d more partitions)", err, away-1)
	}
	return err, known || err != nil
}

// name says which partition and server an error is about.
func (l *link) name(err error) error {
	addr := l.b.servers.addr(l.index)
	if len(l.b.links) == 1 {
		if l.b.servers.locator == nil || addr == "" {
			return err
		}
		return fmt.Errorf("the master at %s: %w", addr, err)
	}
	return fmt.Errorf("partition %d at %s: %w", l.index, addr, err)
}

func (w *watched) look(s *session, ticked bool) {
	switch {
	case s == nil:
		*w = watched{}
	case s != w.session || s.busy.Load() || s.received.Load() != w.received:
		*w = watched{session: s, received: s.received.Load()}
	case ticked:
		if w.quiet++; w.quiet >= int(silence/watchEvery) {
			s.kill(errSilent)
		}
	}
}

func (b *Broker) tellUp(err error) {
	if err == nil {
		b.everUp.Store(true)
		b.log.Info("Redis can be reached", "server", b.where.String())
	} else {
		b.log.Warn("Redis cannot be reached", "server", b.where.String(), "error", err)
		err = unavailable(err)
	}
	b.handler.Up(err)
}
