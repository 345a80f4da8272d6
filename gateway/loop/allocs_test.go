package loop

import (
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// quiet is a handler that does nothing.
type quiet struct{ got int }

func (*quiet) Open(*Socket)                               {}
func (q *quiet) Message(_ *Socket, _ ws.OpCode, _ []byte) { q.got++ }
func (*quiet) Skipped(*Socket, string, pubsub.Position)   {}
func (*quiet) Closed(*Socket, Outcome)                    {}

func TestDeliveringAllocatesNothing(t *testing.T) {
	const members = 50
	r := newRig(t, Config{Loops: 1})
	var cs []*client
	for range members {
		cs = append(cs, r.dial("room", false))
	}
	for _, c := range cs {
		go func() {
			for buf := make([]byte, 4096); ; {
				if _, err := c.conn.Read(buf); err != nil {
					return
				}
			}
		}()
	}
	l := r.g.Loops()[0]
	b := &Broadcast{Room: "room", Position: pubsub.Position{Epoch: 1, Offset: 1}}
	b.Frames[0] = frame.AppendFrame(nil, ws.OpText, []byte(numbered(1, 128)))
	skipping := *b
	skipping.Skip = cs[0].s.ID()
	r.onLoop(l, func() {
		if n := testing.AllocsPerRun(200, func() {
			l.append(b)
			l.append(&skipping)
			l.append(b)
			l.flush()
		}); n != 0 {
			t.Errorf("3 messages to %d members: %v allocations, want 0", members, n)
		}
	})
	if got, want := l.Stats().Delivered.Load(), uint64(201*(3*members-1)); got != want {
		t.Errorf("%d delivered, want %d", got, want)
	}
}

func TestReceivingAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{Loops: 1})
	c := r.dial("", false)
	q := new(quiet)
	wire := ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(numbered(1, 128)))))
	data := make([]byte, len(wire))
	r.on(c.s, func() {
		c.s.handler = q
		if n := testing.AllocsPerRun(200, func() {
			copy(data, wire) // the parser unmasks in place
			c.s.received(data)
			copy(data, wire) // and in two reads
			c.s.received(data[:40])
			c.s.received(data[40:])
		}); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
	if q.got != 2*201 {
		t.Errorf("%d messages, want %d", q.got, 2*201)
	}
}

func TestAnsweringAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{Loops: 1})
	c := r.dial("", false)
	go func() {
		for buf := make([]byte, 4096); ; {
			if _, err := c.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	ack := frame.AppendFrame(nil, ws.OpText, []byte("ack"))
	r.on(c.s, func() {
		if n := testing.AllocsPerRun(200, func() {
			c.s.Send(ack)
			c.s.Send(ack)
			c.s.loop.flush()
		}); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
}
