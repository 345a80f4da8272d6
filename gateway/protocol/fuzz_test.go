package protocol

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// documented are the commands of docs/protocol.md, with values for its placeholders, and each once
// more with every optional field that its row of the table names.
func documented(t testing.TB) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### Commands\n")
	section, _, _ = strings.Cut(section, "\n### ")
	code := regexp.MustCompile("`([^`]+)`")
	values := strings.NewReplacer(`:R`, `:"r"`, `:D`, `:{"a":[1]}`, `:U`, `:"u"`, `:T`, `:"t"`, `:E`, `:"1f"`, `:N`, `:5`, `:K`, `:"k"`)
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| `{") {
			continue
		}
		command := ""
		for _, span := range code.FindAllStringSubmatch(line, -1) {
			switch text := values.Replace(span[1]); {
			case command == "":
				command = text
				all = append(all, command)
			case strings.HasPrefix(text, `"`): // an optional field
				command = strings.TrimSuffix(command, "}") + "," + text + "}"
				all = append(all, command)
			}
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only these commands in the documentation: %q", all)
	}
	return all
}

// answers are what sessions and brokers say.
var answers = []error{nil, pubsub.ErrUnavailable, pubsub.ErrClosed, pubsub.ErrNoHistory, ErrForbidden, ErrTooManyRooms, errors.New("other")}

// answer has every callback called, as a session would do.
func (s *session) answer(err error) {
	for _, j := range s.joins {
		joined := Joined{Position: pubsub.Position{Epoch: 31, Offset: 9}, Missed: [][]byte{{0x81, 0}}, Recovered: true}
		if err != nil {
			joined = Joined{}
		}
		j.done(joined, err)
	}
	for _, l := range s.leaves {
		l.done(err == nil)
	}
	for _, p := range s.publishes {
		p.done(pubsub.Receipt{Position: pubsub.Position{Epoch: 31, Offset: 9}, Instances: 1}, err)
	}
	for _, k := range s.tokens {
		k.done(err)
	}
}

func TestEveryDocumentedCommandIsUnderstood(t *testing.T) {
	for _, command := range documented(t) {
		s := &session{t: t}
		s.text(Fanfare{}, command)
		s.answer(nil)
		if len(s.sent) != 1 || strings.Contains(s.sent[0].text, "error") {
			t.Errorf("%s was answered with %q", command, s.sent)
		}
	}
}

func FuzzFanfareMessage(f *testing.F) {
	for _, command := range documented(f) {
		for how := range answers {
			f.Add(uint8(how), []byte(command))
		}
		f.Add(uint8(0x80), []byte(command))
	}
	for _, text := range []string{``, `[]`, `{}`, `null`, `{"id":null}`, `{"type":"ping","id":"\ud800"}`, `{"type":"ping","id":-}`, `{"TYPE":"ping","Id":1}`} {
		f.Add(uint8(0), []byte(text))
		f.Add(uint8(0x40), []byte(text))
	}
	f.Fuzz(func(t *testing.T, how uint8, payload []byte) {
		s := &session{t: t, limited: how&0x80 != 0}
		if how&0x20 != 0 {
			s.denied = auth.Publish
		}
		op := ws.OpText
		if how&0x40 != 0 || !utf8.Valid(payload) { // the loop lets no other text through
			op = ws.OpBinary
		}
		Fanfare{}.Message(s, op, append([]byte(nil), payload...))
		if n := len(s.sent) + len(s.joins) + len(s.leaves) + len(s.publishes) + len(s.tokens); n != 1 {
			t.Fatalf("%q is on %d ways", payload, n)
		}
		for _, p := range s.publishes {
			checkPublished(t, p.m)
		}
		s.answer(answers[int(how&0x1f)%len(answers)])
		if len(s.sent) != 1 || len(s.ended) > 0 {
			t.Fatalf("%q was answered with %q, ended %v", payload, s.sent, s.ended)
		}
		var asked, got struct {
			Type string          `json:"type"`
			ID   json.RawMessage `json:"id"`
			Code string          `json:"code"`
		}
		text := []byte(s.sent[0].text)
		if err := json.Unmarshal(text, &got); err != nil || s.sent[0].op != ws.OpText || !utf8.Valid(text) || got.Type == "" {
			t.Fatalf("%q was answered with %v %q: %v", payload, s.sent[0].op, text, err)
		}
		if (got.Type == "error") != (got.Code != "") {
			t.Errorf("%s", text)
		}
		if got.ID != nil && (json.Unmarshal(payload, &asked) == nil || asked.ID != nil) && string(asked.ID) != string(got.ID) {
			t.Errorf("id %s came back as %s", asked.ID, got.ID)
		}
	})
}

// checkPublished holds what a client makes the gateway publish against what brokers are promised.
func checkPublished(t *testing.T, m pubsub.Message) {
	t.Helper()
	switch {
	case m.Kind != pubsub.JSON || !json.Valid(m.Payload) || !utf8.Valid(m.Payload):
		t.Errorf("kind %d with payload %q", m.Kind, m.Payload)
	case !m.Target.User && CheckRoom(m.Target.Name) != nil, m.Target.Name == "", len(m.Target.Name) > 255:
		t.Errorf("target %+v", m.Target)
	case len(m.Key) > MaxKey, m.Target.User && m.Key != "":
		t.Errorf("key %q", m.Key)
	}
}
