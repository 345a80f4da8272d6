package jsontext_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fanfare-ws/fanfare/pubsub/jsontext"
)

var seeds = []string{
	``, ` `, `{}`, ` { } `, `[]`, ` [ ] `, `null`, `true`, `false`, `nul`, `nulll`, `tru e`, `True`,
	`0`, `-0`, `01`, `-`, `-a`, `1.`, `1.5`, `.5`, `1e5`, `1E+5`, `1e-`, `1e`, `1.5e3`, `+1`, `1 2`, `0x1`, `1.5.5`,
	`""`, `"`, `"a`, `"\"`, `"\\"`, `"\""`, `"\u12aF"`, `"\u12"`, `"\u12g4"`, `"\x"`, `"\`, `"\u`, `"` + "\n" + `"`, `"` + "\x7f\x80\xff" + `"`, "\"\x00\"", "\"12345678\x1f\"",
	`"12345678"`, `"1234567\"89"`, `"é😀\/"`, `"12345678901234567"`, `"1234567` + "\x01" + `"`, "\x0b1", "\xa01",
	`{"a":1}`, `{"a" : [1 , 2,{"b":null}] , "c":"d"}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1 "b":2}`, `{a:1}`, `{"a":1`, `{"a`, `{"a":1}}`, `{1:2}`, `{"a":1,"a":2}`, `{"\u0061":1}`,
	`[1,]`, `[,1]`, `[1 2]`, `[1`, `[`, `]`, `[[[]]]`, `[[[]]`, `{"a":[}]`, `[{]}`, `[1]x`, `{"type":"publish","room":"r","id":1,"data":{"x":[1,2.5e3,"\u00e9"]}}`,
}

func TestSaysWhatEncodingJSONSays(t *testing.T) {
	for _, s := range seeds {
		agrees(t, []byte(s))
	}
	for _, depth := range []int{9_999, 10_000, 10_001} {
		agrees(t, []byte(strings.Repeat("[", depth)+strings.Repeat("]", depth)))
		agrees(t, []byte(strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth)))
	}
	// Every byte at every place of a word of eight.
	for at := range 10 {
		for c := range 256 {
			text := []byte(`"abcdefghij"`)
			text[1+at] = byte(c)
			agrees(t, text)
		}
	}
}

func TestObjectStopsWhenTold(t *testing.T) {
	var keys []string
	ok := jsontext.Object([]byte(`{"a":1,"b":2,"c":3}`), func(key, _ []byte) bool {
		keys = append(keys, string(key))
		return len(keys) < 2
	})
	if ok || fmt.Sprint(keys) != "[a b]" {
		t.Errorf("%v %v, want false and a, b", ok, keys)
	}
}

func FuzzJSONText(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(agrees)
}

// agrees holds both functions against encoding/json.
func agrees(t *testing.T, text []byte) {
	t.Helper()
	want := json.Valid(text)
	if got := jsontext.Valid(text); got != want {
		t.Errorf("Valid(%.200q) = %v, encoding/json says %v", text, got, want)
	}
	var again []byte
	got := jsontext.Object(text, func(key, value []byte) bool {
		if !json.Valid(value) || len(value) != cap(value) {
			t.Errorf("%.200q: the value %.200q, capacity %d", text, value, cap(value))
		}
		if len(again) > 0 {
			again = append(again, ',')
		}
		again = append(append(append(append(again, '"'), key...), `":`...), value...)
		return true
	})
	trimmed := bytes.Trim(text, " \t\r\n")
	if object := want && trimmed[0] == '{'; got != object {
		t.Errorf("Object(%.200q) = %v, want %v", text, got, object)
	}
	if !got {
		return
	}
	// The members make the same object, white space outside of strings aside.
	var members, whole bytes.Buffer
	if json.Compact(&members, append(append([]byte{'{'}, again...), '}')) != nil || json.Compact(&whole, text) != nil || !bytes.Equal(members.Bytes(), whole.Bytes()) {
		t.Errorf("members of %.200q: %.200q", text, again)
	}
}

func BenchmarkValid(b *testing.B) {
	for _, s := range []string{
		`{"type":"publish","room":"room-17","id":12,"data":{"sent":1234567890,"text":"` + strings.Repeat("x", 80) + `"}}`,
		`"` + strings.Repeat("x", 1<<20) + `"`,
		"[" + strings.Repeat(`{"id":17,"name":"Ada Lovelace","tags":["a","b"],"at":-1.5e3},`, 16_000) + "0]",
	} {
		text := []byte(s)
		for name, valid := range map[string]func([]byte) bool{"jsontext": jsontext.Valid, "encoding": json.Valid} {
			b.Run(fmt.Sprintf("%s-%d-%s", name, len(s), s[:3]), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if !valid(text) {
						b.Fatal("not valid")
					}
				}
			})
		}
	}
}
