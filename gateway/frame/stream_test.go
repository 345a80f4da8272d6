package frame

import (
	"bytes"
	"math/bits"
	"testing"

	"github.com/gobwas/ws"
)

// The tests build what a client sends with gobwas/ws, not with this package's encoders.

var testMask = [4]byte{0xa1, 0x02, 0xff, 0x5c}

// client returns a client's frame.
func client(fin bool, op ws.OpCode, payload string) []byte {
	return clientMasked(fin, op, []byte(payload), testMask)
}

func clientMasked(fin bool, op ws.OpCode, payload []byte, mask [4]byte) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, payload), mask))
}

// declare returns a client's header that declares length bytes, and nothing of them.
func declare(fin bool, op ws.OpCode, length int64) []byte {
	var b bytes.Buffer
	if err := ws.WriteHeader(&b, ws.Header{Fin: fin, OpCode: op, Masked: true, Mask: testMask, Length: length}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// got is an Event that outlives the next call of Next.
type got struct {
	Op      ws.OpCode
	Payload string
}

// feeder feeds a parser and checks what must hold after every call.
type feeder struct {
	t      testing.TB
	parser Parser
	max    int
	events []got
}

// feed gives one read to the parser, until it wants more or fails.
func (f *feeder) feed(read []byte) (err error) {
	f.t.Helper()
	data := bytes.Clone(read)
	for {
		ev, n, ok, err := f.parser.Next(data, f.max)
		if n < 0 || n > len(data) {
			f.t.Fatalf("used %d of %d bytes", n, len(data))
		}
		data = data[n:]
		f.checkMemory()
		if err != nil {
			if ok {
				f.t.Fatal("an event together with an error")
			}
			return err
		}
		if !ok {
			if len(data) > 0 {
				f.t.Fatalf("%d bytes left without an event", len(data))
			}
			if f.parser.spent != nil {
				f.t.Fatal("a used buffer is kept after the last event")
			}
			return nil
		}
		if ev.Deflated {
			ev, err = f.parser.Inflate(ev, f.max)
			f.checkMemory()
			if err != nil {
				return err
			}
			if len(ev.Payload) > f.max && f.max >= 0 || ev.Deflated {
				f.t.Fatalf("inflated to %d bytes with a limit of %d, deflated: %v", len(ev.Payload), f.max, ev.Deflated)
			}
		}
		if cap(ev.Payload) != len(ev.Payload) {
			f.t.Fatal("appending to a payload would overwrite what follows it")
		}
		f.events = append(f.events, got{ev.Op, string(ev.Payload)})
	}
}

// checkMemory fails if a buffer is larger than the limit, rounded up as the pool does.
func (f *feeder) checkMemory() {
	f.t.Helper()
	if f.max < 0 {
		return
	}
	limit := max(f.max, 1<<minBufferBits)
	if f.parser.flags&takesDeflated != 0 {
		limit = max(maxDeflated(f.max), 1<<minBufferBits)
	}
	if limit < maxPooled {
		limit = 1 << bits.Len(uint(limit-1))
	}
	for _, b := range []*buffer{f.parser.buf, f.parser.spent} {
		if b != nil && cap(b.b) > limit {
			f.t.Fatalf("a buffer of %d bytes with a limit of %d", cap(b.b), f.max)
		}
	}
	if b := f.parser.control; b != nil && cap(b.b) > 1<<minBufferBits {
		f.t.Fatalf("a control buffer of %d bytes", cap(b.b))
	}
}

// parse feeds stream in reads of the given sizes, the last one repeated; none: all at once.
func parse(t testing.TB, stream []byte, limit int, reads ...int) ([]got, error) {
	t.Helper()
	f := feeder{t: t, max: limit}
	defer f.parser.Release()
	for len(stream) > 0 {
		n := len(stream)
		if len(reads) > 0 {
			n = min(max(reads[0], 1), n)
			if len(reads) > 1 {
				reads = reads[1:]
			}
		}
		if err := f.feed(stream[:n]); err != nil {
			return f.events, err
		}
		stream = stream[n:]
	}
	return f.events, nil
}
