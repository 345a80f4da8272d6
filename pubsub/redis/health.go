package redis

import (
	"context"
	"errors"
	"sync"
	"time"
)

// health knows whether Redis can be reached. It can while the instance hears on its session what
// it publishes to itself, and publishing works.
type health struct {
	// Receives when the state may have changed.
	changed chan struct{}
	// Receives when a probe is wanted now.
	probe chan struct{}

	// Guarded by mu.
	mu         sync.Mutex
	session    *session // nil: not connected
	back       bool     // a probe came back on session
	everUp     bool     // a probe came back once
	listenErr  error    // why session is nil; nil also before the first try
	publishErr error    // why publishing does not work; nil: it does, or it is not known
}

const (
	probeEvery = time.Second
	silence    = 3 * time.Second
	watchEvery = silence / 6
)

// errConnecting: connected, and not yet heard.
var errConnecting = errors.New("connecting")

func newHealth() *health {
	return &health{changed: make(chan struct{}, 1), probe: make(chan struct{}, 1)}
}

// begin: there is a session, nothing is subscribed on it.
func (h *health) begin(s *session) {
	h.mu.Lock()
	h.session, h.back, h.listenErr = s, false, nil
	h.mu.Unlock()
}

// subscribed: the probe's channel is confirmed.
func (h *health) subscribed() { signal(h.probe) }

// heard: a probe came back on s.
func (h *health) heard(s *session) {
	h.mu.Lock()
	first := h.session == s && !h.back
	if first {
		h.back, h.everUp = true, true
	}
	h.mu.Unlock()
	if first {
		signal(h.changed)
	}
}

// lost: the session is lost, or could not be made. It reports whether there was one.
func (h *health) lost(err error) (connected bool) {
	h.mu.Lock()
	connected = h.session != nil
	h.session, h.back, h.listenErr = nil, false, err
	h.mu.Unlock()
	signal(h.changed)
	return connected
}

// publishFailed: a connection for publishing failed.
func (h *health) publishFailed(err error) {
	h.mu.Lock()
	first := h.publishErr == nil
	h.publishErr = err
	h.mu.Unlock()
	if first {
		signal(h.changed)
		signal(h.probe)
	}
}

// published: publishing works.
func (h *health) published() {
	h.mu.Lock()
	again := h.publishErr != nil
	h.publishErr = nil
	h.mu.Unlock()
	if again {
		signal(h.changed)
	}
}

// publishing is nil, or why publishing is known not to work.
func (h *health) publishing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.publishErr
}

func (h *health) wasUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.everUp
}

// state is nil when Redis can be reached; known is false before anything was tried to the end.
func (h *health) state() (s *session, err error, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.listenErr != nil:
		return nil, h.listenErr, true
	case h.publishErr != nil:
		return h.session, h.publishErr, true
	case h.session == nil:
		return nil, errConnecting, false
	case !h.back:
		return h.session, errConnecting, h.everUp
	}
	return h.session, nil, true
}

// prober publishes to the instance itself, every second and when asked to.
func (b *Broker) prober(ctx context.Context) {
	for {
		t := time.NewTimer(jitter(probeEvery))
		select {
		case <-t.C:
		case <-b.health.probe:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return
		}
		c, cancel := context.WithTimeout(ctx, ioTimeout)
		err := b.client.Publish(c, b.probe, "").Err()
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			b.health.publishFailed(err)
		default:
			b.health.published()
		}
	}
}

// watch tells the handler when Redis can be reached and when not, and kills a session on which
// nothing comes any more, not even probes.
func (b *Broker) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var (
		told     bool
		up       bool
		of       *session
		received uint64
		quiet    int
	)
	for {
		ticked := false
		select {
		case <-b.health.changed:
		case <-tick.C:
			ticked = true
		case <-ctx.Done():
			return
		}
		s, err, known := b.health.state()
		if known && (!told || up != (err == nil)) {
			told, up = true, err == nil
			b.tellUp(err)
		}
		switch {
		case s == nil:
			of, quiet = nil, 0
		case s != of || s.busy.Load() || s.received.Load() != received:
			of, received, quiet = s, s.received.Load(), 0
		case ticked:
			if quiet++; quiet >= int(silence/watchEvery) {
				s.kill(errSilent)
			}
		}
	}
}

func (b *Broker) tellUp(err error) {
	if err == nil {
		b.log.Info("Redis can be reached", "server", b.options.Addr)
	} else {
		b.log.Warn("Redis cannot be reached", "server", b.options.Addr, "error", err)
		err = unavailable(err)
	}
	b.handler.Up(err)
}
