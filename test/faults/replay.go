package faults

import (
	"context"

	"github.com/fanfare-ws/fanfare/client"
)

// replay is a join, sent as a member after a gap, from before the gap. The answer and the events
// come on different ways, so what comes in between is held until it is clear.
type replay struct {
	from   uint64
	answer chan client.Joined // closed without one when the connection is lost
	held   []client.Event
}

func newReplay(ctx context.Context, conn *client.Conn, room string, stream *Stream) *replay {
	from := stream.Position()
	r := &replay{from: from.Offset, answer: make(chan client.Joined, 1)}
	go func() { // ends with the connection
		defer close(r.answer)
		if j, err := conn.Resume(ctx, room, from); err == nil {
			r.answer <- j
		} else if ctx.Err() == nil {
			conn.Close() // refused: come back on a new connection
		}
	}()
	return r
}

// hold reports whether the event was dealt with. The replay begins with the message after from;
// what was sent before that is part of it.
func (r *replay) hold(e client.Event, stream *Stream) bool {
	if m, ok := e.(client.Message); ok && m.Offset == r.from+1 {
		return false
	}
	r.held = append(r.held, e)
	select {
	case j, ok := <-r.answer:
		if !ok || j.Recovered != nil && *j.Recovered {
			return true
		}
		stream.Joined(j)
		for _, e := range r.held {
			if m, ok := e.(client.Message); !ok || m.Offset > j.Position.Offset {
				take(stream, e)
			}
		}
		r.from = j.Position.Offset
		r.held = nil
		return true
	default:
		return true
	}
}
