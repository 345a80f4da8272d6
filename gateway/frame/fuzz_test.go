package frame

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gobwas/ws"
)

// fuzzLimit is small, so that the fuzzer meets it.
const fuzzLimit = 1000

// FuzzParser checks that no bytes make the parser panic or hold more memory than the limit (feeder
// does), that events and error do not depend on how reads are cut, and that streams which it accepts
// are read by gobwas/ws in the same way.
func FuzzParser(f *testing.F) {
	for _, tc := range validStreams {
		f.Add(tc.stream, uint64(len(tc.stream)))
	}
	for _, tc := range invalidStreams {
		if len(tc.stream) < 2*fuzzLimit {
			f.Add(tc.stream, uint64(len(tc.stream)))
		}
	}
	for _, tc := range badTexts {
		f.Add(client(true, text, tc.text), uint64(1))
		f.Add(join(client(false, text, tc.text[:1]), client(true, ws.OpPing, ""), client(true, cont, tc.text[1:])), uint64(2))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		whole := feeder{t: t, max: fuzzLimit}
		defer whole.parser.Release()
		wantErr := whole.feed(stream)

		random := rand.New(rand.NewPCG(seed, 0))
		reads := make([]int, 20)
		for i := range reads {
			reads[i] = 1 + random.IntN(1+random.IntN(200))
		}
		for _, reads := range [][]int{{1}, reads} {
			events, err := parse(t, stream, fuzzLimit, reads...)
			if err != wantErr || !slices.Equal(events, whole.events) {
				t.Errorf("reads of %v: %q, %v; whole: %q, %v", reads, events, err, whole.events, wantErr)
			}
		}

		p := &whole.parser
		ended := p.headLen == 0 && p.remain == 0 && p.messageOp == ws.OpContinuation
		if wantErr == nil && ended {
			if want := readWithGobwas(t, stream); !slices.Equal(want, whole.events) {
				t.Errorf("got %q, gobwas/ws %q", whole.events, want)
			}
		}
	})
}

// FuzzParseClose checks that what ParseClose accepts can be sent back and is read the same again.
func FuzzParseClose(f *testing.F) {
	for _, payload := range []string{"", "\x03", "\x03\xe8", "\x03\xe8bye €", "\x03\xe8\xff", "\x13\x88", "\x03\xf5"} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		code, reason, err := ParseClose(payload)
		if err != nil {
			if code != 0 || reason != nil {
				t.Error("a code or reason together with an error")
			}
			return
		}
		wire := AppendClose(nil, code, string(reason))
		if len(payload) > ws.MaxControlFramePayloadSize {
			payload = payload[:len(wire)-2]
		}
		if string(wire[2:]) != string(payload) {
			t.Errorf("%q came back as %q", payload, wire[2:])
		}
	})
}
