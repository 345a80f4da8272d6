package redis

import (
	"errors"
	"sync"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// subscriptions is the set of targets that this instance wants, and how far Redis has got with it.
//
// Redis answers every SUBSCRIBE and UNSUBSCRIBE of a connection in order. So a command is confirmed
// when the channel has had as many answers as commands were sent up to it.
//
// States of a sub on a session: desired and commanded differ → a command must be sent (apply);
// sent > replied → a command is under way; desired, commanded and sent == replied → live.
type subscriptions struct {
	// Receives when a new session must be told the whole set.
	resync chan struct{}
	// Receives when confirmed is not empty.
	confirm chan struct{}

	// Guarded by mu.
	mu        sync.Mutex
	byChannel map[string]*sub
	session   *session // nil: not connected
	fresh     bool     // session has not been told anything yet
	confirmed []*sub   // whose newest position must be read, for waiting or tell
}

// sub is a target. Guarded by subscriptions.mu, but for what is static.
type sub struct {
	target  pubsub.Target // static
	channel string        // static
	history bool          // static

	desired bool
	tell    bool // the handler must be told the top: the subscription was interrupted
	was     bool // it was live once
	queued  bool // in confirmed
	waiting []waiter

	// Of the current session.
	commanded     bool // the last command sent was SUBSCRIBE
	sent, replied uint64
}

// waiter is a call of Subscribe that waits for the want-th reply.
type waiter struct {
	want uint64
	done func(pubsub.Position, error)
}

// pending is the want of a waiter whose command was not sent yet.
const pending = ^uint64(0)

// errUnsubscribed: an Unsubscribe came before the Subscribe was sent.
var errUnsubscribed = errors.New("unsubscribed before the subscription began")

func newSubscriptions() *subscriptions {
	return &subscriptions{
		resync:    make(chan struct{}, 1),
		confirm:   make(chan struct{}, 1),
		byChannel: make(map[string]*sub),
	}
}

// commands are what must be written to a session, in this order.
type commands struct {
	session     *session // nil: nothing
	subscribe   []string
	unsubscribe []string
	last        bool // the session has been told the whole set with these
}

// apply takes in calls and returns what must be sent because of them, and the waiters that an
// Unsubscribe overtook.
func (s *subscriptions) apply(ops []controlOp, makeSub func(pubsub.Target) *sub) (c commands, dropped []waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	touched := make(map[*sub]struct{}, len(ops))
	for _, op := range ops {
		made := makeSub(op.target)
		u := s.byChannel[made.channel]
		if u == nil {
			if op.done == nil {
				continue
			}
			u = made
			s.byChannel[u.channel] = u
		}
		u.desired = op.done != nil
		if op.done != nil {
			u.waiting = append(u.waiting, waiter{want: pending, done: op.done})
		}
		touched[u] = struct{}{}
	}
	if s.session != nil {
		c.session, c.last = s.session, s.fresh
	}
	if s.session != nil && s.fresh {
		s.fresh = false
		for _, u := range s.byChannel {
			touched[u] = struct{}{}
		}
	}
	for u := range touched {
		dropped = append(dropped, s.advance(u, &c)...)
	}
	return c, dropped
}

// advance adds the command that u needs to c.
func (s *subscriptions) advance(u *sub, c *commands) (dropped []waiter) {
	if !u.desired {
		dropped = u.take(func(w waiter) bool { return w.want == pending })
	}
	if s.session != nil {
		switch {
		case u.desired && !u.commanded:
			c.subscribe = append(c.subscribe, u.channel)
		case !u.desired && u.commanded:
			c.unsubscribe = append(c.unsubscribe, u.channel)
		}
		if u.desired != u.commanded {
			u.commanded = u.desired
			u.sent++
		}
		for i := range u.waiting {
			u.waiting[i].want = min(u.waiting[i].want, u.sent)
		}
		s.enqueue(u)
	}
	s.tidy(u)
	return dropped
}

// begin makes n the session; nothing is subscribed on it yet.
func (s *subscriptions) begin(n *session) {
	s.mu.Lock()
	s.session, s.fresh = n, true
	for _, u := range s.byChannel {
		u.commanded, u.sent, u.replied = false, 0, 0
		u.tell = u.was
		for i := range u.waiting {
			u.waiting[i].want = pending
		}
	}
	s.mu.Unlock()
	signal(s.resync)
}

// end says that the session is lost.
func (s *subscriptions) end() {
	s.mu.Lock()
	s.session = nil
	s.mu.Unlock()
}

// reply takes in Redis' answer to a SUBSCRIBE or UNSUBSCRIBE. Called by the listener only.
func (s *subscriptions) reply(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.byChannel[channel]
	if u == nil || u.replied == u.sent {
		return
	}
	u.replied++
	s.enqueue(u)
	if u.live() {
		u.was = true
	}
	s.tidy(u)
}

// wanted returns the target of a channel that is to be delivered.
func (s *subscriptions) wanted(channel string) (pubsub.Target, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.byChannel[channel]; u != nil && u.desired {
		return u.target, true
	}
	return pubsub.Target{}, false
}

// topJob is a sub that was confirmed: what is to be done with its newest position.
type topJob struct {
	sub     *sub
	tell    bool
	waiting []waiter
}

// takeConfirmed returns up to n confirmed subs.
func (s *subscriptions) takeConfirmed(n int) []topJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(n, len(s.confirmed))
	jobs := make([]topJob, 0, n)
	for _, u := range s.confirmed[:n] {
		u.queued = false
		j := topJob{sub: u, waiting: u.take(func(w waiter) bool { return w.want <= u.replied })}
		if u.live() {
			j.tell, u.tell = u.tell, false
		}
		s.tidy(u)
		if j.tell || len(j.waiting) > 0 {
			jobs = append(jobs, j)
		}
	}
	if s.confirmed = s.confirmed[n:]; len(s.confirmed) == 0 {
		s.confirmed = nil
	}
	return jobs
}

// putBack is for jobs that could not be done: they are confirmed anew, on the session there is now.
func (s *subscriptions) putBack(jobs []topJob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		u := j.sub
		if now := s.byChannel[u.channel]; now == nil {
			s.byChannel[u.channel] = u
		} else {
			u = now
		}
		u.tell = u.tell || j.tell
		for _, w := range j.waiting {
			w.want = pending
			if s.session != nil && !s.fresh {
				w.want = u.sent
			}
			u.waiting = append(u.waiting, w)
		}
		s.enqueue(u)
	}
}

// liveRooms are the subscribed rooms with history.
func (s *subscriptions) liveRooms() []*sub {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rooms []*sub
	for _, u := range s.byChannel {
		if u.history && u.live() {
			rooms = append(rooms, u)
		}
	}
	return rooms
}

// isLive reports whether u is subscribed right now.
func (s *subscriptions) isLive(u *sub) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session != nil && u.live()
}

// close forgets all and returns those that wait.
func (s *subscriptions) close() (waiting []waiter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.byChannel {
		waiting = append(waiting, u.waiting...)
	}
	s.byChannel, s.confirmed, s.session = nil, nil, nil
	return waiting
}

// Below here: the caller holds mu.

func (u *sub) live() bool { return u.desired && u.commanded && u.sent == u.replied }

// take removes and returns the waiters for which which holds.
func (u *sub) take(which func(waiter) bool) (taken []waiter) {
	kept := u.waiting[:0]
	for _, w := range u.waiting {
		if which(w) {
			taken = append(taken, w)
		} else {
			kept = append(kept, w)
		}
	}
	clear(u.waiting[len(kept):])
	u.waiting = kept
	return taken
}

// enqueue puts u among the confirmed if there is something to do.
func (s *subscriptions) enqueue(u *sub) {
	due := u.tell && u.live()
	for _, w := range u.waiting {
		due = due || w.want <= u.replied
	}
	if !due || u.queued {
		return
	}
	u.queued = true
	s.confirmed = append(s.confirmed, u)
	signal(s.confirm)
}

// tidy forgets u when nobody wants it and nothing is under way.
func (s *subscriptions) tidy(u *sub) {
	if !u.desired && !u.commanded && len(u.waiting) == 0 && !u.queued && (s.session == nil || u.sent == u.replied) {
		delete(s.byChannel, u.channel)
	}
}

// signal wakes whoever waits on c, a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
