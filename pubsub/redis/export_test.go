package redis

import "time"

// SetTopsEvery changes how often all positions are read. Before Run.
func (b *Broker) SetTopsEvery(d time.Duration) { b.topsEvery = d }
