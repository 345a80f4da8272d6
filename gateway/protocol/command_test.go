package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var commands = []string{
	`{"type":"publish","room":"chat","data":{"text":"a \\" } ] , b","n":[1,{"x":null}]},"id":7,"key":"k"}`,
	`{"type":"join","room":"caf\u00e9","since":{"epoch":"1f","offset":9007199254740991},"last":20,"id":"seven"}`,
	" \t\r\n{ \"type\" : \"send\" , \"user\" : \"ali\\\\ce\" , \"data\" : null , \"echo\" : false } ",
	`{"type":"ping"}`, `{}`, `{"data":[]}`, `{"data":-1.5e+3}`, `{"data":"","id":null,"echo":null,"since":null,"room":null}`,
	`{"type":1}`, `{"echo":"yes"}`, `{"last":1.5}`, `{"last":"1"}`, `{"since":[]}`, `{"since":{"offset":-1}}`,
	`{"r\u006fom":"escaped","room":"plain"}`, `{"__proto__":{"room":"x"},"constructor":1,"room":"r"}`, `{"room":"one","room":"two"}`,
	`[]`, `null`, `1`, `"type"`, `{"type"`, `{"type":"join",}`, `{"type":"join"}{}`, ``, `{"a":{"room":"inner"}}`,
}

// sameAsUnmarshal holds read against encoding/json.
func sameAsUnmarshal(t *testing.T, text string) {
	t.Helper()
	var got, want command
	gotErr, wantErr := got.read([]byte(text)), json.Unmarshal([]byte(text), &want)
	if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
		t.Fatalf("%s: error %v, want %v", text, gotErr, wantErr)
	}
	if diff := cmp.Diff(want, got); diff != "" && gotErr == nil {
		t.Fatalf("%s: -want +got\n%s", text, diff)
	}
}

func TestACommandIsReadAsJSON(t *testing.T) {
	for _, text := range commands {
		sameAsUnmarshal(t, text)
	}
}

func TestNamesOfFieldsAreMatchedExactly(t *testing.T) {
	for _, text := range []string{`{"Type":"join","ROOM":"r","key":"k"}`, `{"Type":"join","ROOM":"r","key":"\u006b"}`} {
		var c command
		if err := c.read([]byte(text)); err != nil || c.Type != "" || c.Room != "" || c.Key != "k" {
			t.Errorf("%s: got %+v, %v", text, c, err)
		}
	}
}

func TestACommandKeepsNothingOfTheFrame(t *testing.T) {
	text := []byte(`{"type":"publish","room":"chat","data":{"a":1},"id":12}`)
	var c command
	if err := c.read(text); err != nil {
		t.Fatal(err)
	}
	clear(text)
	if c.Room != "chat" || string(c.Data) != `{"a":1}` || string(c.ID) != "12" {
		t.Errorf("got %+v", c)
	}
	if _ = append(c.ID, '3'); string(c.Data) != `{"a":1}` {
		t.Error("appending to one value changes another")
	}
}

func FuzzCommand(f *testing.F) {
	for _, text := range commands {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// Frames are UTF-8. encoding/json takes keys in any case, fanfare.v1 does not.
		if utf8.ValidString(text) && strings.ToLower(text) == text && !strings.ContainsAny(text, "\u017f\u212a") {
			sameAsUnmarshal(t, text)
		}
	})
}

func BenchmarkReadCommand(b *testing.B) {
	text := []byte(`{"type":"publish","room":"chat","data":"` + strings.Repeat("x", 128) + `","id":123456}`)
	for name, read := range map[string]func(*command) error{
		"read":      func(c *command) error { return c.read(text) },
		"unmarshal": func(c *command) error { return json.Unmarshal(text, c) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var c command
				if err := read(&c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
