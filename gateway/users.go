package gateway

import (
	"sync"
	"time"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// users knows the sockets of each user, for personal messages: it subscribes a user at the first
// socket here and unsubscribes a moment after the last has gone. There are as many users as sockets,
// and unlike a room's theirs have no history, so what is kept of one is little.
type users struct {
	gw *Gateway

	mu     sync.Mutex
	byName map[string]*user // guarded by mu
	idle   []idleUser       // that may have no sockets; guarded by mu
	away   bool             // the broker is; guarded by mu
}

// user is guarded by users.mu.
type user struct {
	first  *session // its sockets' sessions, linked by session.next
	asked  bool     // the broker has not answered yet
	active bool     // the broker has confirmed
}

type idleUser struct {
	name  string
	since time.Time
}

// add counts a session in. It is greeted when the user's messages are sure to come, or, with the
// broker away, now. Called on the session's loop.
func (us *users) add(s *session) {
	us.mu.Lock()
	u := us.byName[s.user]
	if u == nil {
		u = new(user)
		us.byName[s.user] = u
	}
	s.next, s.prev = u.first, nil
	if u.first != nil {
		u.first.prev = s
	}
	u.first = s
	if !u.active && !u.asked {
		u.asked = true
		us.gw.cfg.Broker.Subscribe(pubsub.User(s.user), func(_ pubsub.Position, err error) { us.subscribed(u, err) })
	}
	greet := u.active || us.away
	us.mu.Unlock()
	if greet {
		s.greet()
	}
}

// remove takes a session back. Called on the session's loop.
func (us *users) remove(s *session) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byName[s.user]
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		u.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
	if u.first == nil {
		us.idle = append(us.idle, idleUser{s.user, time.Now()})
	}
}

// subscribed is the broker's answer.
func (us *users) subscribed(u *user, err error) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u.asked, u.active = false, err == nil // after an error the next socket tries again
	us.each(u, (*session).greet)
}

// up notes whether the broker can be reached. When it cannot, nobody waits for it to be greeted.
func (us *users) up(err error) {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.away = err != nil
	if !us.away {
		return
	}
	for _, u := range us.byName {
		if !u.active {
			us.each(u, (*session).greet)
		}
	}
}

func (us *users) know(name string) bool {
	us.mu.Lock()
	defer us.mu.Unlock()
	return us.byName[name] != nil
}

// deliver hands a message to the user's sockets.
func (us *users) deliver(m *pubsub.Message) {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.byName[m.Target.Name]
	if u == nil {
		return
	}
	k := kept{m: *m}
	for s := u.first; s != nil; s = s.next {
		k.frame(s.encoding())
	}
	us.each(u, func(s *session) {
		s.greet() // a welcome comes first
		s.socket.Send(k.frames[s.encoding()])
	})
}

// each has fn called with the user's sessions, on their loops. Called with mu held.
func (us *users) each(u *user, fn func(*session)) {
	for s := u.first; s != nil; s = s.next {
		s.socket.Loop().Do(s.socket.Ref(), func(*loop.Socket) {
			if !s.socket.Ended() {
				fn(s)
			}
		})
	}
}

// sweep unsubscribes the users who have had no socket here for a moment.
func (us *users) sweep(now time.Time) {
	us.mu.Lock()
	defer us.mu.Unlock()
	n := 0
	for ; n < len(us.idle) && now.Sub(us.idle[n].since) >= linger; n++ {
		name := us.idle[n].name
		if u := us.byName[name]; u != nil && u.first == nil {
			delete(us.byName, name)
			us.gw.cfg.Broker.Unsubscribe(pubsub.User(name)) // hands over only, in order with Subscribe
		}
	}
	us.idle = append(us.idle[:0], us.idle[n:]...)
}
