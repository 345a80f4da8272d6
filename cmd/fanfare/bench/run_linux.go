package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// phase is a step of the run; all loops are in the same one.
type phase int32

const (
	waiting phase = iota
	opening
	joining
	idling
	warming   // publishing, not measured yet
	measuring // publishing
	storming  // publishing, while more sockets arrive
	draining  // waiting for what is on its way
	resuming  // joined again
	closing
)

// errNoSocket: none could be opened or joined, so that there is nothing to measure.
var errNoSocket = errors.New("no socket is open")

// run is one call of Run: what its loops share.
type run struct {
	// Static after construction.
	Config
	start     time.Time // zero of the run's clock
	id        uint32    // tells this run's messages from another's
	targets   []target
	rooms     []string
	pubRooms  []string // to publish to
	tokens    []string // a socket: who it says it is; nil: all the same
	pattern   []byte   // data without numbers
	perRoom   int      // publishers in the room that has most
	pubRoom   []int32  // a publisher: its room
	pubPlace  []int32  // a publisher: its place among the room's
	ring      int      // messages of one publisher that may be in flight, a power of two
	loops     []*loop
	progress  io.Writer
	elsewhere bool // its sockets stand for other machines, see stepBack

	phase      atomic.Int32
	published  []atomic.Uint32 // a publisher: its last sequence number; stored by its loop
	writtenOff []atomic.Uint32 // a publisher: up to here nobody waits
	waiting    []atomic.Int32  // a publisher and message: loops it has still to reach
	live       []atomic.Int32  // a room: members
	roomLoops  []atomic.Int32  // a room: loops that have members

	arrived chan struct{} // a loop has done what the phase is for; never blocks
	failed  chan error    // a loop cannot go on; never blocks
	wg      sync.WaitGroup

	mu     sync.Mutex
	faults map[string]int // guarded by mu
}

// Run opens the sockets, publishes, and reports. It writes a line a second to
// progress, which may be nil. When ctx ends, it stops publishing, waits briefly for
// the last deliveries and reports what there is, along with the context's error.
//
// Faults of the servers (refused, closed, lost …) are in the report, not in the
// error: see Report.Faults.
func Run(ctx context.Context, cfg Config, progress io.Writer) (Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return Report{}, err
	}
	if err := checkFiles(cfg.Sockets + cfg.Storm); err != nil {
		return Report{}, err
	}
	r, err := newRun(cfg, progress)
	if err != nil {
		return Report{}, err
	}
	before, err := r.sample()
	if err != nil {
		r.closeLoops()
		return Report{}, err
	}
	r.begin()
	rep, err := r.conduct(ctx, before)
	r.end()
	r.finish(&rep)
	return rep, err
}

// begin starts the loops.
func (r *run) begin() {
	for _, l := range r.loops {
		r.wg.Go(func() {
			if err := l.work(); err != nil {
				r.failed <- err
			}
		})
	}
}

// end closes the sockets and ends the loops.
func (r *run) end() {
	r.enter(closing)
	r.wg.Wait()
	r.closeLoops()
}

func newRun(cfg Config, progress io.Writer) (*run, error) {
	if progress == nil {
		progress = io.Discard
	}
	r := &run{Config: cfg, start: time.Now(), id: rand.Uint32(), progress: progress,
		arrived: make(chan struct{}, 2*cfg.Threads), failed: make(chan error, cfg.Threads),
		faults: map[string]int{}}
	for _, raw := range cfg.URLs {
		t, err := newTarget(raw, cfg.Token, cfg.Compression)
		if err != nil {
			return nil, err
		}
		r.targets = append(r.targets, t)
	}
	for n := range max(cfg.Rooms, 0) {
		r.rooms = append(r.rooms, fmt.Sprintf("bench-%08x-%d", r.id, n))
	}
	r.live = make([]atomic.Int32, len(r.rooms))
	r.roomLoops = make([]atomic.Int32, len(r.rooms))
	if !cfg.Idle {
		r.planPublishers()
	}
	if err := r.identify(); err != nil {
		return nil, err
	}
	for id := range cfg.Threads {
		l, err := newLoop(r, id)
		if err != nil {
			r.closeLoops()
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	return r, nil
}

// planPublishers: publisher p is socket p and publishes to that socket's first room, or to one
// that nobody is in.
func (r *run) planPublishers() {
	r.pattern = newData(r.Size)
	r.pubRooms = r.rooms
	if r.checked() {
		r.perRoom = r.publishersPerRoom()
	} else {
		r.pubRooms = nil
		for n := range r.Ingest {
			r.pubRooms = append(r.pubRooms, fmt.Sprintf("bench-%08x-in-%d", r.id, n))
		}
	}
	r.published = make([]atomic.Uint32, r.Publishers)
	r.writtenOff = make([]atomic.Uint32, r.Publishers)
	for p := range r.Publishers {
		r.pubRoom = append(r.pubRoom, int32(p%len(r.pubRooms)))
		r.pubPlace = append(r.pubPlace, int32(p/len(r.pubRooms)))
	}
	if r.checked() && r.saturating() {
		for r.ring = 64; r.ring < 2*r.InFlight; r.ring *= 2 {
		}
		r.waiting = make([]atomic.Int32, r.Publishers*r.ring)
	}
}

// targetOf spreads each room's sockets over all instances, and the rooms' first ones too.
func (r *run) targetOf(socket int) *target {
	rooms := max(r.Rooms, 1)
	return &r.targets[(socket/rooms+socket%rooms)%len(r.targets)]
}

// clock is the time since the run's start in ns.
func (r *run) clock() int64 { return int64(time.Since(r.start)) }

// fault counts one thing that went wrong.
func (r *run) fault(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[reason]++
}

// enter tells all loops to begin a phase.
func (r *run) enter(p phase) {
	r.phase.Store(int32(p))
	for _, l := range r.loops {
		l.wake()
	}
}

func (r *run) closeLoops() {
	for _, l := range r.loops {
		l.close()
	}
}

// total adds up what the loops have shown.
func (r *run) total() counts {
	var sum counts
	for _, l := range r.loops {
		l.shown.addTo(&sum)
	}
	return sum
}
