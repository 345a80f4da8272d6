package loop

import (
	"net"
	"testing"
	"time"
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
					is = len(l.deaf) == 1
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
			r.onLoop(l, l.hearAgain)
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
				held := r.g.Held()
				l.doorTime = doorSlice
				l.handle(event{listener: true})
				if r.g.Held() != held {
					t.Error("accepted though the door's part of the tick is over")
				}
				l.shutDoor() // the rooms are quiet: only the next tick begins
				l.handle(event{listener: true})
				if r.g.Held() != held+1 {
					t.Error("not accepted in the next tick")
				}
			})
		})
	}
}
