package loop

import "sync/atomic"

// Stats is what a loop counts, for reading from any goroutine.
type Stats struct {
	// Open sockets now; Opened since the start; Closed by outcome.
	Open   atomic.Int64
	Opened atomic.Uint64
	Closed [Outcomes]atomic.Uint64
	// Received messages from clients; Delivered messages to members.
	Received, Delivered atomic.Uint64
	// BytesIn and BytesOut on open sockets, framing included.
	BytesIn, BytesOut atomic.Uint64
	// Slow members that were ended; Skipped, that were moved ahead.
	Slow, Skipped atomic.Uint64
	// Rooms with members here; Members of all rooms.
	Rooms, Members atomic.Int64

	held atomic.Int64 // connections, whatever their state
}

// InboxDepth is the number of items that wait for the loop.
func (l *Loop) InboxDepth() int { return int(max(l.inbox.depth.Load(), 0)) }
