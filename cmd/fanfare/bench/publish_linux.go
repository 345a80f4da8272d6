package bench

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// stalled is how long nothing may arrive everywhere before messages are written off, in ns.
const stalled = int64(time.Second)

// maxOut bounds what waits to be sent on a publisher's socket, in bytes: beyond, messages are held back.
const maxOut = 1 << 20

// maxLate bounds how many messages that are due are published in one round of the loop: a generator
// that is late would do nothing else, and be later still.
const maxLate = 256

// sender is a loop's publishing. Owned by the loop.
type sender struct {
	pubs    []int32 // publishers of this loop; a publisher has its socket's number
	turn    int     // index in pubs of the next
	data    []byte
	text    []byte
	started bool

	// At a rate.
	period float64 // ns from one message to the next
	base   int64   // when the first is due, ns on the run's clock
	due    uint64  // messages that were due so far
	armed  int64   // when the timer rings

	// Saturating.
	quota     uint64 // messages that may be in flight
	sent      uint64
	abandoned uint64 // written off: never seen everywhere
	lastDone  uint64
	doneAt    int64
}

func (p *sender) init(r *run, id int) {
	if r.Idle {
		return
	}
	for n := id; n < r.Publishers; n += r.Threads {
		p.pubs = append(p.pubs, int32(n))
	}
	p.data = newData(r.Size)
	share := min(r.Threads, r.Publishers)
	if id < share {
		p.quota = uint64(r.InFlight / share)
		if id < r.InFlight%share {
			p.quota++
		}
		p.period = 1e9 / r.Rate * float64(r.Publishers) / float64(len(p.pubs))
		p.base = int64(float64(id) * 1e9 / r.Rate)
	}
}

// begin sets the clock of the first message.
func (l *loop) begin(now int64) {
	if !l.started {
		l.started = true
		l.base += now
		l.doneAt = now
	}
}

// publishDue publishes what may be published now.
func (l *loop) publishDue() {
	if len(l.pubs) == 0 {
		return
	}
	if l.r.saturating() {
		for l.inFlight() < l.quota && l.publishNext(l.r.clock()) {
		}
		return
	}
	next := l.base + int64(float64(l.due)*l.period)
	for range maxLate { // and then look at what has arrived
		if next > l.now {
			break
		}
		l.publishNext(next)
		l.due++
		next = l.base + int64(float64(l.due)*l.period)
	}
	if next != l.armed {
		l.armed = next
		in := unix.ItimerSpec{Value: unix.NsecToTimespec(max(next-l.r.clock(), 1))}
		if err := unix.TimerfdSettime(l.timer, 0, &in, nil); err != nil {
			l.r.fault("timerfd_settime: " + describe(err))
		}
	}
}

// inFlight is how many of the loop's messages are not yet seen by every member.
func (l *loop) inFlight() uint64 { return l.sent - l.abandoned - l.done.Load() }

// publishNext publishes one message of the next live publisher; false if there is none.
// Latency counts from at: when a message is late because the generator is, that shows.
func (l *loop) publishNext(at int64) bool {
	for range l.pubs {
		n := l.pubs[l.turn]
		if l.turn++; l.turn == len(l.pubs) {
			l.turn = 0
		}
		s := &l.sockets[int(n)/l.r.Threads]
		if s.state == open && (s.member || l.asked != nil) {
			l.publish(s, at)
			return true
		}
	}
	return false
}

func (l *loop) publish(s *socket, at int64) {
	if len(s.out) > maxOut {
		l.counts.heldBack++
		return
	}
	pub := uint32(s.number)
	room := int(l.r.pubRoom[pub])
	seq := l.r.published[pub].Load() + 1
	l.r.published[pub].Store(seq)
	if l.asked != nil {
		l.ask(l.sent+1, s.index, at)
	} else if l.r.saturating() {
		l.r.waiting[int(pub)*l.r.ring+int(seq&l.slotMask)].Store(l.r.roomLoops[room].Load())
	}
	stamp{run: l.r.id, pub: pub, seq: seq, at: at}.put(l.data)
	l.text = append(l.text[:0], `{"type":"publish",`...)
	if l.asked != nil {
		l.text = append(l.text, idKey...)
		l.text = strconv.AppendUint(l.text, l.sent+1, 10)
		l.text = append(l.text, ',')
	}
	l.text = append(l.text, `"room":"`...)
	l.text = append(l.text, l.r.pubRooms[room]...)
	l.text = append(l.text, `","data":`...)
	l.text = append(l.text, l.data...)
	l.text = append(l.text, '}')
	l.queue(s, opText, l.text)
	l.sent++
	l.counts.published++
}

// reached: a message has reached all members of loop l. Called by the loop l, for any publisher.
func (r *run) reached(l *loop, pub, seq uint32) {
	if seq <= r.writtenOff[pub].Load() {
		return
	}
	if r.waiting[int(pub)*r.ring+int(seq&l.slotMask)].Add(-1) != 0 {
		return
	}
	owner := r.loops[int(pub)%r.Threads]
	owner.done.Add(1)
	if owner != l {
		owner.wake()
	}
}

// writeOffStalled gives up what is in flight when for a second nothing of it has
// become complete: a message that was lost at the end of what a socket got would
// hold up a saturating run for ever.
func (l *loop) writeOffStalled() {
	if !l.r.saturating() || l.phase != warming && l.phase != measuring && l.phase != storming {
		return
	}
	done := l.done.Load()
	if done != l.lastDone || l.inFlight() == 0 {
		l.lastDone, l.doneAt = done, l.now
		return
	}
	if l.now-l.doneAt < stalled {
		return
	}
	for _, pub := range l.pubs {
		l.r.writtenOff[pub].Store(l.r.published[pub].Load())
	}
	l.abandoned = l.sent - l.done.Load()
	l.settledID = l.sent
	l.doneAt = l.now
	l.counts.stalls++
}
