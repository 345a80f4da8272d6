package faults

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/fanfare-ws/fanfare/client"
)

// Subscriber is a client as a user would write it: it remembers the newest position of each room,
// and when its connection is gone it dials any instance and joins from there.
type Subscriber struct {
	// Static after construction. Every: it leaves and comes back so often; 0: never. ResumeGaps: a
	// gap is answered by joining again, from before it. Buffer is that of its connection.
	Dial       func(context.Context, *rand.Rand, client.Options) (*client.Conn, error)
	Every      time.Duration
	ResumeGaps bool
	Buffer     int
	rooms      []string
	streams    map[string]*Stream
	rng        *rand.Rand

	conn  atomic.Pointer[client.Conn]
	hold  atomic.Pointer[chan struct{}] // not nil: it reads nothing until this is closed
	away  atomic.Pointer[chan struct{}] // not nil: it does not come back until this is closed
	ready chan struct{}                 // closed when it has joined for the first time
	lost  atomic.Int64
}

// NewSubscriber returns one of some rooms. It makes its choices with rng.
func NewSubscriber(l *Ledger, name string, rooms []string, rng *rand.Rand) *Subscriber {
	s := &Subscriber{rng: rng, rooms: rooms, streams: make(map[string]*Stream), ready: make(chan struct{})}
	for _, r := range rooms {
		s.streams[r] = l.Stream(name, r)
	}
	return s
}

// Pretend has it join a room from a position that it never saw.
func (s *Subscriber) Pretend(room string, from client.Position) { s.streams[room].pretend(from) }

// Gaps is how many losses it was told of.
func (s *Subscriber) Gaps() (n int) {
	for _, stream := range s.streams {
		n += stream.Gaps()
	}
	return n
}

// Joined reports whether it has joined for the first time.
func (s *Subscriber) Joined() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// Lost is how many connections it has lost.
func (s *Subscriber) Lost() int64 { return s.lost.Load() }

// Stall has it read nothing until the returned function is called.
func (s *Subscriber) Stall() (resume func()) {
	return pause(&s.hold)
}

// Away has it leave and not come back until the returned function is called. It must be joined.
func (s *Subscriber) Away() (back func()) {
	back = pause(&s.away)
	s.conn.Load().Close()
	return back
}

func pause(p *atomic.Pointer[chan struct{}]) (goOn func()) {
	c := make(chan struct{})
	p.Store(&c)
	return func() {
		p.Store(nil)
		close(c)
	}
}

// paused waits while p says so.
func paused(ctx context.Context, p *atomic.Pointer[chan struct{}]) {
	if c := p.Load(); c != nil {
		select {
		case <-*c:
		case <-ctx.Done():
		}
	}
}

const (
	minBackoff  = 20 * time.Millisecond
	maxBackoff  = time.Second
	dialTimeout = 5 * time.Second
	joinTimeout = 10 * time.Second
)

// backoff waits longer each time; false: ctx has ended.
func backoff(ctx context.Context, rng *rand.Rand, try int) bool {
	return wait(ctx, around(rng, min(maxBackoff, minBackoff<<min(try, 10))))
}

// around is d, give or take a half.
func around(rng *rand.Rand, d time.Duration) time.Duration {
	return d/2 + time.Duration(rng.Int64N(int64(d)+1))
}

// wait is false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Run subscribes until ctx ends.
func (s *Subscriber) Run(ctx context.Context) {
	for try := 0; ctx.Err() == nil; try++ {
		paused(ctx, &s.away)
		if s.connection(ctx) {
			try = 0
		}
		backoff(ctx, s.rng, try)
	}
}

// connection is one, until it is lost or left. It reports whether the rooms were joined.
func (s *Subscriber) connection(ctx context.Context) (joined bool) {
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := s.Dial(dialCtx, s.rng, client.Options{Buffer: s.Buffer})
	if err != nil {
		return false
	}
	defer conn.Close()
	s.conn.Store(conn)
	for _, room := range s.rooms {
		if !s.join(ctx, conn, room, s.streams[room]) {
			return false
		}
	}
	if !s.Joined() {
		close(s.ready)
	}
	if err := s.receive(ctx, conn); err != nil && ctx.Err() == nil {
		s.lost.Add(1)
	}
	return true
}

// join joins a room, from the newest position known, as soon as the gateway can.
func (s *Subscriber) join(ctx context.Context, conn *client.Conn, room string, stream *Stream) bool {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for try := 0; ; try++ {
		j, err := joinFrom(ctx, conn, room, stream.Position())
		if err == nil {
			stream.Joined(j)
			return true
		}
		if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Code != "unavailable" || !backoff(ctx, s.rng, try) {
			return false
		}
	}
}

func joinFrom(ctx context.Context, conn *client.Conn, room string, from client.Position) (client.Joined, error) {
	if from.Epoch == "" {
		return conn.Join(ctx, room)
	}
	return conn.Resume(ctx, room, from)
}

// receive takes in events until the connection is lost, which is an error, or left.
func (s *Subscriber) receive(ctx context.Context, conn *client.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	leaving := ctx
	if s.Every > 0 {
		var done context.CancelFunc
		leaving, done = context.WithTimeout(ctx, around(s.rng, s.Every))
		defer done()
	}
	replays := make(map[string]*replay)
	for {
		paused(ctx, &s.hold)
		e, err := conn.Receive(leaving)
		if leaving.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if d, ok := e.(client.Drain); ok {
			// The instance is leaving. Half of the clients leave when they are told to, the others
			// wait until they are closed.
			if s.rng.IntN(2) == 0 {
				var done context.CancelFunc
				leaving, done = context.WithTimeout(leaving, d.Retry)
				defer done()
			}
			continue
		}
		room := roomOf(e)
		stream := s.streams[room]
		if r := replays[room]; r != nil {
			if r.hold(e, stream) {
				continue
			}
			delete(replays, room)
		}
		if g, ok := e.(client.Gap); ok && s.ResumeGaps && g.Position.Epoch == stream.Position().Epoch {
			stream.Skipped()
			replays[room] = newReplay(ctx, conn, room, stream)
			continue
		}
		take(stream, e)
	}
}

func roomOf(e client.Event) string {
	switch e := e.(type) {
	case client.Message:
		return e.Room
	case client.Gap:
		return e.Room
	}
	return ""
}

func take(stream *Stream, e client.Event) {
	switch e := e.(type) {
	case client.Message:
		var n Number
		if err := json.Unmarshal(e.Data, &n); err != nil {
			n = Number{-1, int(e.Offset)} // nobody published that: it will be found
		}
		stream.Message(e.Offset, n)
	case client.Gap:
		stream.Gap(e.Position)
	}
}
