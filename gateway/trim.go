package gateway

import (
	"os"
	"runtime/debug"
	rt "runtime/metrics"
)

// trimmer keeps the garbage collector's share of an instance small, in CPU and in memory.
//
// It gives memory back to the system after a burst: what sockets and messages leave behind would else
// be held until the next collection, and a quiet instance has none for a long time. And while the
// live heap is small it lets more garbage come together than as much again: an instance with a
// thousand busy sockets would else collect some dozen times a second.
type trimmer struct {
	samples   []rt.Sample
	allocated uint64 // bytes in all, at the last look
	trimmed   uint64 // bytes in all, when memory last went back
	sockets   int    // then
	calm      int    // looks in a row without much to do
	again     int    // looks until it is to go back once more: 0: not
	tuned     bool   // the collector's pace is ours to set: GOGC and GOMEMLIMIT are not given
	percent   int    // that was set
}

const (
	// patience is how many looks in a row have to be calm before memory goes back: to have it again costs more than a
	// copy of what goes into it.
	patience = 4
	// settle is after how many looks loops have let go of their spare buffers, too.
	settle = 6
	// quiet is what an instance without much to do allocates between two looks, in bytes.
	quiet = 256 << 10
	// waste is what is worth a garbage collection, in bytes; a twentieth of the heap besides.
	waste = 512 << 10
	// young is how much garbage may come together whatever the live heap, in bytes. The runtime keeps tables for the largest heap
	// there was, for ever.
	young = 16 << 20
)

// newTrimmer gives back what starting took.
func newTrimmer() *trimmer {
	t := &trimmer{
		samples: []rt.Sample{
			{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
			{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		},
		tuned: os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "",
	}
	debug.FreeOSMemory()
	rt.Read(t.samples)
	t.allocated = t.samples[0].Value.Uint64()
	t.trimmed = t.allocated
	return t
}

// look is called now and then.
func (t *trimmer) look(sockets int) {
	rt.Read(t.samples)
	n := func(i int) uint64 { return t.samples[i].Value.Uint64() }
	allocated, live, objects, free := n(0), n(1), n(2), n(3)
	busy := allocated-t.allocated > quiet
	t.allocated = allocated
	if t.calm++; busy {
		t.calm = 0
	}
	if percent := pace(live); t.tuned && percent != t.percent {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
	// What is garbage is not known before it is collected; that there may be much is.
	much := waste + objects/20
	gone := max(t.sockets-sockets, sockets-t.sockets)
	first := allocated-t.trimmed > much || free > much || gone > 1000+t.sockets/10
	last := t.again == 1
	t.again = max(t.again-1, 0)
	if t.calm >= patience && (first || last) {
		debug.FreeOSMemory()
		t.trimmed, t.sockets = allocated, sockets
		if first {
			t.again = settle
		}
	}
}

// pace is GOGC for a live heap of so many bytes: at least 100, in steps of 100.
func pace(live uint64) int {
	return max(100, min(1600, int(young*100/max(live, 1))/100*100))
}
