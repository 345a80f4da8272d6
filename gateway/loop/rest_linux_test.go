package loop

import (
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestALoopThatIsBehindRests(t *testing.T) {
	const took = 2 * time.Millisecond
	for _, c := range []struct {
		name  string
		c     carried
		took  time.Duration
		since time.Duration
		rests bool
	}{
		{"one message a send, in time", carried{500, 500, 500 * 150}, took, 20 * time.Millisecond, false},
		{"a few at once, in time", carried{500, 2500, 2500 * 150}, took, 20 * time.Millisecond, false},
		{"one by one they would take longer than they had", carried{500, 2500, 2500 * 150}, took, 9 * time.Millisecond, true},
		{"after a rest, still as many", carried{500, 10_000, 10_000 * 150}, took, restTime + took, true},
		{"after a rest, fewer", carried{500, 3000, 3000 * 150}, took, restTime + took, false},
		{"large sends", carried{500, 2500, 500 * restBytes}, took, 3 * time.Millisecond, false},
		{"a short flush", carried{5, 50, 50 * 150}, restFrom / 2, restFrom, false},
	} {
		now := time.Now()
		l := &Loop{carried: c.c, sentAt: now.Add(-c.since)}
		l.pause(c.took, now)
		if got := !l.restUntil.IsZero(); got != c.rests {
			t.Errorf("%s: rests %v, want %v", c.name, got, c.rests)
		}
		if l.carried != (carried{}) || !l.sentAt.Equal(now) {
			t.Errorf("%s: the next flush does not begin anew", c.name)
		}
	}
}

func TestFlushesOfNothingDoNotCount(t *testing.T) {
	now := time.Now()
	l := &Loop{sentAt: now.Add(-20 * time.Millisecond)}
	l.pause(0, now.Add(-time.Millisecond)) // an ack's, say
	l.carried = carried{500, 1000, 1000 * 150}
	if l.pause(2*time.Millisecond, now); !l.restUntil.IsZero() {
		t.Error("two messages a send in 20 ms are reason to rest")
	}
}

func TestALoopThatRestsReads(t *testing.T) {
	for _, tr := range []Transport{Auto, Epoll} { // what a stream reads is in the inbox
		t.Run(string(tr), func(t *testing.T) {
			r := newRig(t, Config{Transport: tr, Loops: 1})
			c := r.dial("room", false)
			l := c.s.loop
			r.on(c.s, func() { l.restUntil = time.Now().Add(patience) })
			r.post("room", "hello", 1, 0)
			c.send(ws.OpText, "x")
			r.eventually("what the client sent is read", func() bool { return l.stats.Received.Load() == 1 })
			if n := l.stats.Delivered.Load(); n != 0 {
				t.Errorf("%d messages sent in a rest", n)
			}
			l.Call(func() { l.restUntil = time.Time{} })
			c.send(ws.OpText, "y") // wakes the loop
			c.want("ack x")
			got := []string{string(c.next().Payload), string(c.next().Payload)} // y may come before or after the rest's end
			slices.Sort(got)
			if !slices.Equal(got, []string{"ack y", "hello"}) {
				t.Errorf("got %q after the rest", got)
			}
		})
	}
}

func TestARestEnds(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1})
		c := r.dial("room", false)
		r.on(c.s, func() { c.s.loop.restUntil = time.Now().Add(restTime) })
		r.post("room", "hello", 1, 0)
		c.want("hello")
	})
}
