package protocol

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

func TestEchoAndSecureAnswer(t *testing.T) {
	for _, c := range []struct {
		p      Protocol
		prefix string
		open   []string
	}{
		{Echo{}, "Message text was: ", nil},
		{Secure{}, "Secure echo: ", []string{"Authenticated with credential: alice"}},
	} {
		s := &session{t: t}
		c.p.Open(s)
		s.want(c.open...)
		for _, text := range []string{"x", "", "🎺\x00"} {
			s.text(c.p, text)
			s.want(c.prefix + text)
		}
		c.p.Message(s, ws.OpBinary, []byte{0, 255})
		if diff := cmp.Diff([]sent{{ws.OpBinary, "\x00\xff"}}, s.sent, cmp.AllowUnexported(sent{})); diff != "" {
			t.Errorf("%T, binary (-want +got):\n%s", c.p, diff)
		}
		s.sent = nil
		c.p.Skipped(s, "r", pubsub.Position{})
		s.wantEnd()
		s.limited = true
		s.text(c.p, "x")
		c.p.Closed(s)
		s.want()
		s.wantEnd(loop.RateLimited)
		if c.p.Encoding() != Plain {
			t.Errorf("%T is not plain", c.p)
		}
	}
}

func TestRefusedEndsTheSocketAndDoesNothing(t *testing.T) {
	s := &session{t: t}
	p := Refused{Outcome: loop.Unauthorized}
	p.Open(s)
	s.text(p, "x")
	p.Skipped(s, "r", pubsub.Position{})
	p.Closed(s)
	s.want()
	s.wantEnd(loop.Unauthorized)
	if p.Encoding() != Plain {
		t.Error("it is not plain")
	}
}

// chat is a chat of alice that waits to join.
func chat(t *testing.T) (*Chat, *session) {
	t.Helper()
	s, c := &session{t: t}, &Chat{ClientID: "7", Room: "r"}
	c.Open(s)
	if diff := cmp.Diff(Want{Patience: true}, s.joins[0].want); diff != "" || s.joins[0].room != "r" {
		t.Fatalf("joins %q (-want +got):\n%s", s.joins[0].room, diff)
	}
	return c, s
}

func (s *session) wantSaid(texts ...string) {
	s.t.Helper()
	var want []pubsub.Message
	for _, text := range texts {
		want = append(want, pubsub.Message{Target: pubsub.Room("r"), SkipOrigin: true, Payload: []byte(text)})
	}
	var got []pubsub.Message
	for _, p := range s.publishes {
		got = append(got, p.m)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("published (-want +got):\n%s", diff)
	}
	s.publishes = nil
}

func TestAChatSaysWhoComesWhatIsSaidAndWhoGoes(t *testing.T) {
	c, s := chat(t)
	s.text(c, "early")
	s.wantSaid() // its notice has to come first
	s.joins[0].done(Joined{Missed: [][]byte{{1}}}, nil)
	s.wantSaid("Client #7 joined the chat", "Client #7 says: early")
	s.text(c, "hello\n🎺")
	s.wantSaid("Client #7 says: hello\n🎺")
	s.text(c, "")
	s.wantSaid("Client #7 says: ")
	b := []byte{0, 255}
	c.Message(s, ws.OpBinary, b)
	clear(b) // it is valid only during the call
	p := s.thePublish()
	if diff := cmp.Diff(pubsub.Message{Target: pubsub.Room("r"), SkipOrigin: true, Kind: pubsub.Binary, Payload: []byte{0, 255}}, p.m); diff != "" {
		t.Errorf("binary (-want +got):\n%s", diff)
	}
	p.done(pubsub.Receipt{}, nil)
	c.Skipped(s, "r", pubsub.Position{})
	s.wantEnd()
	c.Closed(s)
	s.wantSaid("Client #7 left the chat")
	s.want()
}

func TestAChatThatNeverJoinedIsNotSaidToLeave(t *testing.T) {
	c, s := chat(t)
	s.text(c, "early")
	c.Closed(s)
	s.wantSaid()
}

func TestAChatEndsForWhatItCannotTell(t *testing.T) {
	wrapped := fmt.Errorf("asking: %w", pubsub.ErrUnavailable)
	for err, want := range map[error]loop.Outcome{
		ErrForbidden: loop.Forbidden, ErrTooManyRooms: loop.Forbidden, pubsub.ErrUnavailable: loop.Unavailable,
		wrapped: loop.Unavailable, pubsub.ErrClosed: loop.Unavailable, errors.New("other"): loop.Internal,
	} {
		_, s := chat(t)
		s.joins[0].done(Joined{}, err)
		s.wantSaid()
		s.wantEnd(want)
		c, s := chat(t)
		s.joins[0].done(Joined{}, nil)
		s.publishes = nil
		s.text(c, "x")
		s.thePublish().done(pubsub.Receipt{}, err)
		s.wantEnd(want)
	}
	c, s := chat(t)
	s.limited = true
	s.text(c, "x")
	s.wantEnd(loop.RateLimited)
	c, s = chat(t)
	s.denied = auth.Publish
	s.text(c, "x")
	s.wantEnd(loop.Forbidden)
}

func TestAChatKeepsABoundedNumberOfEarlyMessages(t *testing.T) {
	c, s := chat(t)
	for range maxEarly {
		s.text(c, "x")
	}
	s.wantEnd()
	s.text(c, "one more")
	s.wantEnd(loop.Unavailable)
	s.wantSaid()
}
