package protocol

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// fakeSession answers at once, in the ways that names ask for.
type fakeSession struct {
	t         *testing.T
	rooms     map[string]bool
	answers   []string
	published []pubsub.Message
	limited   bool
	ended     loop.Outcome
	fails     error
}

func (s *fakeSession) ID() string       { return "1-2" }
func (s *fakeSession) Instance() string { return "a" }
func (s *fakeSession) User() string     { return "alice" }
func (s *fakeSession) PingSeconds() int { return 30 }
func (s *fakeSession) Take() bool       { return !s.limited }
func (s *fakeSession) Send(frames []byte) {
	op, text := unframe(s.t, frames)
	if op != ws.OpText || !json.Valid([]byte(text)) {
		s.t.Fatalf("sent %v %q, want text with JSON", op, text)
	}
	s.answers = append(s.answers, text)
}
func (s *fakeSession) Join(room string, _ bool, done func(pubsub.Position, error)) {
	if s.fails == nil {
		s.rooms[room] = true
	}
	done(pubsub.Position{Epoch: 0xabc, Offset: 3}, s.fails)
}
func (s *fakeSession) Leave(room string, done func(bool)) {
	was := s.rooms[room]
	delete(s.rooms, room)
	done(was)
}
func (s *fakeSession) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	s.published = append(s.published, m)
	done(pubsub.Receipt{Position: pubsub.Position{Epoch: 1, Offset: 5}, Instances: 2}, s.fails)
}
func (s *fakeSession) Authenticate(token string, done func(error)) {
	if token == "good" {
		done(nil)
		return
	}
	done(auth.ErrInvalid)
}
func (s *fakeSession) Allow(room string, _ auth.Action) bool { return room != "forbidden" }
func (s *fakeSession) End(o loop.Outcome, _ ...string)       { s.ended = o }

func newFake(t *testing.T) *fakeSession { return &fakeSession{t: t, rooms: map[string]bool{}} }

func TestFanfareAnswers(t *testing.T) {
	for _, c := range []struct{ send, want string }{
		{`{"type":"join","room":"r","id":1}`, `{"type":"joined","room":"r","id":1,"epoch":"abc","offset":3}`},
		{`{"type":"join","room":"r"}`, `{"type":"joined","room":"r","epoch":"abc","offset":3}`},
		{`{"type":"leave","room":"r","id":"x"}`, `{"type":"error","id":"x","code":"not_member","message":"not a member of this room"}`},
		{`{"type":"publish","room":"r","data":{},"id":-1.5}`, `{"type":"ack","id":-1.5,"offset":5}`},
		{`{"type":"publish","room":"forbidden","data":1,"id":1}`, `{"type":"error","id":1,"code":"forbidden","message":"not permitted in this room"}`},
		{`{"type":"publish","room":"r","data":null,"id":1}`, `{"type":"ack","id":1,"offset":5}`},
		{`{"type":"send","user":"u","data":1,"id":1}`, `{"type":"ack","id":1,"instances":2}`},
		{`{"type":"auth","token":"good","id":1}`, `{"type":"ack","id":1}`},
		{`{"type":"auth","token":"bad","id":1}`, `{"type":"error","id":1,"code":"forbidden","message":"the token is not valid for this socket's user"}`},
		{`{"type":"ping","id":"a\u0000\"b"}`, `{"type":"pong","id":"a\u0000\"b"}`},
		{`{"type":"ping","id":null}`, `{"type":"pong"}`},
		{`{"type":"ping","id":true}`, `{"type":"error","code":"bad_request","message":"id is a number or a string of at most 64 bytes"}`},
		{`{"type":"ping","id":"` + strings.Repeat("x", 65) + `"}`, `{"type":"error","code":"bad_request","message":"id is a number or a string of at most 64 bytes"}`},
		{`null`, `{"type":"error","code":"bad_request","message":"type is needed"}`},
		{`{"type":"ping","unknown":"passed over"}`, `{"type":"pong"}`},
		{`{"type":"ping","echo":"no","id":4}`, `{"type":"error","id":4,"code":"bad_request","message":"wrong type of echo"}`},
		{``, `{"type":"error","code":"bad_request","message":"not a JSON object"}`},
		{strings.Repeat("[", 20_000), `{"type":"error","code":"bad_request","message":"not a JSON object"}`},
	} {
		s := newFake(t)
		Fanfare{}.Message(s, ws.OpText, []byte(c.send))
		if len(s.answers) != 1 || s.answers[0] != c.want {
			t.Errorf("%.80s\n got %s\nwant %s", c.send, s.answers, c.want)
		}
	}
}

func TestFanfareTellsWhatWentWrongAndNoMore(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{ErrForbidden, `"code":"forbidden","message":"not permitted in this room"`},
		{ErrTooManyRooms, `"code":"forbidden","message":"too many rooms on this socket"`},
		{pubsub.ErrUnavailable, `"code":"unavailable","message":"the broker is away: try again"`},
		{pubsub.ErrClosed, `"code":"unavailable","message":"the broker is away: try again"`},
		{errors.New("dial tcp 10.0.0.1:6379: refused"), `"code":"internal","message":"internal error"`},
	} {
		for _, command := range []string{`{"type":"join","room":"r","id":1}`, `{"type":"publish","room":"r","data":1,"id":1}`, `{"type":"send","user":"u","data":1,"id":1}`} {
			s := newFake(t)
			s.fails = c.err
			Fanfare{}.Message(s, ws.OpText, []byte(command))
			if want := `{"type":"error","id":1,` + c.want + `}`; len(s.answers) != 1 || s.answers[0] != want {
				t.Errorf("%s with %q: got %s, want %s", command, c.err, s.answers, want)
			}
		}
	}
}

func TestFanfareCountsEverythingAgainstTheRate(t *testing.T) {
	for _, c := range []struct {
		op   ws.OpCode
		send string
		id   string
	}{{ws.OpText, `{"type":"ping","id":1}`, `"id":1,`}, {ws.OpText, `nonsense`, ``}, {ws.OpText, `{"id":[]}`, ``}, {ws.OpBinary, `x`, ``}} {
		s := newFake(t)
		s.limited = true
		Fanfare{}.Message(s, c.op, []byte(c.send))
		if want := `{"type":"error",` + c.id + `"code":"rate_limited","message":"too many messages"}`; len(s.answers) != 1 || s.answers[0] != want {
			t.Errorf("%s: got %s, want %s", c.send, s.answers, want)
		}
	}
}

func TestFanfareSkipsAndGreets(t *testing.T) {
	s := newFake(t)
	Fanfare{}.Open(s)
	Fanfare{}.Skipped(s, "r", pubsub.Position{Epoch: 255, Offset: 9})
	Fanfare{}.Skipped(s, "r", pubsub.Position{})
	for i, want := range []string{
		`{"type":"welcome","socket":"1-2","instance":"a","user":"alice","ping":30}`,
		`{"type":"gap","room":"r","epoch":"ff","offset":9}`, `{"type":"gap","room":"r"}`,
	} {
		if s.answers[i] != want {
			t.Errorf("got %s, want %s", s.answers[i], want)
		}
	}
}

// Whatever a client sends is answered exactly once, with its id if that is one, and ends nothing.
func FuzzFanfare(f *testing.F) {
	for _, seed := range []string{
		`{"type":"join","room":"r","id":1}`, `{"type":"leave","room":"r","id":"x"}`, `{"type":"publish","room":"r","data":{"__proto__":1},"echo":false,"id":3}`,
		`{"type":"send","user":"u","data":"x","id":4}`, `{"type":"auth","token":"good","id":5}`, `{"type":"ping"}`, `{"type":"dance"}`,
		`{"type":1}`, `[]`, `null`, `"`, `{"id":{}}`, "{\"type\":\"ping\",\"id\":\"\xff\"}", `{"type":"publish","room":"\ud800","data":1}`,
	} {
		f.Add(true, []byte(seed))
		f.Add(false, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, isText bool, payload []byte) {
		op := ws.OpBinary
		if isText {
			op = ws.OpText
			payload = []byte(strings.ToValidUTF8(string(payload), "?")) // as the parser sees to
		}
		s := newFake(t)
		Fanfare{}.Message(s, op, payload)
		if len(s.answers) != 1 {
			t.Fatalf("%d answers: %q", len(s.answers), s.answers)
		}
		if s.ended != 0 {
			t.Fatalf("the socket was ended: %s", s.ended)
		}
		for _, m := range s.published {
			for enc := range loop.Encoding(loop.Encodings) {
				if op, text := unframe(t, Encode(nil, enc, &m)); op != ws.OpText || !json.Valid([]byte(text)) {
					t.Fatalf("it would be delivered as %v %q", op, text)
				}
			}
		}
	})
}
