// Package loop is the engine: event loops that own sockets and each a share of every room.
//
// # Ownership
//
// A [Loop] is one goroutine. It owns its sockets, their parsers, its rooms and their logs; nothing
// of that is touched from outside, so there is no lock on the way of a message. What comes from
// outside comes through one inbox ([Loop.Post], [Loop.Do], [Loop.Call]).
//
// # A tick
//
// A loop reads what its sockets sent, takes what its inbox holds, and then flushes: first what
// single sockets have queued, then every room log that grew, with one send a member for all that
// came in the tick; those sends leave in batches. It flushes when the inbox is empty, or 1 ms after the tick began;
// while the rooms get more than can be sent one by one, it rests between two flushes (rest.go).
//
// # Transports
//
// On Linux sockets are file descriptors in an epoll set that is the loop's own (level-triggered), and
// sends leave in batches through an io_uring where there is one (batch.go, ring_linux.go). Elsewhere, and for TLS, two goroutines serve a net.Conn and feed the same loop (stream.go).
package loop

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/fanfare-ws/fanfare/gateway/frame"
)

const (
	maxTick    = time.Millisecond
	closeWait  = 5 // seconds in which a peer may end its side of a closed connection
	readBuffer = 64 << 10
)

// Loop is one event loop.
type Loop struct {
	cfg    *Config
	group  *Group
	index  int
	poller poller
	sender sender
	inbox  inbox
	stats  *Stats
	log    *slog.Logger

	// Owned by the loop's goroutine.
	sockets      []*Socket // by slot; nil: free
	gens         []uint32  // by slot
	free         []uint32  // slots
	rooms        map[string]*room
	outs         []*Socket    // with something in out
	batch        []outgoing   // to be sent, at most maxBatch
	dirty        []*roomLog   // that grew in this tick
	slow         []*Socket    // found too far behind in this flush
	gone         []*Socket    // found broken in this flush
	spare        spares[byte] // of logs and of sockets' queues
	spareEntries spares[entry]
	buf          []byte          // what a socket is read into
	parser       *frame.Parser   // for sockets without one of their own
	parsers      []*frame.Parser // spare, see parsers.go
	small        [256]byte       // scratch for a control frame
	events       []event
	taken        []item
	letGo        bool      // of taken
	carried      carried   // in this flush
	sentAt       time.Time // when rooms' messages were last sent
	restUntil    time.Time // no flush before, see rest.go; zero: now

	clock     uint32 // seconds since the group was made, at least 1
	due       map[uint32][]Ref
	dueDone   uint32 // all up to here was looked at
	swept     int    // the slot at which the sweep goes on
	stopped   bool
	leaving   []leaving     // sockets that are to be ended while draining, see drain.go
	ending    bool          // EndAll was called: who comes now is ended too
	endAs     Outcome       // with this
	listening []int32       // descriptors of the listeners
	failed    bool          // accepting, in this second
	arrived   []int32       // descriptors that were accepted and wait before the door
	spoken    []Ref         // sockets that wait there and have spoken, or have gone since
	doorShut  bool          // nobody is let in
	doorTime  time.Duration // spent on letting in and handshakes, since it was last looked at
}

func newLoop(g *Group, index int, p poller, s sender) *Loop {
	l := &Loop{
		cfg: &g.cfg, group: g, index: index, poller: p, sender: s, batch: make([]outgoing, 0, maxBatch), stats: new(Stats), log: g.cfg.Logger,
		rooms: make(map[string]*room), due: make(map[uint32][]Ref), clock: 1,
		buf: make([]byte, readBuffer), parser: new(frame.Parser), events: make([]event, 256),
	}
	l.spare.first, l.spareEntries.first = 512, 4
	l.inbox.init(p.wake)
	return l
}

// Index is the loop's place in [Group.Loops].
func (l *Loop) Index() int { return l.index }

// Stats is what the loop counts.
func (l *Loop) Stats() *Stats { return l.stats }

// Post hands over a message for the members of a room. It never waits.
func (l *Loop) Post(b *Broadcast) { l.inbox.put(item{broadcast: b}) }

// WaitForRoom waits while the loop has too many messages to work off.
func (l *Loop) WaitForRoom() { l.inbox.waitForRoom() }

// Call has fn called on the loop's goroutine, after everything that was handed over before. It
// reports false, and fn is not called, when the loop has ended.
func (l *Loop) Call(fn func()) bool { return l.inbox.put(item{fn: fn}) }

// Do has fn called on the loop's goroutine with the socket, or not at all if the socket has ended.
func (l *Loop) Do(r Ref, fn func(*Socket)) { l.inbox.put(item{ref: r, socketFn: fn}) }

// run is the loop. It returns when stop was called.
func (l *Loop) run() {
	defer l.poller.close()
	defer l.sender.close()
	for !l.stopped {
		n := 0
		switch {
		case l.mayLetIn():
			n = l.poller.poll(l.events)
		case l.resting():
			n = l.poller.waitUntil(l.events, l.restUntil)
		case l.inbox.empty():
			n = l.park()
		default:
			n = l.poller.poll(l.events)
		}
		began := time.Now()
		for i, e := range l.events[:n] {
			l.handle(e)
			if i%16 == 15 && time.Since(began) >= maxTick { // many that speak at once do not hold up the rooms
				l.work()
				began = l.endTick(began)
			}
		}
		l.letIn()
		l.shutDoor()
		for !l.inbox.empty() {
			l.work()
			if time.Since(began) >= maxTick {
				break
			}
		}
		l.endTick(began)
		// A busy loop makes no call that would let the scheduler in: the broker's goroutines would
		// wait for it to be preempted, which takes 10 ms.
		runtime.Gosched()
	}
	l.inbox.close()
	l.work() // what came in the meantime
}

// endTick flushes, unless the loop rests, and returns when it was done.
func (l *Loop) endTick(began time.Time) time.Time {
	if l.resting() {
		return time.Now()
	}
	flushing := time.Now()
	l.flush()
	now := time.Now()
	l.pause(now.Sub(flushing), now)
	if l.cfg.TickSeconds != nil {
		l.cfg.TickSeconds.Observe(now.Sub(began).Seconds())
	}
	return now
}

// park waits for an event or an item, and returns the number of events.
func (l *Loop) park() (n int) {
	l.inbox.asleep.Store(true)
	if l.inbox.empty() && !l.stopped {
		n = l.poller.wait(l.events)
	}
	l.inbox.asleep.Store(false)
	return n
}

// work handles what the inbox holds.
func (l *Loop) work() {
	items := l.inbox.take(l.taken)
	for i := range items {
		it := &items[i]
		switch {
		case it.broadcast != nil:
			l.append(it.broadcast)
		case it.fn != nil:
			it.fn()
		default:
			if s := l.byRef(it.ref); s != nil {
				if it.socketFn != nil {
					it.socketFn(s)
				} else {
					l.gotBytes(s, it.data)
					if s.stream != nil {
						s.stream.consumed()
					}
				}
			}
		}
	}
	clear(items)
	l.taken = items
	if l.letGo {
		l.taken, l.letGo = nil, false // a burst's memory goes back; it is one of the two that are in use in turn
	}
}

// flush sends everything that is pending: in batches, what single sockets have queued first.
func (l *Loop) flush() {
	for i, s := range l.outs {
		l.outs[i] = nil
		s.outListed = false
		if s.state != dead && !s.blocked && len(s.out) > 0 {
			l.tuck(s)
			l.enqueue(outgoing{socket: s, data: s.out})
		}
	}
	l.outs = l.outs[:0]
	for _, g := range l.dirty {
		l.flushLog(g)
	}
	l.submit()
	for i, g := range l.dirty {
		l.dirty[i] = nil
		l.flushed(g)
	}
	l.dirty = l.dirty[:0]
	for len(l.gone)+len(l.slow) > 0 {
		gone, slow := l.gone, l.slow
		l.gone, l.slow = nil, nil
		for _, s := range gone {
			s.drop(Lost)
		}
		for _, s := range slow {
			l.tooSlow(s)
		}
	}
}

// tuck puts what a socket's rooms have for it behind its queue, where that is little: both leave in
// one send. Who publishes gets an ack and the message itself in one tick.
func (l *Loop) tuck(s *Socket) {
	if s.state != open || s.mid != nil || len(s.members) > maxTuckRooms {
		return
	}
	for _, at := range s.members {
		g := at.log
		m := &g.members[at.index]
		if n := g.head - m.cursor; n > 0 && n <= maxTuck && !m.skips {
			s.out = append(s.out, g.buf[m.cursor-g.base():]...)
			l.stats.Delivered.Add(uint64(len(g.entries) - g.after(m.cursor)))
			m.cursor = g.head
		}
	}
}

const (
	maxTuck      = 2048 // bytes of a room: a copy is cheaper than a send
	maxTuckRooms = 8    // that are worth a look
)

func (l *Loop) tooSlow(s *Socket) {
	if s.state != open {
		return
	}
	if l.cfg.SlowSkip && !s.overfull() { // there is no skipping of what is for this socket alone
		l.skipAhead(s)
	} else {
		s.tooSlow()
	}
}

// flushOut sends what is queued for one socket, not waiting for the flush, and reports whether all of
// it left.
func (l *Loop) flushOut(s *Socket) bool {
	if s.state == dead || s.blocked || len(s.out) == 0 {
		return len(s.out) == 0
	}
	n, ok := s.write(s.out)
	if !ok {
		s.drop(Lost)
		return false
	}
	return l.sentOut(s, n)
}

// sentOut takes in that n bytes of a socket's queue were sent, and reports whether that is all of it.
func (l *Loop) sentOut(s *Socket, n int) bool {
	l.stats.BytesOut.Add(uint64(n))
	if n < len(s.out) {
		s.out = s.out[n:]
		s.block()
		return false
	}
	l.spare.put(s.out)
	s.out, s.granted = nil, 0
	if s.state == closing && !s.shut {
		s.shut = true
		l.shutdownWrite(s)
	}
	return true
}

// catchUp sends a socket all that is pending for it, until a send is short.
func (l *Loop) catchUp(s *Socket) bool {
	if s.mid != nil && !l.catchUpLog(s, s.memberOf(s.mid), s.mid) {
		return false
	}
	if !l.flushOut(s) {
		return false
	}
	for _, m := range s.members {
		if !l.catchUpLog(s, int(m.index), m.log) {
			return false
		}
	}
	return true
}

func (l *Loop) catchUpLog(s *Socket, at int, g *roomLog) bool {
	m := &g.members[at]
	if m.cursor == g.head {
		return true
	}
	if !l.sendMember(g, m) {
		return false
	}
	if !g.dirty {
		l.caughtUp(g)
	}
	return true
}

// writable goes on where a short send stopped.
func (l *Loop) writable(s *Socket) {
	if !s.blocked || s.state == dead {
		return
	}
	s.blocked = false
	if l.catchUp(s) && s.state != dead {
		l.arm(s, false)
	}
}

// block notes that a send was short: nothing is sent until the socket is writable again.
func (s *Socket) block() {
	if !s.blocked {
		s.blocked = true
		s.loop.arm(s, true)
	}
}

// handle takes one event of the poller's.
func (l *Loop) handle(e event) {
	s := l.byRef(e.ref)
	switch {
	case e.listener:
		l.accept()
		return
	case s == nil:
		return // of a socket that is gone
	case s.state == handshaking:
		if l.doorShut {
			l.hold(s)
			return
		}
		if l.doorTime >= doorSlice {
			return // the poller reports it again
		}
		defer l.atDoor(time.Now())
	}
	if e.readable {
		l.readable(s)
	}
	if e.writable {
		l.writable(s)
	}
}

// gotBytes takes what was read from a socket, whatever its state; none means the stream's end.
func (l *Loop) gotBytes(s *Socket, data []byte) {
	if len(data) == 0 {
		s.peerClosed = true
		s.drop(Lost)
		return
	}
	switch s.state {
	case handshaking:
		l.handshake(s, data)
	case open:
		s.received(data)
	}
}

// add gives a socket a slot.
func (l *Loop) add(s *Socket) {
	s.loop, s.lastRead = l, l.clock
	if n := len(l.free); n > 0 {
		s.slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		s.slot = uint32(len(l.sockets))
		l.sockets, l.gens = append(l.sockets, nil), append(l.gens, 0)
	}
	l.gens[s.slot] = (l.gens[s.slot] + 1) & 0xffffff
	s.gen = l.gens[s.slot]
	l.sockets[s.slot] = s
}

// remove takes a socket's slot back.
func (l *Loop) remove(s *Socket) {
	l.sockets[s.slot] = nil
	l.free = append(l.free, s.slot)
	l.group.count.Add(-1)
	l.stats.held.Add(-1)
	s.out = nil
}

func (l *Loop) byRef(r Ref) *Socket {
	if int(r.slot) < len(l.sockets) {
		if s := l.sockets[r.slot]; s != nil && s.gen == r.gen {
			return s
		}
	}
	return nil
}

// byID is the open socket with this ID, if it is this loop's.
func (l *Loop) byID(id uint64) *Socket {
	if id>>56 != uint64(l.index+1) {
		return nil
	}
	return l.byRef(Ref{uint32(id), uint32(id >> 32 & 0xffffff)})
}

// opened makes a socket that passed the door an open one.
func (l *Loop) opened(s *Socket, v Verdict) {
	s.state, s.handler = open, v.Handler
	s.Expire(v.Expires)
	l.stats.Open.Add(1)
	l.stats.Opened.Add(1)
	l.group.open.Add(1)
	v.Handler.Open(s)
	if l.ending {
		s.End(l.endAs)
	}
}

// ended counts a socket's end and tells its handler.
func (l *Loop) ended(s *Socket, o Outcome) {
	l.stats.Open.Add(-1)
	l.stats.Closed[o].Add(1)
	l.group.open.Add(-1)
	h := s.handler
	s.handler = nil
	h.Closed(s, o)
	l.leaveAll(s)
}

// disconnect closes the connection and frees the slot.
func (l *Loop) disconnect(s *Socket) {
	if s.stream != nil {
		s.stream.close()
	} else {
		l.poller.remove(s.fd)
		closeFD(s.fd)
	}
	l.remove(s)
}

func (l *Loop) arm(s *Socket, on bool) {
	if s.stream != nil {
		return // a stream tells by itself
	}
	if err := l.poller.modify(s.fd, s.Ref(), on); err != nil {
		l.log.Warn("arming a socket", "error", err)
		l.gone = append(l.gone, s)
	}
}

func (l *Loop) shutdownWrite(s *Socket) {
	if s.stream != nil {
		s.stream.shutdownWrite()
	} else {
		shutdownFD(s.fd)
	}
}

func (s *Socket) write(p []byte) (n int, ok bool) {
	if s.stream != nil {
		return s.stream.send(p)
	}
	return writeFD(s.fd, p)
}
