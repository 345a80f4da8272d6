package loop

import "testing"

func TestSparesThatAreNotNeededGoBack(t *testing.T) {
	p := spares[byte]{first: 512}
	tick := func(n int) {
		var used [][]byte
		for range n {
			used = append(used, p.get())
		}
		for _, b := range used {
			p.put(b)
		}
	}
	tick(100)
	p.trim()
	tick(10)
	if len(p.slack) != 100 || p.bytes != 100*512 {
		t.Fatalf("%d spares of %d bytes, want 100 of 51,200", len(p.slack), p.bytes)
	}
	p.trim()
	if len(p.slack) != 10 || p.bytes != 10*512 {
		t.Errorf("%d spares of %d bytes are left where 10 were needed", len(p.slack), p.bytes)
	}
	if n := testing.AllocsPerRun(100, func() {
		b := p.get()
		p.put(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p.trim()
	p.trim()
	if len(p.slack) != 0 || p.bytes != 0 {
		t.Errorf("%d spares of %d bytes are left where none were needed", len(p.slack), p.bytes)
	}
}
