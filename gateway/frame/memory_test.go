package frame

import (
	"testing"
	"unsafe"

	"github.com/gobwas/ws"
)

func TestParserIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(Parser{}); size > 96 {
		t.Errorf("a Parser takes %d bytes; it is in every socket", size)
	}
}

func TestAWholeMessageIsHandedOutInPlace(t *testing.T) {
	data := join(client(true, text, "hello"), client(true, text, "next"))
	var p Parser
	ev, n, ok, err := p.Next(data, testLimit)
	if err != nil || !ok || n != 6+5 {
		t.Fatalf("n %d, ok %v, err %v", n, ok, err)
	}
	if &ev.Payload[0] != &data[6] {
		t.Error("the payload is not a part of data")
	}
	if _ = append(ev.Payload, '!'); data[n] != 0x81 {
		t.Error("appending to the payload overwrote the next frame")
	}
}

func TestWholeMessagesAllocateNothing(t *testing.T) {
	stream := join(client(true, text, "hello, κόσμε, this is a small message"), client(true, bin, "\xff"),
		client(true, ws.OpPing, "p"), client(false, text, ""), client(true, cont, "last"))
	data := make([]byte, len(stream))
	var p Parser
	events := 0
	allocs := testing.AllocsPerRun(100, func() {
		copy(data, stream)
		for rest := data; ; {
			_, n, ok, err := p.Next(rest, testLimit)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			events++
			rest = rest[n:]
		}
	})
	if allocs != 0 || events != 101*4 {
		t.Errorf("%v allocations, %d events", allocs, events)
	}
}

func TestRefusingAllocatesNothing(t *testing.T) {
	for _, stream := range [][]byte{declare(true, text, 1<<62), client(true, text, "\xff")} {
		data := make([]byte, len(stream))
		if allocs := testing.AllocsPerRun(100, func() {
			var p Parser
			copy(data, stream)
			if _, _, _, err := p.Next(data, testLimit); err == nil {
				t.Fatal("accepted")
			}
		}); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	}
}

func TestADeclaredLengthAllocatesNothing(t *testing.T) {
	const limit = 1 << 30
	for _, head := range [][]byte{declare(true, text, limit), declare(false, bin, limit)} {
		data := make([]byte, len(head))
		var p Parser
		if allocs := testing.AllocsPerRun(100, func() {
			p = Parser{}
			copy(data, head)
			if _, _, ok, err := p.Next(data, limit); ok || err != nil {
				t.Fatal(ok, err)
			}
		}); allocs != 0 || p.buf != nil || p.remain != limit {
			t.Errorf("%v allocations, %d bytes to come", allocs, p.remain)
		}
	}
}

func TestBuffersGrowWithWhatArrives(t *testing.T) {
	for _, fin := range []bool{true, false} {
		f := feeder{t: t, max: 1 << 30}
		if err := f.feed(declare(fin, bin, 300_000)); err != nil {
			t.Fatal(err)
		}
		grew, last := 0, 0
		for arrived := 500; arrived <= 299_500; arrived += 500 {
			if err := f.feed(make([]byte, 500)); err != nil {
				t.Fatal(err)
			}
			size := cap(f.parser.buf.b)
			if size > max(2*arrived, 1<<minBufferBits) && (size <= maxPooled || size > 4*arrived) || fin && size > 300_000 {
				t.Fatalf("%d bytes arrived, a buffer of %d", arrived, size)
			}
			if size != last {
				grew, last = grew+1, size
			}
		}
		if grew > 12 {
			t.Errorf("grew %d times", grew)
		}
		f.parser.Release()
	}
}

func TestEndlessEmptyFragmentsCostNothing(t *testing.T) {
	const fragments = 1000
	first, more := client(false, text, ""), client(false, cont, "")
	var stream []byte
	for range fragments {
		stream = append(stream, more...)
	}
	var p Parser
	if _, _, _, err := p.Next(first, testLimit); err != nil {
		t.Fatal(err)
	}
	if allocs := testing.AllocsPerRun(100, func() {
		if _, n, ok, err := p.Next(stream, testLimit); n != len(stream) || ok || err != nil {
			t.Fatal(n, ok, err)
		}
	}); allocs != 0 || p.buf != nil {
		t.Errorf("%v allocations", allocs)
	}
}

func TestAnIdleParserHoldsNoBuffer(t *testing.T) {
	f := feeder{t: t, max: testLimit}
	stream := join(client(true, ws.OpPing, "ping"), client(false, text, "a"), client(true, ws.OpPong, "pong"), client(true, cont, "b"))
	for i := range stream {
		if err := f.feed(stream[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.events) != 3 || f.parser.buf != nil || f.parser.control != nil || f.parser.spent != nil {
		t.Errorf("%d events, parser %+v", len(f.events), f.parser)
	}
}

func TestReleaseMayBeCalledAtAnyTime(t *testing.T) {
	stream := join(client(false, text, "some"), client(true, ws.OpPing, "ping"), client(true, cont, "thing"))
	for n := range len(stream) + 1 {
		f := feeder{t: t, max: testLimit}
		for _, b := range stream[:n] {
			if err := f.feed([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		f.parser.Release()
		f.parser.Release()
		if f.parser != (Parser{}) {
			t.Fatalf("after %d bytes: %+v", n, f.parser)
		}
	}
}

func TestAPayloadToKeepHasLittleToSpare(t *testing.T) {
	for _, size := range []int{Reused + 1, 70_000, 200_000} {
		var p Parser
		stream := join(client(false, bin, string(make([]byte, size-10))), client(true, cont, "0123456789"))
		for whole := false; !whole; { // in the reads that a loop makes
			read := stream[:min(len(stream), 64<<10)]
			_, n, ok, err := p.Next(read, 1<<30)
			if err != nil {
				t.Fatal(err)
			}
			stream, whole = stream[n:], ok
		}
		if b := p.spent.b; len(b) != size || cap(b) > size+size/4 {
			t.Errorf("%d of %d bytes in a buffer of %d", len(b), size, cap(b))
		}
	}
}
