package loop

import (
	"errors"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// Ref names a socket from outside its loop. It stays safe to use when the socket is gone: the
// generation tells.
type Ref struct{ slot, gen uint32 }

// Handler is what a socket's frames mean. Its methods are called on the loop's goroutine and must
// not wait.
type Handler interface {
	// Open is called once, first.
	Open(*Socket)
	// Message hands over a whole message, op being text (then it is UTF-8) or binary. The payload
	// is valid only during the call, unless longer than frame.Reused.
	Message(s *Socket, op ws.OpCode, payload []byte)
	// Skipped tells that a slow socket was moved to the newest message of a room; it missed what
	// was before, and pos is the position of the newest.
	Skipped(s *Socket, room string, pos pubsub.Position)
	// Closed is called once, last, when the socket ends. Its rooms are left right after.
	Closed(s *Socket, o Outcome)
}

// Charger is a Handler that counts messages against a rate. Charge is called for the message that comes next, if it
// is compressed, before it is inflated: false says that Message will refuse it, whatever the payload.
type Charger interface{ Charge() bool }

type state uint8

const (
	handshaking state = iota // reading the header block
	waiting                  // before the door, to be read
	open
	closing // close frame or final answer queued or sent; waiting for the peer's end
	dead
)

// Socket is one connection. It is owned by its loop: every method but Ref, ID and Loop is to be
// called on the loop's goroutine, which is where a Handler's methods run.
type Socket struct {
	loop    *Loop
	handler Handler
	stream  *stream // the goroutine transport's connection; nil on epoll

	// Write state.
	out     []byte       // acks, errors, direct frames: what is not a room's; sent before any room's. While handshaking: the header block so far
	mid     *roomLog     // the log a frame of which is half sent, nil at a frame boundary
	members []membership // the logs it is a member of

	// Read state.
	parser *frame.Parser // of a frame or message that is not yet whole; nil between messages

	granted    int32 // bytes of out that do not count for the slow limit, at most maxGranted
	fd         int32
	slot, gen  uint32
	lastRead   uint32 // loop clock, seconds
	expires    uint32 // loop clock, seconds, of the token or of a handshake, opening or closing; 0: never
	state      state
	blocked    bool // the last send was short: waiting to be writable
	outListed  bool // in loop.outs
	batched    bool // in loop.batch
	pinged     bool // a ping is out and nothing was read since
	peerClosed bool // a close frame or the end of the stream was read
	shut       bool // our side of the stream is shut
	deflates   bool // compressed messages are taken
}

// membership is a socket's side of a member: which log, and where in its members.
type membership struct {
	log   *roomLog
	index int32
}

// Ref names the socket for [Loop.Do].
func (s *Socket) Ref() Ref { return Ref{s.slot, s.gen} }

// ID names the socket on this instance, as in [Broadcast].Skip. It is never 0.
func (s *Socket) ID() uint64 {
	return uint64(s.loop.index+1)<<56 | uint64(s.gen&0xffffff)<<32 | uint64(s.slot)
}

// Loop is the loop that owns the socket.
func (s *Socket) Loop() *Loop { return s.loop }

// TakeDeflated has the socket take compressed messages, which was negotiated with the client (RFC 7692). Without it they
// are a protocol error.
func (s *Socket) TakeDeflated() { s.deflates = true }

// Ended reports whether the socket is no longer open.
func (s *Socket) Ended() bool { return s.state != open }

// Send queues frames for this socket alone. They leave at the end of the tick, before what its
// rooms have for it. The bytes are copied.
//
// The queue is bounded like a member's log: a socket with more than SlowLimit in it that takes
// nothing is ended as slow.
func (s *Socket) Send(frames []byte) {
	if s.state != open {
		return
	}
	s.queue(frames)
	if s.blocked && s.overfull() {
		s.loop.slow = append(s.loop.slow, s) // ended by the flush that follows
	}
}

// Replay queues frames that the socket missed: up to maxGranted bytes that it has not taken yet do
// not count for the slow limit.
// They are sent right away as far as that goes, so that sockets that come back all at once do not
// all have theirs in memory. The bytes are copied only if they have to wait.
func (s *Socket) Replay(frames [][]byte) {
	for _, f := range frames {
		if s.state != open {
			return
		}
		s.queue(f)
		s.granted = int32(min(int(s.granted)+len(f), maxGranted))
		if len(s.out) >= replayChunk && !s.blocked {
			s.loop.flushOut(s)
		}
	}
}

const (
	// replayChunk is how much of a replay is sent at a time, in bytes.
	replayChunk = 32 << 10
	// maxGranted bounds what a client that asks for histories and reads nothing can make wait.
	maxGranted = 64 << 20
)

func (s *Socket) overfull() bool { return len(s.out) > s.loop.cfg.SlowLimit+int(s.granted) }

func (s *Socket) queue(b []byte) {
	if s.out == nil {
		s.out = s.loop.spare.get()
	}
	s.out = append(s.out, b...)
	s.listOut()
}

func (s *Socket) listOut() {
	if !s.outListed && !s.blocked {
		s.outListed = true
		s.loop.outs = append(s.loop.outs, s)
	}
}

// Expire ends the socket at t with outcome Expired, unless it is called again before; zero: never.
func (s *Socket) Expire(t time.Time) {
	was := s.expires
	s.expires = 0
	if t.IsZero() {
		return
	}
	s.expires = s.loop.clockAt(t)
	if s.expires != was || was <= s.loop.dueDone { // the same again is due already
		s.loop.dueAt(s.expires, s)
	}
}

// End ends the socket: its queue is still sent, and what its rooms hold for it unless it is behind;
// then a close frame with the outcome's code. A reason other than the outcome's own may be given.
func (s *Socket) End(o Outcome, reason ...string) {
	if s.state != open {
		return
	}
	text := o.Reason()
	if len(reason) > 0 {
		text = reason[0]
	}
	s.finish(o, frame.AppendClose(nil, o.Code(), text))
}

// finish leaves all rooms, queues the last bytes and waits for the peer's end for a bounded time.
func (s *Socket) finish(o Outcome, last []byte) {
	l := s.loop
	if !s.blocked && o != Slow {
		l.catchUp(s) // what is in its rooms' logs comes before the close frame
	}
	if s.state != open {
		return // the peer was found gone
	}
	s.state = closing
	l.dropParser(s)
	l.ended(s, o)
	s.queue(last)
	l.closeBy(s)
}

// drop ends the socket at once: nobody is there any more.
func (s *Socket) drop(o Outcome) {
	if s.state == dead {
		return
	}
	l, was := s.loop, s.state
	s.state = dead
	l.dropParser(s)
	if was == open {
		l.ended(s, o)
	}
	l.disconnect(s)
}

// received takes bytes from the connection; data may be changed.
func (s *Socket) received(data []byte) {
	l := s.loop
	s.lastRead, s.pinged = l.clock, false
	l.stats.BytesIn.Add(uint64(len(data)))
	p := l.parserOf(s)
	for s.state == open {
		ev, n, ok, err := p.Next(data, l.cfg.MaxMessage)
		data = data[n:]
		if err != nil {
			s.broke(err)
		}
		if !ok {
			break
		}
		s.event(ev)
	}
	l.keepParser(s, p)
}

func (s *Socket) event(ev frame.Event) {
	switch ev.Op {
	case ws.OpText, ws.OpBinary:
		s.loop.stats.Received.Add(1)
		if ev.Deflated && !s.inflate(s.loop.parserOf(s), &ev) {
			return
		}
		s.handler.Message(s, ev.Op, ev.Payload)
	case ws.OpPing:
		s.queue(frame.AppendFrame(s.loop.small[:0], ws.OpPong, ev.Payload))
	case ws.OpClose:
		code, _, err := frame.ParseClose(ev.Payload)
		if err != nil {
			s.broke(err)
			return
		}
		s.peerClosed = true
		s.finish(ClientClosed, frame.AppendClose(nil, code, ""))
	}
	if s.overfull() && s.state == open {
		s.loop.flushOut(s) // many answers in one read are no sign of a slow reader
		if s.overfull() {
			s.tooSlow()
		}
	}
}

// inflate makes a compressed message a plain one, or ends the socket. A few bytes can be a lot of work: for a client
// that sends too much, no more than for a message of maxRefused bytes is done, and what is larger has no payload.
func (s *Socket) inflate(p *frame.Parser, ev *frame.Event) bool {
	limit, allowed := s.loop.cfg.MaxMessage, true
	if c, ok := s.handler.(Charger); ok {
		allowed = c.Charge()
	}
	if !allowed {
		limit = min(limit, maxRefused)
	}
	plain, err := p.Inflate(*ev, limit)
	if err != nil && !allowed && errors.Is(err, frame.ErrMessageTooLarge) {
		*ev = frame.Event{Op: ev.Op}
		return true
	}
	if err != nil {
		s.broke(err)
		return false
	}
	*ev = plain
	return true
}

// maxRefused is how much of a compressed message over the rate is read, in bytes: enough for its id.
const maxRefused = 4 << 10

func (s *Socket) tooSlow() {
	if s.state == open {
		s.loop.stats.Slow.Add(1)
		s.End(Slow)
	}
}

// broke ends the socket for breaking RFC 6455, with the code that the parser names.
func (s *Socket) broke(err error) {
	o, reason := ProtocolError, ProtocolError.Reason()
	if e, ok := errors.AsType[*frame.Error](err); ok {
		reason = e.Reason
		switch e.Code {
		case ws.StatusInvalidFramePayloadData:
			o = InvalidText
		case ws.StatusMessageTooBig:
			o = TooLarge
		}
	}
	s.End(o, reason)
}
