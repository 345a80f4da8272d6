package loop

import "testing"

func TestALargeFrameIsSharedAndNotWrittenTo(t *testing.T) {
	r := newRig(t, Config{Loops: 1})
	s := r.dial("room", false).s
	large := make([]byte, maxSpareSize+1, maxSpareSize+100)
	small := []byte{0x82, 1, 'x'}
	r.on(s, func() {
		l := s.loop
		l.append(&Broadcast{Room: "room", Frames: [Encodings][]byte{large}})
		g := s.members[0].log
		if &g.buf[0] != &large[0] {
			t.Error("it was copied")
		}
		l.append(&Broadcast{Room: "room", Frames: [Encodings][]byte{small}})
		if len(g.buf) != len(large)+len(small) || string(g.buf[len(large):]) != string(small) {
			t.Errorf("%d bytes in the log", len(g.buf))
		}
		for _, b := range large[:cap(large)][len(large):] {
			if b != 0 {
				t.Fatal("what came after it was written into it")
			}
		}
	})
}

func TestWhatABurstMadeLargeIsLetGo(t *testing.T) {
	r := newRig(t, Config{Loops: 1})
	l := r.g.Loops()[0]
	r.onLoop(l, func() {
		for range 1000 {
			l.Call(func() {})
		}
	})
	for range 4 { // both of the inbox's buffers have their turn
		r.onLoop(l, func() { l.letGo = true })
	}
	r.onLoop(l, func() {
		l.inbox.mu.Lock()
		defer l.inbox.mu.Unlock()
		if n := cap(l.taken) + cap(l.inbox.items); n > 100 {
			t.Errorf("room for %d items is kept", n)
		}
	})
}
