package loop

import (
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestSilentSocketsArePingedAndThenEnded(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Ping: 3 * time.Second, Idle: 8 * time.Second})
		talks, answers, silent := r.dial("", false), r.dial("", false), r.dial("", false)
		hear := func(c *client) { // once the answer is here, the loop has noted it
			c.send(ws.OpText, "x")
			c.want("ack x")
		}
		for range 2 {
			r.tick(2)
			hear(talks)
		}
		// 4 s: what was silent has a ping, once.
		for _, c := range []*client{answers, silent} {
			if f := c.next(); f.Header.OpCode != ws.OpPing {
				t.Fatalf("got %v %q, want a ping", f.Header.OpCode, f.Payload)
			}
		}
		answers.send(ws.OpPong, "")
		hear(answers)
		r.tick(2)
		hear(talks)
		r.tick(2) // 8 s
		silent.wantClose(1001)
		hear(talks)
		if f := answers.next(); f.Header.OpCode != ws.OpPing {
			t.Fatalf("got %v %q, want the second ping", f.Header.OpCode, f.Payload)
		}
		hear(answers)
		if n := r.closed(Idle); n != 1 {
			t.Errorf("outcome idle counts %d, want 1", n)
		}
	})
}

func TestTheSweepVisitsEverySocketInTime(t *testing.T) {
	r := newRig(t, Config{Loops: 1, Ping: 80 * time.Second, Idle: 200 * time.Second})
	var cs []*client
	for range 37 {
		cs = append(cs, r.dial("", false))
	}
	r.tick(80)
	pinged := 0
	count := func() {
		pinged = 0
		for _, c := range cs {
			if c.s.pinged {
				pinged++
			}
		}
	}
	r.on(cs[0].s, count)
	if pinged == len(cs) {
		t.Error("all were visited in the same second")
	}
	r.tick(r.g.cfg.sweepSeconds())
	if r.on(cs[0].s, count); pinged != len(cs) {
		t.Errorf("%d of %d are pinged a round after they fell silent", pinged, len(cs))
	}
	r.tick(120)
	r.eventually("all are idle", func() bool { return r.closed(Idle) == uint64(len(cs)) })
}

func TestASocketEndsWhenItsTimeIsOver(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1})
		expire := func(c *client, d time.Duration) {
			r.on(c.s, func() { c.s.Expire(r.g.began.Add(d)) })
		}
		over, renewed, never, far := r.dial("", false), r.dial("", false), r.dial("", false), r.dial("", false)
		for _, c := range []*client{over, renewed, never} {
			expire(c, 5*time.Second)
		}
		r.tick(3)
		expire(renewed, 10*time.Second)
		r.on(never.s, func() { never.s.Expire(time.Time{}) })
		// Further than the clock's 32 bits of seconds.
		expire(far, (1<<32+2)*time.Second)
		r.tick(3)
		over.wantClose(1008)
		r.tick(3)
		if n := r.closed(Expired); n != 1 {
			t.Fatalf("%d sockets have expired, want 1", n)
		}
		r.tick(3)
		renewed.wantClose(1008)
		r.tick(100)
		for _, c := range []*client{never, far} {
			c.next() // a ping: it is open
		}
		r.on(over.s, func() {
			for range 1000 { // the same token again and again
				far.s.Expire(r.g.began.Add(time.Hour))
			}
			if n := len(r.g.Loops()[0].due[far.s.expires]); n != 1 {
				t.Errorf("the socket is due %d times, want once", n)
			}
		})
	})
}

func TestNegativeLimitsAreNone(t *testing.T) {
	c := Config{MaxMessage: -1, MaxHeader: -1, MaxSockets: -1, SlowLimit: -1, HandshakeTimeout: -1, Ping: -1, Idle: -1}
	transports(t, func(t *testing.T, tr Transport) {
		c := c
		c.Transport = tr
		r := newRig(t, c)
		p := r.dial("room", false)
		r.tick(1000)
		p.send(ws.OpText, numbered(1, 100_000))
		p.want("ack " + numbered(1, 100_000))
	})
}

func TestWrongConfigurationsAreRefused(t *testing.T) {
	for _, c := range []Config{{Loops: -1}, {Loops: 256}, {Transport: "carrier pigeon"}} {
		if _, err := New(c, testDoor{}); err == nil {
			t.Errorf("New(%+v) gives no error", c)
		}
	}
}
