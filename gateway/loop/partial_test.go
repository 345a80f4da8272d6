package loop

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/frame"
)

// Through several rooms, with a narrow reader, every frame arrives whole and once, in the order of
// its room, with answers and pongs between them, and without those that the socket itself sent.
func TestPartialSendsKeepFramesWhole(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 1 << 30})
		rooms := []string{"red", "green", "blue"}
		c := r.dial(strings.Join(rooms, ","), true)
		const each, asks = 90, 200
		size := func(room string, i int) int { // of any length class, now and then beyond all buffers
			rnd := rand.New(rand.NewPCG(uint64(len(room)), uint64(i)))
			return []int{10, 126, 3000, 30_000, 130_000}[rnd.IntN(5)] + rnd.IntN(50)
		}
		own := func(i int) bool { return i%3 == 1 }
		short := make(chan bool, 1)
		go func() {
			for i := range asks {
				op := ws.OpText
				if i%4 == 3 {
					op = ws.OpPing
				}
				ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewFrame(op, true, []byte(strconv.Itoa(i)))))
			}
		}()
		go func() {
			was := false
			for i := range each {
				for _, room := range rooms {
					skip := uint64(0)
					if own(i) {
						skip = c.s.ID()
					}
					r.post(room, room+" "+numbered(i, size(room, i)), uint64(i+1), skip)
				}
				done := make(chan bool)
				c.s.loop.Call(func() { done <- c.s.mid != nil })
				was = <-done || was
			}
			short <- was
		}()
		next := map[string]int{}
		for answers := 0; answers < asks || len(next) < 3 || next["red"]+next["green"]+next["blue"] < 3*each; {
			f := c.next()
			room, text, _ := strings.Cut(string(f.Payload), " ")
			switch {
			case f.Header.OpCode == ws.OpPong && room == strconv.Itoa(answers), string(f.Payload) == "ack "+strconv.Itoa(answers):
				answers++
			case text == numbered(next[room], size(room, next[room])):
				for next[room]++; own(next[room]); next[room]++ {
				}
			default:
				t.Fatalf("got %v of %d bytes, %.30q; next are %v and answer %d", f.Header.OpCode, len(f.Payload), f.Payload, next, answers)
			}
		}
		if !<-short {
			t.Error("no send ended within a frame")
		}
		r.onLoop(c.s.loop, func() {
			for _, m := range c.s.members {
				if m.log.buf != nil || m.log.behind != 0 {
					t.Errorf("room %s holds %d bytes, %d behind", m.log.room.name, len(m.log.buf), m.log.behind)
				}
			}
		})
	})
}

func TestLeavingWithinAFrameFinishesIt(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 1 << 30})
		c := r.dial("one,two", true)
		n := r.midFrame(c.s, "one", func() {
			c.s.loop.now("one", "one too many", 0)
			c.s.loop.now("two", "two", 0)
			sendText(c.s, "before")
			if !c.s.Leave("one") || c.s.Leave("one") || c.s.Member("one") || c.s.Rooms() != 1 {
				t.Error("Leave does not say what was")
			}
			sendText(c.s, "left")
			c.s.loop.now("one", "to nobody", 0)
		})
		for i := range n {
			c.want(big(i))
		}
		c.want("before")
		c.want("left")
		c.want("two")
		r.on(c.s, func() { // the log and its room went with the last member
			if c.s.loop.rooms["one"] != nil || c.s.loop.Stats().Rooms.Load() != 1 || c.s.loop.Stats().Members.Load() != 1 {
				t.Error("the room is still there")
			}
		})
	})
}

func TestEndingWithinAFrameFinishesIt(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 1 << 30})
		c := r.dial("one,two", true)
		n := r.midFrame(c.s, "one", func() { c.s.End(Drained) })
		for i := range n {
			c.want(big(i))
		}
		c.wantClose(1012)
	})
}

func TestSkippingWithinAFrameFinishesIt(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 100_000, SlowSkip: true})
		c := r.dial("one", true)
		n := r.midFrame(c.s, "one", func() {
			for i := range 3 {
				c.s.loop.now("one", big(i), uint64(i))
			}
			c.s.loop.now("one", "live", 3)
		})
		for i := range n { // the one half sent included
			c.want(big(i))
		}
		gaps := 0
		for i := 0; i < 3; i++ {
			f := c.next()
			if _, err := fmt.Sscanf(string(f.Payload), "gap one %d", &i); err == nil {
				gaps++
			} else if string(f.Payload) != big(i) {
				t.Fatalf("got %.20q, want message %d or a gap notice", f.Payload, i)
			}
		}
		if gaps == 0 {
			t.Error("nothing was left out")
		}
		c.want("live")
	})
}

// The sender of a message steps over it wherever the short sends fall.
func TestTheSenderIsSkippedAlsoWhenBehind(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1, SlowLimit: 1 << 30})
		a, b := r.dial("room", true), r.dial("room", false)
		post := func(text string, skip uint64) {
			m := &Broadcast{Room: "room", Skip: skip}
			m.Frames[0] = frame.AppendFrame(nil, ws.OpText, []byte(text))
			a.s.loop.append(m)
		}
		n := r.midFrame(a.s, "room", func() {
			for i := range 10 {
				post(fmt.Sprint("from a ", i), a.s.ID())
				post(fmt.Sprint("from b ", i), b.s.ID())
				post(fmt.Sprint("from c ", i), 0)
			}
		})
		for _, c := range []*client{a, b} {
			for i := range n {
				c.want(big(i))
			}
		}
		for i := range 10 {
			a.want(fmt.Sprint("from b ", i))
			a.want(fmt.Sprint("from c ", i))
			b.want(fmt.Sprint("from a ", i))
			b.want(fmt.Sprint("from c ", i))
		}
	})
}

// A log that one member is behind in does not keep what all have.
func TestALogIsTrimmedToItsSlowestMember(t *testing.T) {
	r := newRig(t, Config{Loops: 1, SlowLimit: 1 << 20})
	c := r.dial("room", false)
	r.on(c.s, func() {
		l := c.s.loop
		g := l.rooms["room"].logs[0]
		b := &Broadcast{Room: "room"}
		b.Frames[0] = frame.AppendFrame(nil, ws.OpText, []byte(numbered(0, 10_000)))
		c.s.blocked = true // as if it did not read
		for range 90 {
			l.append(b)
			l.flush()
		}
		m := &g.members[0]
		m.cursor += 80 * uint64(len(b.Frames[0])) // as if it had read most
		m.cursor += 17                            // and part of one more
		place := m.cursor
		l.append(b)
		l.flush()
		if len(g.entries) != 11 || len(g.buf) != 11*len(b.Frames[0]) || g.start(0) != place-17 || m.cursor != place {
			t.Errorf("%d entries, %d bytes from %d on are kept; the cursor is %d, was %d", len(g.entries), len(g.buf), g.base(), m.cursor, place)
		}
		m.cursor -= 17
		c.s.blocked = false
	})
	r.post("room", "end", 0, 0)
	for range 11 {
		c.want(numbered(0, 10_000))
	}
	c.want("end")
}
