package loop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Transport says how sockets are served.
type Transport string

const (
	// Auto is the best that there is: IOUring where the kernel lets it, else Epoll on Linux, and
	// Goroutine elsewhere.
	Auto Transport = "auto"
	// Epoll: descriptors in the loop's own epoll set. Linux only.
	Epoll Transport = "epoll"
	// IOUring is Epoll, with an io_uring to send to many sockets in one system call. Linux 6.0 and
	// newer, where no seccomp profile (a container's, say) forbids it.
	IOUring Transport = "io_uring"
	// Goroutine: two goroutines a socket, on a net.Conn. Everywhere, and for TLS.
	Goroutine Transport = "goroutine"
)

// Observer takes one measurement; prometheus.Histogram is one.
type Observer interface{ Observe(float64) }

// never is longer than an instance runs, and fits the loops' clock.
const never = 1 << 30 * time.Second

// Config of a [Group]. The zero value of a field is its default, a negative limit or time is none.
type Config struct {
	// Loops is the number of loops; default: one a core.
	Loops     int
	Transport Transport // default Auto
	// MaxMessage, in bytes, of a message from a client; default 64 KiB.
	MaxMessage int
	// MaxHeader, in bytes, of a handshake's header block; default 8 KiB.
	MaxHeader int
	// MaxSockets that are open at a time on all loops; default 10,000.
	MaxSockets int
	// SlowLimit is by how many bytes a member may be behind; default 1 MiB.
	SlowLimit int
	// SlowSkip: a member that is behind SlowLimit is moved ahead rather than ended.
	SlowSkip bool
	// HandshakeTimeout for the header block; default 5 s. The clock's grain is a second.
	HandshakeTimeout time.Duration
	// Ping is sent to a socket that was silent this long; default 30 s.
	Ping time.Duration
	// Idle: a socket that was silent this long, pings included, is ended; default 75 s.
	Idle time.Duration
	// Now is the clock in nanoseconds, the same that [Broadcast].Sent is of; default: since New.
	Now func() int64
	// Latency observes seconds from Sent to the flush; TickSeconds the length of ticks. May be nil.
	Latency, TickSeconds Observer
	// Logger; default slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		} else if *v < 0 {
			*v = math.MaxInt32
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		} else if *v < 0 {
			*v = never
		}
	}
	if c.Loops == 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	def(&c.MaxMessage, 64<<10)
	def(&c.MaxHeader, 8<<10)
	def(&c.MaxSockets, 10_000)
	def(&c.SlowLimit, 1<<20)
	dur(&c.HandshakeTimeout, 5*time.Second)
	dur(&c.Ping, 30*time.Second)
	dur(&c.Idle, 75*time.Second)
	if c.Transport == "" {
		c.Transport = Auto
	}
	if c.Now == nil {
		began := time.Now()
		c.Now = func() int64 { return int64(time.Since(began)) }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Group is the loops of an instance and how connections come to them.
type Group struct {
	cfg   Config
	door  Door
	loops []*Loop
	epoll bool // descriptors rather than streams
	uring bool // and an io_uring to send
	began time.Time

	open   atomic.Int64 // sockets that are open
	count  atomic.Int64 // connections held, handshaking and closing ones included
	passed atomic.Int64 // connections that the HTTP server has

	mu        sync.Mutex
	listeners []net.Listener // guarded by mu
	fds       []int32        // of listeners, for the loops; guarded by mu
	stopped   bool           // accepting; guarded by mu

	streams sync.WaitGroup  // goroutines of accepting and of streams
	ctx     context.Context // ended by Close
	cancel  context.CancelFunc
}

// New makes the loops. The door decides on every connection.
func New(cfg Config, door Door) (*Group, error) {
	cfg = cfg.withDefaults()
	g := &Group{cfg: cfg, door: door, began: time.Now()}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	switch cfg.Transport {
	case Auto, Epoll, IOUring:
		g.epoll = cfg.Transport != Auto || runtime.GOOS == "linux"
	case Goroutine:
	default:
		return nil, fmt.Errorf("transport %q: want auto, io_uring, epoll or goroutine", cfg.Transport)
	}
	if cfg.Loops < 1 || cfg.Loops > 255 {
		return nil, fmt.Errorf("%d loops: want 1 to 255", cfg.Loops)
	}
	if g.epoll {
		growTable(cfg.MaxSockets + Reserve)
	}
	for i := range cfg.Loops {
		p, s, err := g.parts()
		if err != nil {
			for _, l := range g.loops {
				l.sender.close()
				l.poller.close()
			}
			return nil, err
		}
		g.loops = append(g.loops, newLoop(g, i, p, s))
	}
	return g, nil
}

// parts makes what a loop waits with and sends with, the best that the transport allows.
func (g *Group) parts() (poller, sender, error) {
	if !g.epoll {
		return newChanPoller(), oneByOne{}, nil
	}
	p, err := newEpollPoller()
	if err != nil || g.cfg.Transport == Epoll {
		return p, oneByOne{}, err
	}
	s, err := newRing()
	if err == nil {
		g.uring = true
		return p, s, nil
	}
	if g.cfg.Transport == IOUring {
		p.close()
		return nil, nil, fmt.Errorf("transport io_uring cannot be had here (use auto or epoll): %w", err)
	}
	if len(g.loops) == 0 {
		g.cfg.Logger.Debug("no io_uring here: sending with a system call a socket", "cause", err)
	}
	return p, oneByOne{}, nil
}

// Loops are the group's loops; the slice is not to be changed.
func (g *Group) Loops() []*Loop { return g.loops }

// Transport that the group uses for plain TCP.
func (g *Group) Transport() Transport {
	if g.uring {
		return IOUring
	}
	if g.epoll {
		return Epoll
	}
	return Goroutine
}

// Open is the number of open sockets; Held counts also the connections that are still in the
// handshake or are closing.
func (g *Group) Open() int { return int(g.open.Load()) }

// MaxSockets that may be open.
func (g *Group) MaxSockets() int { return g.cfg.MaxSockets }

// Held is the number of connections held, whatever their state.
func (g *Group) Held() int { return int(g.count.Load()) }

// Loop is the loop that the ID of a socket names, or nil.
func (g *Group) Loop(id uint64) *Loop {
	if i := int(id>>56) - 1; i >= 0 && i < len(g.loops) {
		return g.loops[i]
	}
	return nil
}

// Run works until Close. The listeners may be given before or meanwhile.
func (g *Group) Run() {
	var wg sync.WaitGroup
	for _, l := range g.loops {
		wg.Go(l.run)
	}
	tick := time.NewTicker(time.Second / 4)
	defer tick.Stop()
	last := uint32(1)
	for stop := false; !stop; {
		select {
		case now := <-tick.C:
			if clock := g.clockAt(now); clock != last {
				last = clock
				for _, l := range g.loops {
					l.Call(func() { l.tick(clock) })
				}
			}
		case <-g.ctx.Done():
			stop = true
		}
	}
	for _, l := range g.loops {
		l.Call(l.stop)
	}
	wg.Wait()
	g.streams.Wait()
}

// clockAt is a time on the loops' clock, in seconds, at least 1.
func (g *Group) clockAt(t time.Time) uint32 {
	return uint32(min(max(t.Sub(g.began), 0), never)/time.Second) + 1
}

func (l *Loop) clockAt(t time.Time) uint32 { return l.group.clockAt(t) + 1 }

func (l *Loop) nanotime() int64 { return l.cfg.Now() }

// Serve lets in what connects to ln, which is to be a TCP listener or, with TLS, any. Close closes
// it.
func (g *Group) Serve(ln net.Listener) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return errors.New("the loops have stopped accepting")
	}
	_, plain := ln.(*net.TCPListener)
	if !g.epoll || !plain {
		g.listeners = append(g.listeners, ln)
		g.streams.Go(func() { g.acceptStreams(ln) })
		return nil
	}
	fd, err := listenerFD(ln)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	g.listeners, g.fds = append(g.listeners, ln), append(g.fds, fd)
	for _, l := range g.loops {
		l.Call(func() { l.listen(fd) })
	}
	return nil
}

// StopAccepting closes the listeners; sockets that are open stay.
func (g *Group) StopAccepting() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return
	}
	g.stopped = true
	var wg sync.WaitGroup
	for _, l := range g.loops {
		wg.Add(1)
		l.Call(func() {
			defer wg.Done()
			l.ignore()
			l.listening = nil
		})
	}
	wg.Wait()
	for _, fd := range g.fds {
		closeFD(fd)
	}
	for _, ln := range g.listeners {
		ln.Close()
	}
}

// EndAll ends every socket with the outcome, also those that are still to come.
func (g *Group) EndAll(o Outcome) {
	for _, l := range g.loops {
		l.Call(func() {
			l.ending, l.endAs = true, o
			l.turnAway()
			l.flush()
			for _, s := range l.sockets {
				switch {
				case s == nil:
				case s.state == open:
					s.End(o)
				case s.state < open:
					s.drop(o)
				}
			}
		})
	}
}

// Close drops every connection, ends the loops and makes Run return.
func (g *Group) Close() {
	g.StopAccepting()
	g.cancel()
}

// stop drops what is still there and ends the loop.
func (l *Loop) stop() {
	l.turnAway()
	for _, s := range l.sockets {
		if s != nil {
			s.drop(Drained)
		}
	}
	l.stopped = true
}

// place chooses the loop for a new connection: the one that holds it, unless another has clearly
// fewer.
func (g *Group) place(l *Loop) *Loop {
	best := g.loops[0]
	for _, o := range g.loops[1:] {
		if o.stats.held.Load() < best.stats.held.Load() {
			best = o
		}
	}
	if l != nil && l.stats.held.Load() <= best.stats.held.Load()+8 {
		best = l
	}
	best.stats.held.Add(1)
	g.count.Add(1)
	return best
}

// full reports whether no more sockets are to be opened; crowded, whether not even a refusal can
// be afforded.
func (g *Group) full() bool { return g.open.Load() >= int64(g.cfg.MaxSockets) }
func (g *Group) crowded() bool {
	return g.count.Load()+g.passed.Load() >= int64(g.cfg.MaxSockets)+Reserve/2
}

// release takes back what place counted for a connection that got no further.
func (l *Loop) release() {
	l.stats.held.Add(-1)
	l.group.count.Add(-1)
}

// Reserve is how many descriptors beyond MaxSockets a process should have: for refusals, the ops
// port, the broker, the process's own files.
const Reserve = 256
