package redis

import (
	"errors"
	"sync"
)

// health knows whether a link's server can be reached. It can while the instance hears on its
// session what it publishes to itself, and publishing works.
type health struct {
	// Receives when the state may have changed. Static.
	changed chan struct{}
	// Receives when a probe is wanted now. Static.
	probe chan struct{}

	// Guarded by mu.
	mu         sync.Mutex
	session    *session // nil: not connected
	back       bool     // a probe came back on session
	listenErr  error    // why session is nil; nil also before the first try
	publishErr error    // why publishing does not work; nil: it does, or it is not known
	writeErr   error    // why Redis, which answers, would not keep a message; publishing is tried all the same
}

// errConnecting: connected, and not yet heard.
var errConnecting = errors.New("connecting")

func newHealth(changed chan struct{}) *health {
	return &health{changed: changed, probe: make(chan struct{}, 1)}
}

// begin: there is a session, nothing is subscribed on it.
func (h *health) begin(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.session, h.back, h.listenErr = s, false, nil
}

// moved: the link's server is now at addr. A session with another one is over.
func (h *health) moved(addr string) {
	h.mu.Lock()
	s := h.session
	h.mu.Unlock()
	if s != nil && s.addr != addr {
		s.kill(errMoved)
	}
	signal(h.probe)
}

// subscribed: the probe's channel is confirmed.
func (h *health) subscribed() { signal(h.probe) }

// heard: a probe came back on s.
func (h *health) heard(s *session) {
	h.mu.Lock()
	first := h.session == s && !h.back
	if first {
		h.back = true
	}
	h.mu.Unlock()
	if first {
		signal(h.changed)
	}
}

// lost: the session is lost, or could not be made. It reports whether there was one that worked.
// That a partition was moved to another server is no outage, unless it cannot be reached there.
func (h *health) lost(err error) (worked bool) {
	h.mu.Lock()
	worked = h.back
	if !isMoved(err) || !worked {
		h.listenErr = err
	}
	h.session, h.back = nil, false
	h.mu.Unlock()
	signal(h.changed)
	return worked
}

// drop ends the session, because its server turned out not to be the one to talk to.
func (h *health) drop(err error) {
	h.mu.Lock()
	s := h.session
	h.mu.Unlock()
	if s != nil {
		s.kill(err)
	}
}

// publishFailed: publishing is of no use until a probe gets through.
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

// published: publishing works, but for what writeErr says.
func (h *health) published(writeErr error) {
	h.mu.Lock()
	changed := h.publishErr != nil || (h.writeErr == nil) != (writeErr == nil)
	h.publishErr, h.writeErr = nil, writeErr
	h.mu.Unlock()
	if changed {
		signal(h.changed)
	}
}

// publishing is nil, or why publishing is known not to work.
func (h *health) publishing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.publishErr
}

// state is nil when Redis can be reached; known is false while that is still being found out.
func (h *health) state() (s *session, err error, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.listenErr != nil:
		return nil, h.listenErr, true
	case h.publishErr != nil:
		return h.session, h.publishErr, true
	case h.writeErr != nil:
		return h.session, h.writeErr, true
	case !h.back:
		return h.session, errConnecting, false
	}
	return h.session, nil, true
}
