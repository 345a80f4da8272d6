package frame

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/go-cmp/cmp"
)

// readWithGobwas reads a valid stream with the blocking reader of gobwas/ws.
func readWithGobwas(t testing.TB, stream []byte) []got {
	t.Helper()
	var events []got
	r := bytes.NewReader(stream)
	for {
		messages, err := wsutil.ReadClientMessage(r, nil)
		for _, m := range messages {
			events = append(events, got{m.OpCode, string(m.Payload)})
		}
		if errors.Is(err, io.EOF) && r.Len() == 0 {
			return events
		}
		if err != nil {
			t.Fatalf("gobwas/ws after %d events: %v", len(events), err)
		}
	}
}

// A generator makes valid streams.
type generator struct{ *rand.Rand }

func (g generator) mask() (m [4]byte) {
	for i := range m {
		m[i] = byte(g.Uint32())
	}
	return m
}

func (g generator) length() int {
	switch g.IntN(10) {
	case 0:
		return 0
	case 1:
		return 120 + g.IntN(12)
	case 2:
		return g.IntN(3000)
	case 3:
		return 65530 + g.IntN(12)
	}
	return g.IntN(40)
}

func (g generator) payload(op ws.OpCode) []byte {
	n := g.length()
	if op != ws.OpText {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(g.Uint32())
		}
		return b
	}
	alphabet := []rune("a\x00~é\u07ff\u0800€\ufffd\uffff𝄞\U0010ffff")
	var b strings.Builder
	for range n {
		b.WriteRune(alphabet[g.IntN(len(alphabet))])
	}
	return []byte(b.String())
}

func (g generator) control() []byte {
	op := []ws.OpCode{ws.OpPing, ws.OpPong, ws.OpClose}[g.IntN(3)]
	payload := g.payload(ws.OpBinary)
	return clientMasked(true, op, payload[:min(len(payload), 125)], g.mask())
}

// message is a message in one frame, or in several with control frames between them.
func (g generator) message() []byte {
	op := []ws.OpCode{ws.OpText, ws.OpBinary}[g.IntN(2)]
	payload := g.payload(op)
	if g.IntN(2) == 0 {
		return clientMasked(true, op, payload, g.mask())
	}
	var stream []byte
	for range g.IntN(5) {
		n := g.IntN(len(payload) + 1)
		stream = append(stream, clientMasked(false, op, payload[:n], g.mask())...)
		payload, op = payload[n:], ws.OpContinuation
		for g.IntN(3) == 0 {
			stream = append(stream, g.control()...)
		}
	}
	return append(stream, clientMasked(true, op, payload, g.mask())...)
}

func (g generator) stream() (stream []byte) {
	for range 1 + g.IntN(8) {
		if g.IntN(4) == 0 {
			stream = append(stream, g.control()...)
		} else {
			stream = append(stream, g.message()...)
		}
	}
	return stream
}

func TestRandomStreamsReadAsGobwasReadsThem(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	for i := range 150 {
		stream := g.stream()
		want := readWithGobwas(t, stream)
		reads := make([]int, 1+g.IntN(100))
		for i := range reads {
			reads[i] = 1 + g.IntN(1+g.length())
		}
		for _, reads := range [][]int{nil, reads, {1 + g.IntN(5000)}} {
			events, err := parse(t, stream, testLimit, reads...)
			if err != nil {
				t.Fatalf("seed %d, stream %d, reads of %v: %v", seed, i, reads, err)
			}
			if diff := cmp.Diff(want, events); diff != "" {
				t.Fatalf("seed %d, stream %d, reads of %v: %.2000s", seed, i, reads, diff)
			}
		}
	}
}
