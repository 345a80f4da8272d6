package bench

import (
	"testing"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

// readyLoop is a loop with one member, and a function that makes the frame of the next message to it.
func readyLoop(tb testing.TB) (*loop, *socket, func() []byte) {
	r, err := newRun(Config{Sockets: 1, Rate: -1}.withDefaults(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.closeLoops)
	l := r.loops[0]
	s := &l.sockets[0]
	s.state, s.member = open, true
	l.addMember(0, 1)
	l.phase = measuring
	text := append([]byte(`{"type":"message","room":"bench-0","from":"u","offset":1,"data":`), newData(r.Size)...)
	frame := ws.MustCompileFrame(ws.NewTextFrame(append(text, '}')))
	data := frame[len(frame)-1-r.Size:]
	seq := uint32(0)
	return l, s, func() []byte {
		seq++
		stamp{run: r.id, seq: seq, at: 1}.put(data)
		return frame
	}
}

func TestAMessageCostsNoAllocation(t *testing.T) {
	l, s, next := readyLoop(t)
	allocs := testing.AllocsPerRun(1000, func() {
		if rest := l.consume(s, next()); len(rest) > 0 {
			t.Fatal("not all is consumed")
		}
	})
	if allocs != 0 || l.counts.delivered != 1001 || l.counts.lost != 0 {
		t.Errorf("%g allocations, %+v", allocs, l.counts)
	}
}

func BenchmarkMessage(b *testing.B) {
	l, s, next := readyLoop(b)
	for b.Loop() {
		l.consume(s, next())
	}
}

func TestMoreSourceAddressesAreUsedWhenPortsRunOut(t *testing.T) {
	t.Parallel()
	tg, err := newTarget((&server{}).start(t).url, "", false)
	if err != nil {
		t.Fatal(err)
	}
	for nth, want := range map[int][4]byte{0: {127, 0, 0, 1}, sourceShare: {127, 0, 0, 2}, 3*sourceShare + 1: {127, 0, 0, 4}} {
		fd, err := tg.dial(nth)
		if err != nil {
			t.Fatal(err)
		}
		sa, err := unix.Getsockname(fd)
		if in, ok := sa.(*unix.SockaddrInet4); err != nil || !ok || in.Addr != want {
			t.Errorf("socket %d comes from %+v (%v), want %v", nth, sa, err, want)
		}
		_ = unix.Close(fd)
	}
}
