package loop

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

func TestAStalledReaderDelaysNobody(t *testing.T) {
	for size, n := range map[int]int{4 << 10: 400, 64 << 10: 60} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			transports(t, func(t *testing.T, tr Transport) {
				r := newRig(t, Config{Transport: tr, Loops: 2, SlowLimit: 64 << 20})
				stalled := r.dial("room", true)
				others := []*client{r.dial("room", false), r.dial("room", false), r.dial("room", false)}
				for i := range n {
					r.post("room", numbered(i, size), uint64(i+1), 0)
					for _, c := range others {
						c.want(numbered(i, size)) // in step: a delay would be the test's
					}
				}
				r.on(stalled.s, func() {
					if !stalled.s.blocked {
						t.Error("the stalled reader was never behind")
					}
				})
				stalled.conn.(*net.TCPConn).SetReadBuffer(1 << 20)
				for i := range n { // and nothing is lost for it
					stalled.want(numbered(i, size))
				}
			})
		})
	}
}

func TestASlowMemberIsEndedAndTheLogsMemoryGivenBack(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 64 << 10})
		slow, other := r.dial("room", true), r.dial("room", false)
		n := 0
		for ; r.closed(Slow) == 0; n++ {
			r.post("room", numbered(n, 4<<10), uint64(n+1), 0)
			other.want(numbered(n, 4<<10))
			if n > 10_000 {
				t.Fatal("never too slow")
			}
		}
		got := 0
		for f := slow.next(); ; f = slow.next() {
			if f.Header.OpCode == ws.OpClose {
				if code, reason := ws.ParseCloseFrameData(f.Payload); code != 1013 || reason != "too slow" {
					t.Fatalf("closed with %d %q, want 1013", code, reason)
				}
				break
			}
			if string(f.Payload) != numbered(got, 4<<10) {
				t.Fatalf("message %d is %.20q", got, f.Payload)
			}
			got++
		}
		slow.wantEnd()
		if got >= n {
			t.Errorf("the slow member got all %d messages", n)
		}
		r.post("room", "after", 0, 0)
		other.want("after")
		r.onLoop(r.g.Loops()[0], func() {
			g := r.g.Loops()[0].rooms["room"].logs[0]
			if g.buf != nil || g.behind != 0 || len(g.members) != 1 {
				t.Errorf("the log holds %d bytes, %d behind, %d members; want 0, 0, 1", len(g.buf), g.behind, len(g.members))
			}
		})
		if n := r.g.Loops()[0].Stats().Slow.Load(); n != 1 {
			t.Errorf("slow counts %d, want 1", n)
		}
	})
}

func TestASlowMemberIsSkippedAhead(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 64 << 10, SlowSkip: true})
		slow, other := r.dial("room,quiet", true), r.dial("room", false)
		skipped := &r.g.Loops()[0].Stats().Skipped
		n := 0
		for ; skipped.Load() < 2; n++ {
			r.post("room", numbered(n, 10_000), uint64(n+1), 0)
			other.want(numbered(n, 10_000))
			if n > 10_000 {
				t.Fatal("never skipped")
			}
		}
		// Behind by less than the limit: no reason to leave anything out.
		r.post("quiet", "quiet", 1, 0)
		for end := n + 3; n < end; n++ {
			r.post("room", numbered(n, 10_000), uint64(n+1), 0)
		}
		gaps, quiet := 0, 0
		for want := 0; want < n; {
			switch text := string(slow.next().Payload); {
			case strings.HasPrefix(text, "gap "):
				top := 0
				fmt.Sscanf(text, "gap room %d", &top)
				if top <= want {
					t.Fatalf("%q after message %d", text, want)
				}
				gaps, want = gaps+1, top // offsets count from 1
			case text == "quiet":
				quiet++
			case text == numbered(want, 10_000):
				want++
			default:
				t.Fatalf("got %.20q, want message %d or a gap notice", text, want)
			}
		}
		if quiet == 0 {
			slow.want("quiet")
		}
		if gaps != 2 {
			t.Errorf("%d gap notices, want 2", gaps)
		}
		r.post("room", "live", 0, 0)
		slow.want("live")
		if r.closed(Slow) != 0 {
			t.Error("a socket was ended")
		}
	})
}

func TestWhatIsForOneSocketAloneIsBounded(t *testing.T) {
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprintf("skip=%v", skip), func(t *testing.T) {
			transports(t, func(t *testing.T, tr Transport) {
				r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 64 << 10, SlowSkip: skip})
				c := r.dial("", true)
				for i := 0; r.closed(Slow) == 0; i++ {
					r.on(c.s, func() {
						sendText(c.s, numbered(i, 4<<10))
						if len(c.s.out) > 128<<10 {
							t.Errorf("%d bytes are queued", len(c.s.out))
						}
					})
					if i > 10_000 || t.Failed() {
						t.Fatal("never too slow")
					}
				}
				f := c.next()
				for i := 0; f.Header.OpCode == ws.OpText; i, f = i+1, c.next() {
					if string(f.Payload) != numbered(i, 4<<10) {
						t.Fatalf("frame %d is %.20q", i, f.Payload)
					}
				}
				if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1013 {
					t.Fatalf("got %v %q, want close 1013", f.Header.OpCode, f.Payload)
				}
			})
		})
	}
}

// A member whose send fails counted as caught up; when it left, the log of one behind was freed.
func TestALostMemberDoesNotFreeTheLogOfOneBehind(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 64 << 20})
		behind, lost := r.dial("room,full", true), r.dial("room", false)
		n := r.midFrame(behind.s, "full", func() {
			l := lost.s.loop
			l.now("room", "first", 0)
			l.shutdownWrite(lost.s) // its next send fails
			l.now("room", "second", 0)
			if lost.s.state != dead {
				t.Error("the send did not fail")
			}
		})
		for i := range n {
			behind.want(big(i))
		}
		behind.want("first")
		behind.want("second")
	})
}

func TestAPingFloodIsBounded(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 64 << 10})
		c := r.dial("", true)
		ping := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte(strings.Repeat("p", 125)))))
		flood := []byte(strings.Repeat(string(ping), 500))
		c.deadline()
		for r.closed(Slow) == 0 {
			if _, err := c.conn.Write(flood); err != nil && r.closed(Slow) == 0 {
				t.Fatal(err)
			}
		}
	})
}

func TestManyAnswersToAReaderAreNoReasonToEndIt(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 8 << 10})
		c := r.dial("", false)
		ping := ws.MustCompileFrame(ws.MaskFrame(ws.NewPingFrame([]byte(strings.Repeat("p", 125)))))
		if _, err := c.conn.Write([]byte(strings.Repeat(string(ping), 400))); err != nil {
			t.Fatal(err)
		}
		for range 400 {
			if f := c.next(); f.Header.OpCode != ws.OpPong {
				t.Fatalf("got %v %q, want a pong", f.Header.OpCode, f.Payload)
			}
		}
	})
}
