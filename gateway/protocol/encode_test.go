package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// unframe checks that the bytes are exactly one whole frame and takes it apart.
func unframe(t *testing.T, b []byte) (ws.OpCode, string) {
	t.Helper()
	r := bytes.NewReader(b)
	h, err := ws.ReadHeader(r)
	if err != nil {
		t.Fatal(err)
	}
	if !h.Fin || h.Masked || h.Rsv != 0 || int64(r.Len()) != h.Length {
		t.Fatalf("header %+v before %d bytes: want one whole frame", h, r.Len())
	}
	return h.OpCode, string(b[len(b)-r.Len():])
}

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		name    string
		kind    pubsub.Kind
		payload string
		json    string // the end of the fanfare.v1 object
		binary  bool   // in the plain protocols
	}{
		{"text", pubsub.Text, "hi", `"data":"hi"}`, false},
		{"text that looks like JSON", pubsub.Text, `{"a":1}`, `"data":"{\"a\":1}"}`, false},
		{"text with odd characters", pubsub.Text, "\"\\/\n\r\t\x00\x1f\x7fü€😀\u2028</script>", `"data":"\"\\/\n\r\t\u0000\u001f` + "\x7fü€😀\u2028</script>\"}", false},
		{"empty text", pubsub.Text, "", `"data":""}`, false},
		{"JSON", pubsub.JSON, ` {"a" : [1, null]} `, `"data": {"a" : [1, null]} }`, false},
		{"JSON number of any size", pubsub.JSON, "12345678901234567890.5e999", `"data":12345678901234567890.5e999}`, false},
		{"binary", pubsub.Binary, "\x00\xff", `"data_base64":"AP8="}`, true},
		{"binary that is UTF-8", pubsub.Binary, "hi", `"data_base64":"aGk="}`, true},
		{"empty binary", pubsub.Binary, "", `"data_base64":""}`, true},
		{"foreign JSON", pubsub.Foreign, `{"a":1}`, `"data":{"a":1}}`, false},
		{"foreign text", pubsub.Foreign, "hello", `"data":"hello"}`, false},
		{"foreign half JSON", pubsub.Foreign, `{"a":`, `"data":"{\"a\":"}`, false},
		{"foreign, two JSON values", pubsub.Foreign, `1 2`, `"data":"1 2"}`, false},
		{"foreign, not UTF-8", pubsub.Foreign, "\xff\xfe", `"data_base64":"//4="}`, true},
		{"foreign JSON string, not UTF-8", pubsub.Foreign, "\"\xff\"", `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte("\"\xff\"")) + `"}`, true},
		{"foreign, empty", pubsub.Foreign, "", `"data":""}`, false},
		{"what says JSON and is not", pubsub.JSON, "}", `"data":"}"}`, false},
		{"what says text and is not", pubsub.Text, "\xff", `"data_base64":"/w=="}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &pubsub.Message{Target: pubsub.Room("r"), Kind: c.kind, Payload: []byte(c.payload), Position: pubsub.Position{Epoch: 9, Offset: 7}}
			op, text := unframe(t, Encode(nil, JSON, m))
			if want := `{"type":"message","room":"r","offset":7,` + c.json; op != ws.OpText || text != want {
				t.Errorf("fanfare.v1: got %v %q, want text %q", op, text, want)
			}
			if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
				t.Errorf("%q is no JSON", text)
			}
			wantOp := ws.OpText
			if c.binary {
				wantOp = ws.OpBinary
			}
			if op, text := unframe(t, Encode(nil, Plain, m)); op != wantOp || text != c.payload {
				t.Errorf("plain: got %v %q, want %v %q", op, text, wantOp, c.payload)
			}
		})
	}
}

func TestEncodeNamesAndPlaces(t *testing.T) {
	odd := "\"\\\u2028 é{}"
	for _, c := range []struct {
		m    pubsub.Message
		want string
	}{
		{pubsub.Message{Target: pubsub.Room("r")}, `{"type":"message","room":"r","data":1}`},
		{pubsub.Message{Target: pubsub.Room("r"), From: "u"}, `{"type":"message","room":"r","from":"u","data":1}`},
		{pubsub.Message{Target: pubsub.User("u")}, `{"type":"direct","data":1}`},
		{pubsub.Message{Target: pubsub.User("u"), From: "v"}, `{"type":"direct","from":"v","data":1}`},
		{pubsub.Message{Target: pubsub.Room(odd), From: odd, Position: pubsub.Position{Offset: pubsub.MaxEpoch}},
			`{"type":"message","room":"\"\\` + "\u2028 é{}" + `","from":"\"\\` + "\u2028 é{}" + `","offset":9007199254740991,"data":1}`},
	} {
		c.m.Kind, c.m.Payload = pubsub.JSON, []byte("1")
		if _, text := unframe(t, Encode(nil, JSON, &c.m)); text != c.want {
			t.Errorf("got %s, want %s", text, c.want)
		}
	}
}

// Whatever the length of the header that a payload needs, and appended to what is there already.
func TestEncodeEveryHeaderLength(t *testing.T) {
	for n := range 100 {
		for _, more := range []int{0, 80, 65_450} {
			m := &pubsub.Message{Target: pubsub.Room("r"), Kind: pubsub.Text, Payload: []byte(strings.Repeat("x", n+more))}
			for enc := range loop.Encoding(loop.Encodings) {
				b := Encode([]byte("before"), enc, m)
				if !bytes.HasPrefix(b, []byte("before")) {
					t.Fatal("what was there is gone")
				}
				if _, text := unframe(t, b[6:]); !strings.Contains(text, string(m.Payload)) {
					t.Fatalf("%d bytes, encoding %d: the payload is not in the frame", n+more, enc)
				}
			}
		}
	}
}

func TestRoomNames(t *testing.T) {
	for name, good := range map[string]bool{
		"r": true, "team:a/b c": true, "日本": true, strings.Repeat("r", 255): true,
		"": false, strings.Repeat("r", 256): false, "a\nb": false, "a\x7f": false, "\xff": false,
	} {
		if err := CheckRoom(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}
