package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/gateway/protocol"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// session joins a socket, its protocol and its identity. It is owned by the socket's loop, except for
// the fields that say otherwise. Each socket has one, so it is kept small.
type session struct {
	gw     *Gateway
	socket *loop.Socket
	proto  protocol.Protocol // static
	user   string            // static; empty: not known
	may    *auth.Permissions // nil: everything

	next, prev *session // the user's other sessions; guarded by users.mu
	more       *more    // nil: zero

	tokens   float32 // of the rate limit
	taken    uint32  // when tokens was right, in ms on the gateway's clock, wrapping
	charged  charge  // what Charge said, for Take
	greeted  bool    // the protocol's Open was called
	named    bool    // users knows of it
	deflates bool    // compression was negotiated; static
}

// more is what only some sessions have, and mostly not for long.
type more struct {
	client  string    // address, for the debug log; empty when that is off
	pending []joining // joins under way, one a room
}

// charge is whether a message was counted against the rate already.
type charge uint8

const (
	notCharged charge = iota
	within
	over
)

// joining is a join under way. The room's later joins and leaves wait for it, and are done in order.
type joining struct {
	room  string
	after []func()
}

func newSession(gw *Gateway, p protocol.Protocol, who auth.Identity, deflates bool) *session {
	// The name may be a part of the request's header block, which is not to be kept with it.
	return &session{gw: gw, proto: p, user: strings.Clone(who.User), may: permissions(who), deflates: deflates}
}

func permissions(who auth.Identity) *auth.Permissions {
	may := who.Permissions
	if may == nil {
		return nil
	}
	return new(may)
}

// encoding in which the socket gets its messages.
func (s *session) encoding() loop.Encoding {
	if s.deflates {
		return s.proto.Encoding() | protocol.Deflated
	}
	return s.proto.Encoding()
}

// Open registers the user, so that its messages come, and greets.
func (s *session) Open(sock *loop.Socket) {
	s.socket = sock
	s.tokens, s.taken = float32(s.gw.cfg.Burst), s.milliseconds()
	if s.deflates {
		sock.TakeDeflated()
		s.gw.metrics.deflated.Inc()
	}
	if _, refused := s.proto.(protocol.Refused); refused || s.user == "" {
		s.greet()
		return
	}
	s.named = true
	s.gw.users.add(s)
}

func (s *session) greet() {
	if !s.greeted {
		s.greeted = true
		if s.more != nil && s.more.client != "" {
			s.gw.log.Debug("socket open", "socket", s.ID(), "user", s.user, "client", s.more.client)
		}
		s.proto.Open(s)
	}
}

// Message hands a message to the protocol.
func (s *session) Message(_ *loop.Socket, op ws.OpCode, payload []byte) {
	s.greet() // a client that does not wait for its welcome still gets it first
	s.proto.Message(s, op, payload)
	s.charged = notCharged
}

// Skipped hands on that messages were left out.
func (s *session) Skipped(_ *loop.Socket, room string, pos pubsub.Position) {
	s.proto.Skipped(s, room, pos)
}

// Leaving tells the client that this instance is leaving, if its protocol has words for that.
func (s *session) Leaving(_ *loop.Socket, after time.Duration) {
	if p, ok := s.proto.(interface {
		Leaving(protocol.Session, time.Duration)
	}); ok {
		p.Leaving(s, after)
	}
}

// Closed ends the socket's interest in its rooms.
func (s *session) Closed(_ *loop.Socket, o loop.Outcome) {
	if s.gw.log.Enabled(context.Background(), slog.LevelDebug) {
		s.gw.log.Debug("socket closed", "socket", s.ID(), "outcome", o)
	}
	s.proto.Closed(s)
	enc := s.encoding()
	s.socket.EachRoom(func(room string) { s.gw.hub.leave(pubsub.Room(room), s.socket.Loop(), enc) })
	for _, j := range s.pending() {
		s.gw.hub.leave(pubsub.Room(j.room), s.socket.Loop(), enc)
	}
	if s.named {
		s.gw.users.remove(s)
	}
}

func (s *session) ID() string { return socketID(s.gw.instance, s.socket.ID()) }

// socketID names a socket among those of all instances.
func socketID(instance, socket uint64) string {
	var b [33]byte
	for i := range 16 {
		b[i] = "0123456789abcdef"[instance>>(60-4*i)&15]
	}
	b[16] = '-'
	return string(strconv.AppendUint(b[:17], socket, 16))
}

func (s *session) Instance() string { return s.gw.cfg.Name }
func (s *session) User() string     { return s.user }
func (s *session) PingSeconds() int { return int(max(s.gw.cfg.Loop.Ping, 0) / time.Second) }
func (s *session) Send(frames []byte) {
	s.socket.Send(frames)
}
func (s *session) Replay(frames [][]byte)               { s.socket.Replay(frames) }
func (s *session) End(o loop.Outcome, reason ...string) { s.socket.End(o, reason...) }
func (s *session) Allow(room string, a auth.Action) bool {
	return s.may == nil || s.may.Allow(room, a)
}

// Take counts a message against the rate, unless Charge did, and reports whether it is within it.
func (s *session) Take() bool {
	if c := s.charged; c != notCharged {
		s.charged = notCharged
		return c == within
	}
	return s.take()
}

// Charge counts the message that comes next against the rate, before it is inflated.
func (s *session) Charge() bool {
	s.charged = over
	if s.take() {
		s.charged = within
	}
	return s.charged == within
}

// take is a token bucket: Burst at first, Rate more a second.
func (s *session) take() bool {
	rate := s.gw.cfg.Rate
	if rate < 0 {
		return true
	}
	now := s.milliseconds()
	s.tokens = min(s.tokens+float32(now-s.taken)/1e3*float32(rate), float32(s.gw.cfg.Burst))
	s.taken = now
	if s.tokens < 1 {
		return false
	}
	s.tokens--
	return true
}

func (s *session) milliseconds() uint32 { return uint32(s.gw.now() / 1e6) }

func (s *session) Join(room string, want protocol.Want, done func(protocol.Joined, error)) {
	if j := s.joining(room); j != nil {
		j.after = append(j.after, func() { s.Join(room, want, done) })
		return
	}
	switch {
	case !s.Allow(room, auth.Join), want.Last > 0 && want.Since == nil && !s.Allow(room, auth.History):
		done(protocol.Joined{}, protocol.ErrForbidden)
		return
	case !s.socket.Member(room) && s.rooms() >= s.gw.cfg.MaxRooms:
		done(protocol.Joined{}, protocol.ErrTooManyRooms)
		return
	}
	if want.Since != nil && !s.Allow(room, auth.History) {
		want.Since = new(pubsub.Position) // a position that no room has: not recovered
	}
	s.extra().pending = append(s.pending(), joining{room: room})
	enc, target := s.encoding(), pubsub.Room(room)
	s.gw.hub.join(target, s.socket, enc, want, func(j protocol.Joined, err error) {
		after := s.joined(room)
		if err == nil && want.Since != nil && s.socket.Leave(room) {
			// A member: what it was not sent yet of the room is among what it missed.
			s.gw.hub.leave(target, s.socket.Loop(), enc)
		}
		if err == nil && !s.socket.Member(room) {
			s.socket.Join(room, enc, j.Position)
		} else { // it failed, or the socket is a member already
			s.gw.hub.leave(target, s.socket.Loop(), enc)
		}
		done(j, err)
		for _, fn := range after {
			if !s.socket.Ended() {
				fn()
			}
		}
	})
}

// extra is more, made if need be.
func (s *session) extra() *more {
	if s.more == nil {
		s.more = new(more)
	}
	return s.more
}

func (s *session) pending() []joining {
	if s.more == nil {
		return nil
	}
	return s.more.pending
}

// rooms is how many rooms the socket is in once its joins under way are done.
func (s *session) rooms() int {
	n := s.socket.Rooms()
	for _, j := range s.pending() {
		if !s.socket.Member(j.room) {
			n++
		}
	}
	return n
}

// joining is the join of a room that is under way, or nil.
func (s *session) joining(room string) *joining {
	pending := s.pending()
	for i := range pending {
		if pending[i].room == room {
			return &pending[i]
		}
	}
	return nil
}

// joined takes the join of a room away and returns what waits for it.
func (s *session) joined(room string) (after []func()) {
	i := slices.IndexFunc(s.more.pending, func(j joining) bool { return j.room == room })
	after = s.more.pending[i].after
	s.more.pending = slices.Delete(s.more.pending, i, i+1)
	if len(s.more.pending) == 0 {
		s.more.pending = nil
		if s.more.client == "" {
			s.more = nil
		}
	}
	return after
}

func (s *session) Leave(room string, done func(bool)) {
	if j := s.joining(room); j != nil {
		j.after = append(j.after, func() { s.Leave(room, done) })
		return
	}
	was := s.socket.Leave(room)
	if was {
		s.gw.hub.leave(pubsub.Room(room), s.socket.Loop(), s.encoding())
	}
	done(was)
}

func (s *session) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	m.From = s.user
	m.Origin = pubsub.Origin{Instance: s.gw.instance, Socket: s.socket.ID(), Sent: s.gw.now()}
	ref, l := s.socket.Ref(), s.socket.Loop()
	s.gw.publish(m, func(r pubsub.Receipt, err error) {
		if done != nil {
			l.Do(ref, func(*loop.Socket) {
				if !s.socket.Ended() {
					done(r, err)
				}
			})
		}
	})
}

var errOtherUser = errors.New("the token is another user's")

func (s *session) Authenticate(token string, done func(error)) {
	who, err := s.gw.authenticate(context.Background(), auth.Credential{Token: token, Source: auth.Bearer})
	if err == nil && who.User != s.user {
		err = errOtherUser
	}
	if err != nil {
		s.gw.log.Debug("fresh token refused", "error", err)
	} else {
		s.may = permissions(who)
		s.socket.Expire(who.Expires)
	}
	done(err)
}
