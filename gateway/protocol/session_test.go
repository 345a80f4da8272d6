package protocol

import (
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// session is a Session that notes what is asked of it; the test answers when it likes.
type session struct {
	t       testing.TB
	limited bool // over its rate
	denied  auth.Action

	sent     []sent
	replayed [][]byte
	ended    []loop.Outcome

	joins     []join
	leaves    []leave
	publishes []publish
	tokens    []token
}

type sent struct {
	op   ws.OpCode
	text string
}

type join struct {
	room string
	want Want
	done func(Joined, error)
}

type leave struct {
	room string
	done func(bool)
}

type publish struct {
	m    pubsub.Message
	done func(pubsub.Receipt, error)
}

type token struct {
	token string
	done  func(error)
}

func (s *session) ID() string       { return "s-1" }
func (s *session) Instance() string { return `in"1` }
func (s *session) User() string     { return "alice" }
func (s *session) PingSeconds() int { return 30 }
func (s *session) Take() bool       { return !s.limited }

func (s *session) Send(frames []byte) {
	s.t.Helper()
	op, payload := theFrame(s.t, frames)
	s.sent = append(s.sent, sent{op, string(payload)})
}

func (s *session) Replay(frames [][]byte) { s.replayed = append(s.replayed, frames...) }

func (s *session) Join(room string, want Want, done func(Joined, error)) {
	s.joins = append(s.joins, join{room, want, done})
}

func (s *session) Leave(room string, done func(bool)) {
	s.leaves = append(s.leaves, leave{room, done})
}

func (s *session) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	s.publishes = append(s.publishes, publish{m, done})
}

func (s *session) Authenticate(t string, done func(error)) {
	s.tokens = append(s.tokens, token{t, done})
}

func (s *session) Allow(_ string, a auth.Action) bool { return s.denied&a == 0 }

func (s *session) End(o loop.Outcome, _ ...string) { s.ended = append(s.ended, o) }

// text hands a text message to a protocol.
func (s *session) text(p Protocol, payload string) {
	s.t.Helper()
	b := []byte(payload)
	p.Message(s, ws.OpText, b)
	clear(b) // it is valid only during the call
}

// want takes the frames that were sent, which are to be these texts.
func (s *session) want(texts ...string) {
	s.t.Helper()
	for i, got := range s.sent {
		if i >= len(texts) || got.op != ws.OpText || got.text != texts[i] {
			s.t.Fatalf("got %v %q as frame %d, want %q", got.op, got.text, i, texts)
		}
	}
	if len(s.sent) != len(texts) {
		s.t.Fatalf("got %d frames, want %q", len(s.sent), texts)
	}
	s.sent = nil
}

// wantEnd says with which outcome the socket was ended, if it was.
func (s *session) wantEnd(want ...loop.Outcome) {
	s.t.Helper()
	if len(s.ended) != len(want) || len(want) == 1 && s.ended[0] != want[0] {
		s.t.Fatalf("ended with %v, want %v", s.ended, want)
	}
}

// thePublish takes the only message that was published.
func (s *session) thePublish() publish {
	s.t.Helper()
	if len(s.publishes) != 1 {
		s.t.Fatalf("%d messages published, want 1", len(s.publishes))
	}
	p := s.publishes[0]
	s.publishes = nil
	return p
}
