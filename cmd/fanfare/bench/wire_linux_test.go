package bench

import (
	"bytes"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestDataCarriesItsStamp(t *testing.T) {
	for _, size := range []int{MinSize, 128, 4096} {
		data := newData(size)
		want := stamp{run: 0xdeadbeef, pub: 77, seq: 1 << 31, at: 1<<40 + 12345}
		want.put(data)
		if got, ok := readData(append(data, "}"...), newData(size)); !ok || got != want || len(data) != size {
			t.Errorf("size %d: read %+v, %v of %s", size, got, ok, data)
		}
	}
}

func TestAnyChangedByteOfDataIsNoticed(t *testing.T) {
	data := newData(128)
	stamp{run: 1, pub: 2, seq: 3, at: 4}.put(data)
	pattern := newData(128)
	for i := range data {
		for _, flip := range []byte{1, 0x10, 0x80} {
			data[i] ^= flip
			if s, ok := readData(data, pattern); ok {
				t.Errorf("byte %d changed by %#x: read as %+v", i, flip, s)
			}
			data[i] ^= flip
		}
		if _, ok := readData(data[:i], pattern); ok {
			t.Errorf("read from %d bytes", i)
		}
	}
}

func TestNextFrameFindsWholeFramesOnly(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte{'z'}, size)
		b := ws.MustCompileFrame(ws.NewTextFrame(payload))
		for _, cut := range []int{0, 1, 2, 3, 5, 9, len(b) - 1} {
			if cut < len(b) {
				if _, _, n, err := nextFrame(b[:cut], 1<<20); n != 0 || err != nil {
					t.Errorf("size %d cut to %d: length %d, %v", size, cut, n, err)
				}
			}
		}
		first, got, n, err := nextFrame(append(b, 0x81, 0x01), 1<<20)
		if first != finBit|opText || !bytes.Equal(got, payload) || n != len(b) || err != nil {
			t.Errorf("size %d: first %#x, %d bytes, length %d, %v", size, first, len(got), n, err)
		}
	}
	for _, bad := range [][]byte{
		{0xa1, 0x00}, // RSV2
		{0xd1, 0x00}, // RSV1, which is for loop.compressed to judge, and RSV3
		{0x81, 0x80}, // masked
		{0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		if _, _, _, err := nextFrame(bad, 1<<20); err == nil {
			t.Errorf("% x is accepted", bad)
		}
	}
}

func TestOurFramesAreReadByOthers(t *testing.T) {
	for _, size := range []int{0, 1, 9, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("fanfare"), size/7+1)[:size]
		frame := appendFrame(nil, opText, payload)
		op, got, err := readFrame(bytes.NewReader(frame))
		if err != nil || frame[1]&0x80 == 0 || op != ws.OpText || !bytes.Equal(got, payload) {
			t.Errorf("size %d: opcode %d, %d bytes, %v", size, op, len(got), err)
		}
	}
}

func TestMessagesArriveInAnyPieces(t *testing.T) {
	t.Parallel()
	pieces := 0
	s := &server{write: func(to *peer, m string) error {
		b := ws.MustCompileFrame(ws.NewPingFrame([]byte("in between")))
		if pieces++; pieces%2 == 0 { // fragmented, with a ping between the fragments
			b = append(ws.MustCompileFrame(ws.NewFrame(ws.OpText, false, []byte(m[:7]))), b...)
			b = append(b, ws.MustCompileFrame(ws.NewFrame(ws.OpContinuation, true, []byte(m[7:])))...)
		} else {
			b = append(b, ws.MustCompileFrame(ws.NewTextFrame([]byte(m)))...)
		}
		for len(b) > 0 { // TCP_NODELAY: each write is a segment of its own
			n := min(1+pieces%13, len(b))
			if _, err := to.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}}
	rep := mustRun(t, short(s.start(t).url))
	if err := rep.Faults(); err != nil || rep.Deliveries == 0 {
		t.Errorf("%d deliveries, faults: %v", rep.Deliveries, err)
	}
}

func TestQuantilesAreRightToOnePercent(t *testing.T) {
	var h, other histogram
	for v := int64(1); v <= 1_000_000; v++ {
		if v%2 == 0 {
			h.add(v)
		} else {
			other.add(v)
		}
	}
	h.merge(&other)
	for q, want := range map[float64]float64{0.5: 500_000, 0.99: 990_000, 0.999: 999_000, 1: 1_000_000} {
		if got := float64(h.quantile(q)); got < want*0.99 || got > want*1.01 {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	h.add(int64(200 * time.Hour))
	if h.quantile(1) != 200*time.Hour {
		t.Error("a very long time is not the maximum")
	}
	for v := int64(0); v < 5000; v++ {
		var one histogram
		one.add(v)
		if got := int64(one.quantile(0.5)); got != v {
			t.Fatalf("the only value %d is reported as %d", v, got)
		}
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -123: "-123"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
}
