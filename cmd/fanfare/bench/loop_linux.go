package bench

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Epoll data of what is not a socket; sockets have their index.
const (
	wakeData  = -1
	timerData = -2
)

// pollMS bounds each wait, so that deadlines are looked at, in milliseconds.
const pollMS = 100

// loop is one event loop: every T-th socket of the run, and whoever of them
// publishes. All but the atomics is owned by the goroutine in work, until that
// has ended.
type loop struct {
	r  *run
	id int

	// Waiting.
	ep, timer, wakeFD int
	events            [256]unix.EpollEvent
	phase             phase
	entered           int64 // when the phase began, ns on the run's clock
	now               int64 // ns on the run's clock
	swept             int64
	waiting           int // sockets that the phase waits for

	// Sockets.
	sockets []socket
	dirty   []int32  // indexes of sockets with something to send
	opened  int      // index of the next to open
	opening int      // connecting, upgrading or welcoming
	buf     []byte   // of reads, but where a large frame is under way
	carries [][]byte // large, not in use

	checks
	sender
	ingest
	inflater *inflater // with Config.Compression
	counts   counts
	shown    shownCounts
	done     atomic.Uint64 // own messages that all members have
}

func newLoop(r *run, id int) (*loop, error) {
	l := &loop{r: r, id: id, timer: -1, wakeFD: -1}
	for n := id; n < r.Sockets; n += r.Threads {
		l.sockets = append(l.sockets, socket{fd: -1, number: int32(n), index: int32(len(l.sockets)), room: int32(n % max(r.Rooms, 1))})
	}
	l.buf = make([]byte, max(256<<10, 2*r.Size+64<<10))
	l.checks.init(r, len(l.sockets))
	if r.Compression {
		l.inflater = newInflater(len(l.buf))
	}
	l.sender.init(r, id)
	l.ingest.init(r, l.quota)
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("making an epoll instance: %w", err)
	}
	if l.wakeFD, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err == nil {
		err = l.watch(l.wakeFD, wakeData, unix.EPOLLIN)
	}
	if err == nil {
		l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	}
	if err == nil {
		err = l.watch(l.timer, timerData, unix.EPOLLIN)
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("making an event loop: %w", err)
	}
	return l, nil
}

func (l *loop) watch(fd int, data int32, events uint32) error {
	return unix.EpollCtl(l.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: data})
}

// wake makes the loop look at what changed. Any goroutine may call it.
func (l *loop) wake() {
	_, _ = unix.Write(l.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // full means that it wakes anyway
}

func (l *loop) close() {
	for _, fd := range []int{l.ep, l.timer, l.wakeFD} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// work runs until the phase is closing, or returns why it cannot.
func (l *loop) work() error {
	if l.r.Storm > 0 {
		l.hurry()
	}
	if l.r.elsewhere {
		l.stepBack()
	}
	for {
		l.now = l.r.clock()
		if p := phase(l.r.phase.Load()); p != l.phase {
			l.enter(p)
		}
		switch l.phase {
		case opening:
			l.openSome()
		case warming, measuring, storming:
			l.publishDue()
		case closing:
			l.closeAll()
			return nil
		}
		l.sweep()
		l.flushDirty()
		l.shown.set(&l.counts)
		n, err := unix.EpollWait(l.ep, l.events[:], l.pollTime())
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for events: %w", err)
		}
		for i := range max(n, 0) {
			l.handle(&l.events[i])
		}
	}
}

// pollTime is how long to wait at most, in milliseconds.
func (l *loop) pollTime() int {
	if l.phase == opening && l.r.ConnectRate > 0 && l.opened < len(l.sockets) {
		return 1
	}
	return pollMS
}

func (l *loop) handle(ev *unix.EpollEvent) {
	switch ev.Fd {
	case wakeData:
		l.drainCounter(l.wakeFD)
		return
	case timerData:
		l.drainCounter(l.timer)
		l.armed = 0
		return
	}
	s := &l.sockets[ev.Fd]
	if s.deaf {
		l.endDeaf(s)
		return
	}
	if s.state == connecting {
		l.connected(s)
		return
	}
	if s.state != ended && ev.Events&unix.EPOLLOUT != 0 {
		l.flush(s)
	}
	if s.state != ended && ev.Events&^unix.EPOLLOUT != 0 {
		l.readable(s)
	}
}

func (l *loop) drainCounter(fd int) {
	var b [8]byte
	_, _ = unix.Read(fd, b[:]) // nothing in it is as good
}

// enter begins a phase.
func (l *loop) enter(p phase) {
	l.phase, l.entered = p, l.now
	switch p {
	case opening:
		l.waiting = len(l.sockets)
	case joining:
		l.joinAll()
	case resuming:
		l.rejoinAll()
	case warming, measuring:
		l.latency, l.ackLatency = histogram{}, histogram{}
		l.begin(l.now)
	case storming:
		l.calm, l.latency = l.latency, histogram{}
	}
	if (p == opening || p == joining || p == resuming) && l.waiting == 0 {
		l.arrive()
	}
}

// arrive says that this loop has done what the phase is for, and shows how it went first.
func (l *loop) arrive() {
	l.shown.set(&l.counts)
	l.r.arrived <- struct{}{}
}

// settled: the phase need not wait for one socket more.
func (l *loop) settled() {
	if l.waiting--; l.waiting == 0 {
		l.arrive()
	}
}

// sweep looks for sockets that take too long, and for messages that never arrive.
func (l *loop) sweep() {
	if l.now-l.swept < pollMS*1e6 {
		return
	}
	l.swept = l.now
	l.writeOffStalled()
	if l.phase != opening && l.phase != joining && l.phase != resuming {
		return
	}
	for i := range l.sockets {
		s := &l.sockets[i]
		late := s.state > unopened && s.state < open || s.joins > 0
		if late && s.state != ended && l.now-s.since > int64(l.r.Timeout) {
			l.end(s, "timed out "+doing(s))
		}
	}
}

// doing says what a socket is waiting for.
func doing(s *socket) string {
	switch s.state {
	case connecting:
		return "connecting"
	case upgrading:
		return "waiting for the answer to the upgrade"
	case welcoming:
		return "waiting for the welcome"
	}
	return "waiting to be joined"
}

// queue appends a frame to what the socket sends at the end of this round.
func (l *loop) queue(s *socket, op byte, payload []byte) {
	s.out = appendFrame(s.out, op, payload)
	l.markDirty(s)
}

func (l *loop) markDirty(s *socket) {
	if !s.dirty {
		s.dirty = true
		l.dirty = append(l.dirty, s.index)
	}
}

func (l *loop) flushDirty() {
	for _, i := range l.dirty {
		s := &l.sockets[i]
		s.dirty = false
		if s.state != ended {
			l.flush(s)
		}
	}
	l.dirty = l.dirty[:0]
}

// flush sends what fits and asks for EPOLLOUT if something is left.
func (l *loop) flush(s *socket) {
	if len(s.out) > 0 {
		n, errno := send(s.fd, s.out)
		switch {
		case errno == unix.EAGAIN || errno == unix.EINTR:
			n = 0
		case errno != 0:
			l.end(s, "sending: "+errno.Error())
			return
		}
		s.out = s.out[:copy(s.out, s.out[n:])]
	}
	events := uint32(unix.EPOLLIN)
	if len(s.out) > 0 {
		events |= unix.EPOLLOUT
	}
	l.listen(s, events)
}

// listen changes what the loop is told about a socket.
func (l *loop) listen(s *socket, events uint32) {
	if s.events == events {
		return
	}
	s.events = events
	err := unix.EpollCtl(l.ep, unix.EPOLL_CTL_MOD, int(s.fd), &unix.EpollEvent{Events: events, Fd: s.index})
	if err != nil {
		l.end(s, "epoll_ctl: "+describe(err))
	}
}
