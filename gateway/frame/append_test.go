package frame

import (
	"bytes"
	"math"
	"testing"

	"github.com/gobwas/ws"
)

// readServerFrame reads one unmasked frame, all of wire, with gobwas/ws.
func readServerFrame(t *testing.T, wire []byte) ws.Frame {
	t.Helper()
	r := bytes.NewReader(wire)
	head, err := ws.ReadHeader(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.CheckHeader(head, ws.StateClientSide); err != nil {
		t.Fatal(err)
	}
	payload := wire[len(wire)-r.Len():]
	if int64(len(payload)) != head.Length {
		t.Fatalf("%d bytes declared, %d there", head.Length, len(payload))
	}
	return ws.Frame{Header: head, Payload: payload}
}

func TestAppendFrameWritesWhatGobwasWrites(t *testing.T) {
	for _, op := range []ws.OpCode{text, bin, ws.OpPing, ws.OpPong, ws.OpClose} {
		for _, size := range []int{0, 1, 15, 16, 17, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 70000} {
			if op.IsControl() && size > 125 {
				continue
			}
			payload := []byte(long[:size])
			want := ws.MustCompileFrame(ws.NewFrame(op, true, payload))
			if got := AppendFrame(nil, op, payload); !bytes.Equal(got, want) {
				t.Errorf("op %d, %d bytes: AppendFrame differs", op, size)
			}
			if got := append(AppendHeader([]byte("x"), op, size), payload...); !bytes.Equal(got[1:], want) {
				t.Errorf("op %d, %d bytes: AppendHeader differs", op, size)
			}
			if got := HeaderSize(size); got != len(want)-size {
				t.Errorf("%d bytes: HeaderSize %d, want %d", size, got, len(want)-size)
			}
			masked := AppendMaskedFrame([]byte("x"), op, testMask, payload)
			if !bytes.Equal(masked[1:], clientMasked(true, op, payload, testMask)) {
				t.Errorf("op %d, %d bytes: AppendMaskedFrame differs", op, size)
			}
			if string(payload) != long[:size] {
				t.Fatal("AppendMaskedFrame changed its payload")
			}
		}
	}
}

func TestAppendHeaderOfTheLargestLength(t *testing.T) {
	const length = math.MaxInt
	head, err := ws.ReadHeader(bytes.NewReader(AppendHeader(nil, bin, length)))
	if err != nil || head.Length != length || HeaderSize(length) != 10 {
		t.Errorf("got %+v, %v", head, err)
	}
}

func TestEncodersAllocateNothing(t *testing.T) {
	dst := make([]byte, 0, 1024)
	payload := []byte(long[:300])
	reason := long[:200]
	for name, f := range map[string]func(){
		"AppendHeader":      func() { dst = AppendHeader(dst[:0], text, 70000) },
		"AppendFrame":       func() { dst = AppendFrame(dst[:0], text, payload) },
		"AppendMaskedFrame": func() { dst = AppendMaskedFrame(dst[:0], text, testMask, payload) },
		"AppendClose":       func() { dst = AppendClose(dst[:0], 1001, reason) },
		"ParseClose":        func() { _, _, _ = ParseClose(payload[:100]) },
	} {
		if allocs := testing.AllocsPerRun(100, f); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func TestWhatAClientSendsIsWhatAServerReads(t *testing.T) {
	var stream []byte
	var want []got
	for i, size := range []int{0, 1, 125, 126, 65535, 65536} {
		stream = AppendMaskedFrame(stream, text, [4]byte{byte(i), 7, 0, 255}, []byte(long[:size]))
		want = append(want, got{text, long[:size]})
	}
	events, err := parse(t, stream, testLimit, 1000)
	if err != nil || len(events) != len(want) {
		t.Fatal(len(events), err)
	}
	for i := range want {
		if events[i] != want[i] {
			t.Errorf("message %d differs", i)
		}
	}
}
