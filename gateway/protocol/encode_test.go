package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// theFrame takes bytes apart that are to be one whole frame of a server.
func theFrame(t testing.TB, b []byte) (ws.OpCode, []byte) {
	t.Helper()
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	if err != nil || int64(r.Len()) != h.Length {
		t.Fatalf("%q is not one frame: %v, %d bytes left", b, err, r.Len())
	}
	payload := b[len(b)-r.Len():]
	if !h.Fin || h.Masked || h.Rsv != 0 || ws.HeaderSize(h)+len(payload) != len(b) {
		t.Fatalf("header %+v with %d bytes of payload in %d bytes", h, len(payload), len(b))
	}
	return h.OpCode, payload
}

// decoded is what an object that a server sends may have.
type decoded struct {
	Type   string          `json:"type"`
	Room   string          `json:"room"`
	From   string          `json:"from"`
	Offset uint64          `json:"offset"`
	Epoch  string          `json:"epoch"`
	Data   json.RawMessage `json:"data"`
	Base64 []byte          `json:"data_base64"`
}

func TestAKindLooksTheSameWhateverTheTarget(t *testing.T) {
	const text, binary = ws.OpText, ws.OpBinary
	for _, c := range []struct {
		what    string
		kind    pubsub.Kind
		payload string
		data    string    // what follows "data in the object
		op      ws.OpCode // of the plain frame, whose payload is always the same bytes
	}{
		{"text", pubsub.Text, "hello", `":"hello"`, text},
		{"no text", pubsub.Text, "", `":""`, text},
		{"text that looks like JSON", pubsub.Text, `{"a":1}`, `":"{\"a\":1}"`, text},
		{"text with quotes", pubsub.Text, `say "hi\"`, `":"say \"hi\\\""`, text},
		{"text with control characters", pubsub.Text, "a\nb\r\tc\x00\x1f\x7f", `":"a\nb\r\tc\u0000\u001f` + "\x7f" + `"`, text},
		{"text with U+2028", pubsub.Text, "a\u2028b", `":"a` + "\u2028" + `b"`, text},
		{"emoji", pubsub.Text, "👩‍👩‍👧 🎺", `":"👩‍👩‍👧 🎺"`, text},
		{"text that is not UTF-8", pubsub.Text, "a\xffb", `_base64":"Yf9i"`, binary},
		{"JSON, byte for byte", pubsub.JSON, "{ \"b\":\t1e3,\"a\":[ ] }", "\":{ \"b\":\t1e3,\"a\":[ ] }", text},
		{"JSON null", pubsub.JSON, "null", `":null`, text},
		{"JSON that is not UTF-8", pubsub.JSON, "\"\xff\"", `_base64":"Iv8i"`, binary},
		{"binary", pubsub.Binary, "\x00\xff", `_base64":"AP8="`, binary},
		{"binary that looks like JSON", pubsub.Binary, "1", `_base64":"MQ=="`, binary},
		{"no binary", pubsub.Binary, "", `_base64":""`, binary},
		{"foreign JSON", pubsub.Foreign, `{"a": 1}`, `":{"a": 1}`, text},
		{"foreign text", pubsub.Foreign, `hello`, `":"hello"`, text},
		{"nothing foreign", pubsub.Foreign, ``, `":""`, text},
		{"foreign bytes", pubsub.Foreign, "\xff\xfe", `_base64":"//4="`, binary},
	} {
		m := pubsub.Message{Kind: c.kind, Payload: []byte(c.payload)}
		for target, start := range map[pubsub.Target]string{
			pubsub.Room("r"): `{"type":"message","room":"r"`,
			pubsub.User("u"): `{"type":"direct"`,
		} {
			m.Target = target
			got := Encode([]byte("before"), JSON, &m)
			op, payload := theFrame(t, bytes.TrimPrefix(got, []byte("before")))
			if want := start + `,"data` + c.data + `}`; op != text || string(payload) != want {
				t.Errorf("%s: got %v %s, want %s", c.what, op, payload, want)
			}
			if !json.Valid(payload) || !utf8.Valid(payload) {
				t.Errorf("%s: %q is no JSON", c.what, payload)
			}
			op, payload = theFrame(t, Encode(nil, Plain, &m))
			if op != c.op || string(payload) != c.payload {
				t.Errorf("%s: got plain %v %q, want %v %q", c.what, op, payload, c.op, c.payload)
			}
		}
	}
}

func TestOddNamesComeBackAsTheyAre(t *testing.T) {
	for _, name := range []string{`a"b\c`, "</script>&", "ctrl\x00\b\f\x1f\x7f", "line\u2028para\u2029", "🎺", "é́", strings.Repeat("x", 255)} {
		m := pubsub.Message{Target: pubsub.Room(name), From: name, Payload: []byte(name), Position: pubsub.Position{Epoch: 7, Offset: pubsub.MaxEpoch}}
		_, payload := theFrame(t, Encode(nil, JSON, &m))
		var got decoded
		if err := json.Unmarshal(payload, &got); err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		var text string
		if err := json.Unmarshal(got.Data, &text); err != nil || text != name {
			t.Errorf("text %q came back as %q: %v", name, text, err)
		}
		got.Data = nil
		want := decoded{Type: "message", Room: name, From: name, Offset: pubsub.MaxEpoch}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheHeaderFitsTheLength(t *testing.T) {
	for _, n := range []int{0, 1, 100, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 200_000} {
		m := pubsub.Message{Target: pubsub.Room("r")}
		for _, enc := range []loop.Encoding{JSON, Plain} {
			m.Payload = nil
			_, empty := theFrame(t, Encode(nil, enc, &m))
			m.Payload = bytes.Repeat([]byte("x"), max(n-len(empty), 0))
			_, payload := theFrame(t, Encode([]byte{}, enc, &m))
			if len(payload) != max(n, len(empty)) {
				t.Errorf("encoding %d: %d bytes, want %d", enc, len(payload), n)
			}
			var got decoded
			if enc == JSON && (json.Unmarshal(payload, &got) != nil || string(got.Data) != `"`+string(m.Payload)+`"`) {
				t.Errorf("%d bytes did not come back", n)
			}
		}
	}
}

func TestABufferThatIsLargeEnoughIsUsed(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, m := range []pubsub.Message{
		{Target: pubsub.Room("chat"), From: "alice", Payload: []byte("say \"hello\"\n"), Position: pubsub.Position{Epoch: 1, Offset: 12345}},
		{Target: pubsub.Room("chat"), Kind: pubsub.JSON, Payload: []byte(`{"a":[1,2,3]}`)},
		{Target: pubsub.User("alice"), Kind: pubsub.Binary, Payload: bytes.Repeat([]byte{0, 255}, 500)},
		{Target: pubsub.Room("chat"), Kind: pubsub.Foreign, Payload: []byte("hello")},
	} {
		for _, enc := range []loop.Encoding{JSON, Plain} {
			// encoding/json keeps what checks JSON in a pool; AllocsPerRun rounds down what the
			// pool loses now and then.
			if m.Kind == pubsub.Foreign && enc == JSON {
				continue // the error of what is no JSON is made each time
			}
			if n := testing.AllocsPerRun(200, func() { Encode(buf, enc, &m) }); n != 0 {
				t.Errorf("kind %d, encoding %d: %v allocations", m.Kind, enc, n)
			}
		}
	}
}

func TestEncodeGap(t *testing.T) {
	for _, c := range []struct {
		pos  pubsub.Position
		want string
	}{
		{pubsub.Position{Epoch: 255, Offset: 9}, `{"type":"gap","room":"a\"b","epoch":"ff","offset":9}`},
		{pubsub.Position{Epoch: pubsub.MaxEpoch}, `{"type":"gap","room":"a\"b","epoch":"1fffffffffffff","offset":0}`},
		{pubsub.Position{}, `{"type":"gap","room":"a\"b"}`},
	} {
		if op, got := theFrame(t, EncodeGap(`a"b`, c.pos)); op != ws.OpText || string(got) != c.want {
			t.Errorf("got %v %s, want %s", op, got, c.want)
		}
	}
	long := strings.Repeat("r", 255)
	if _, got := theFrame(t, EncodeGap(long, pubsub.Position{})); string(got) != fmt.Sprintf(`{"type":"gap","room":%q}`, long) {
		t.Errorf("got %s", got)
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", `"\`, "\x00\x1f\x7f\n\r\t", "\u2028\u2029", "🎺", "</script>", "\\u0000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			t.Skip("it is for UTF-8 only")
		}
		got := appendString([]byte("x"), s)
		var back string
		if err := json.Unmarshal(got[1:], &back); err != nil || back != s || got[0] != 'x' {
			t.Errorf("%q became %s, read back as %q: %v", s, got, back, err)
		}
		if fromBytes := appendString([]byte("x"), []byte(s)); !bytes.Equal(got, fromBytes) {
			t.Errorf("%s as a string, %s as bytes", got, fromBytes)
		}
	})
}

func FuzzEncode(f *testing.F) {
	for kind, payload := range []string{"text", "\x00\xff", `{"a":1}`, "hello", "\xff"} {
		f.Add(uint8(kind), []byte(payload), "alice", kind == 0)
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte, from string, user bool) {
		m := pubsub.Message{Target: pubsub.Target{User: user, Name: "r"}, Kind: pubsub.Kind(kind % 4), From: strings.ToValidUTF8(from, ""), Payload: payload}
		op, text := theFrame(t, Encode(nil, JSON, &m))
		var got decoded
		if err := json.Unmarshal(text, &got); err != nil || op != ws.OpText || !utf8.Valid(text) || got.From != m.From {
			t.Fatalf("%v %q: %v", op, text, err)
		}
		if got.Data == nil && !bytes.Equal(got.Base64, payload) {
			t.Errorf("%q came back as %q", payload, got.Base64)
		}
		if op, plain := theFrame(t, Encode(nil, Plain, &m)); !bytes.Equal(plain, payload) || op == ws.OpText && !utf8.Valid(plain) {
			t.Errorf("%q came back as %v %q", payload, op, plain)
		}
	})
}
