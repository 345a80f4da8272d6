package redis

import "time"

// SetTopsEvery changes how often all positions are read. Before Run.
func (b *Broker) SetTopsEvery(d time.Duration) { b.topsEvery = d }

// Partition that a room is in.
func Partition(room string, partitions int) int {
	return newLayout("", partitions, true).partition(room)
}

// PublishSource is the script that publishes with history.
var PublishSource = publishSource
