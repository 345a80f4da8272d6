package loop

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

func TestTheDoorIsShutForAWhileWhenRoomsAreBusy(t *testing.T) {
	for _, tr := range []Transport{Auto, Epoll} {
		t.Run(string(tr), func(t *testing.T) {
			r := newRig(t, Config{Transport: tr, Loops: 1})
			l := r.g.Loops()[0]
			shut := func(sent time.Time, spent time.Duration) (is bool) {
				r.onLoop(l, func() {
					l.sentAt, l.doorTime = sent, spent
					l.shutDoor()
					is = l.doorShut
				})
				return is
			}
			if shut(time.Now().Add(-roomsBusy), patience) {
				t.Error("shut though the rooms are quiet")
			}
			if shut(time.Now(), doorSlice-1) {
				t.Error("shut though few arrive")
			}
			if !shut(time.Now(), patience) {
				t.Fatal("not shut though the rooms are busy")
			}
			conn, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for range 2 { // turns, in which it would be accepted
				r.onLoop(l, func() {})
			}
			if r.g.Held() != 0 {
				t.Error("accepted though the door is shut")
			}
			r.tick(1)
			if r.onLoop(l, func() {}); r.g.Held() != 0 {
				t.Error("accepted after a second though the door is shut")
			}
			r.onLoop(l, l.openDoor)
			r.upgrade(conn, "room")
		})
	}
}

func TestTheDoorOpensByItself(t *testing.T) {
	for _, tr := range []Transport{Auto, Epoll} {
		t.Run(string(tr), func(t *testing.T) {
			r := newRig(t, Config{Transport: tr, Loops: 1})
			l := r.g.Loops()[0]
			r.onLoop(l, func() {
				l.sentAt, l.doorTime = time.Now(), doorSlice
				l.shutDoor()
			})
			r.dial("room", false)
		})
	}
}

func TestTheDoorTakesAPartOfATickOnly(t *testing.T) {
	for _, tr := range []Transport{Auto, Epoll} {
		t.Run(string(tr), func(t *testing.T) {
			r := newRig(t, Config{Transport: tr, Loops: 1})
			member := r.dial("", false)
			l := member.s.loop
			r.on(member.s, func() {
				conn, err := net.Dial("tcp", r.addr)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { conn.Close() })
				l.doorTime = doorSlice
				l.handle(event{listener: true})
				if len(l.arrived) != 1 {
					t.Error("not accepted: the backlog could overflow")
				}
				if l.letIn(); len(l.arrived) != 1 {
					t.Error("let in though the door's part of the tick is over")
				}
				l.shutDoor() // the rooms are quiet: only the next tick begins
				if l.letIn(); len(l.arrived) != 0 {
					t.Error("not let in in the next tick")
				}
			})
		})
	}
}

// shutOut shuts the door until openDoor is called.
func (r *rig) shutOut(l *Loop) {
	r.onLoop(l, func() {
		l.sentAt, l.doorTime = time.Now(), time.Hour
		l.shutDoor()
	})
}

// silent opens a connection that says nothing, and waits until it is let in.
func (r *rig) silent(l *Loop) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	r.eventually("it is let in", func() (in bool) {
		r.onLoop(l, func() { in = r.g.Held() == 1 && len(l.arrived) == 0 })
		return in
	})
	return conn
}

// heldBack opens a connection that speaks only when the door is shut, and waits until it is held.
func (r *rig) heldBack(l *Loop, says string) net.Conn {
	r.t.Helper()
	conn := r.silent(l)
	r.shutOut(l)
	io.WriteString(conn, says)
	r.eventually("it waits before the door", func() (is bool) {
		r.onLoop(l, func() { is = len(l.spoken) == 1 })
		return is
	})
	return conn
}

func TestWhoSpeaksWhileTheDoorIsShutIsHeardLater(t *testing.T) {
	for _, tr := range []Transport{Auto, Epoll} {
		t.Run(string(tr), func(t *testing.T) {
			r := newRig(t, Config{Transport: tr, Loops: 1})
			l := r.g.Loops()[0]
			r.heldBack(l, "GET /http HTTP/1.1\r\n\r\n")
			r.tick(10) // beyond the time for a handshake, which the client kept
			events := -1
			r.onLoop(l, func() { events = l.poller.poll(l.events) })
			if events != 0 {
				t.Error("the poller reports one that waits: the loop would not sleep")
			}
			r.onLoop(l, l.openDoor)
			if passed := <-r.passed; passed.Close() != nil {
				t.Error("not passed on")
			}
		})
	}
}

func TestWhoWaitedBeforeTheDoorWithHalfAHandshakeIsRefused(t *testing.T) {
	r := newRig(t, Config{Transport: Auto, Loops: 1})
	l := r.g.Loops()[0]
	late := r.heldBack(l, "GET / HTTP/1.1\r\n")
	r.tick(10)
	r.onLoop(l, l.openDoor)
	if b, err := io.ReadAll(late); err != nil || string(b) != "refused 2" {
		t.Errorf("read %q, %v, want HandshakeTimeout", b, err)
	}
	late.Close()
	r.eventually("it is gone", func() bool { return r.g.Held() == 0 })

	inTime := r.heldBack(l, "GET /http HTTP/1.1\r\n")
	r.onLoop(l, l.openDoor)
	io.WriteString(inTime, "\r\n")
	(<-r.passed).Close()
}

func TestWhoWaitsBeforeTheDoorIsDroppedInTheEnd(t *testing.T) {
	for what, end := range map[string]func(*rig){
		"EndAll": func(r *rig) { r.g.EndAll(Drained) },
		"Close":  func(r *rig) { r.close() },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, Config{Transport: Auto, Loops: 1})
			l := r.g.Loops()[0]
			spoken := r.heldBack(l, "GET / HTTP/1.1\r\n")
			accepted, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			r.eventually("it is accepted", func() (is bool) {
				r.onLoop(l, func() {
					l.doorShut = false
					l.accept()
					l.doorShut = true
					is = len(l.arrived) == 1
				})
				return is
			})
			end(r)
			accepted.SetDeadline(time.Now().Add(patience))
			for _, c := range []net.Conn{spoken, accepted} {
				if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read %d bytes, %v, want the end", n, err)
				}
			}
			if r.g.Held() != 0 {
				t.Errorf("%d connections are held", r.g.Held())
			}
		})
	}
}

func TestAListenerThatFailedIsHeardAgain(t *testing.T) {
	r := newRig(t, Config{Transport: Auto, Loops: 1})
	l := r.g.Loops()[0]
	r.onLoop(l, func() { // as when descriptors are short
		l.fail("accepting", unix.EMFILE)
	})
	conn, err := net.Dial("tcp", r.addr) // into the backlog
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.onLoop(l, func() {
		if l.accept(); r.g.Held() != 0 {
			t.Error("it was accepted")
		}
	})
	r.tick(1)
	c := r.upgrade(conn, "")
	c.send(ws.OpText, "x")
	c.want("ack x")

	r.onLoop(l, func() { l.fail("accepting", unix.EMFILE) })
	r.g.StopAccepting()
	r.tick(1)
	r.onLoop(l, func() {
		if l.failed || len(l.listening) != 0 { // the descriptor is closed, and may be another's by now
			t.Error("a closed listener is heard again")
		}
	})
}

func TestAListenerIsHeededWhenTheDoorIsOpenAndNothingFailed(t *testing.T) {
	r := newRig(t, Config{Transport: Auto, Loops: 1})
	l := r.g.Loops()[0]
	r.shutOut(l)
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	unheeded := func(what string) {
		t.Helper()
		r.onLoop(l, func() {
			if l.poller.poll(l.events) != 0 {
				t.Errorf("the listener is watched %s", what)
			}
		})
	}
	r.onLoop(l, func() { l.fail("accepting", unix.EMFILE) })
	r.tick(1)
	unheeded("though the door is shut")
	r.onLoop(l, func() {
		l.fail("accepting", unix.EMFILE)
		l.openDoor()
	})
	unheeded("in the second in which it failed")
	r.tick(1)
	r.upgrade(conn, "")
}
