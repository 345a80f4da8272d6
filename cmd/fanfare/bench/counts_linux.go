package bench

import "sync/atomic"

// counts is what a loop counts. Owned by the loop until it has ended.
type counts struct {
	opened, joined, failed, closed int64 // sockets
	published, heldBack, stalls    int64
	delivered                      int64 // late ones included, duplicates not
	lost, duplicates, outOfOrder   int64
	corrupt, strays                int64
	acked, replayed, rejoined      int64
	compressed                     int64 // messages that came so
}

// alive is the number of sockets that are open.
func (c counts) alive() int64 { return c.opened - c.closed }

// shownCounts is what other goroutines may see of counts while the loop works.
type shownCounts struct {
	opened, joined, failed, closed atomic.Int64
	published, delivered           atomic.Int64
	lost, duplicates, outOfOrder   atomic.Int64
	acked, replayed, rejoined      atomic.Int64
}

func (s *shownCounts) set(c *counts) {
	s.opened.Store(c.opened)
	s.joined.Store(c.joined)
	s.failed.Store(c.failed)
	s.closed.Store(c.closed)
	s.published.Store(c.published)
	s.delivered.Store(c.delivered)
	s.lost.Store(c.lost)
	s.duplicates.Store(c.duplicates)
	s.outOfOrder.Store(c.outOfOrder)
	s.acked.Store(c.acked)
	s.replayed.Store(c.replayed)
	s.rejoined.Store(c.rejoined)
}

func (s *shownCounts) addTo(c *counts) {
	c.opened += s.opened.Load()
	c.joined += s.joined.Load()
	c.failed += s.failed.Load()
	c.closed += s.closed.Load()
	c.published += s.published.Load()
	c.delivered += s.delivered.Load()
	c.lost += s.lost.Load()
	c.duplicates += s.duplicates.Load()
	c.outOfOrder += s.outOfOrder.Load()
	c.acked += s.acked.Load()
	c.replayed += s.replayed.Load()
	c.rejoined += s.rejoined.Load()
}
