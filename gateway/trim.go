package gateway

import (
	"runtime/debug"
	rt "runtime/metrics"
)

// trimmer gives memory back to the system after a burst: what sockets and messages leave behind would
// else be held until the next garbage collection, and a quiet instance has none for a long time.
type trimmer struct {
	samples   []rt.Sample
	allocated uint64 // bytes in all, at the last look
}

const (
	// quiet is what an instance without much to do allocates between two looks, in bytes.
	quiet = 256 << 10
	// waste is what is worth a garbage collection, in bytes; a tenth of the heap besides.
	waste = 1 << 20
)

func newTrimmer() *trimmer {
	return &trimmer{samples: []rt.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}}
}

// look is called now and then. It acts when there is waste and little has happened since the last look.
func (t *trimmer) look() {
	rt.Read(t.samples)
	n := func(i int) uint64 { return t.samples[i].Value.Uint64() }
	allocated, live, objects, free := n(0), n(1), n(2), n(3)
	busy := allocated-t.allocated > quiet
	t.allocated = allocated
	garbage := objects - min(live, objects) // or new and in use: that is not known
	if !busy && garbage+free > waste+objects/10 {
		debug.FreeOSMemory()
	}
}
