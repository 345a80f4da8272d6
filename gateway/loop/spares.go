package loop

import "unsafe"

// spares keeps slices whose contents are done with for the next tick: a tick needs as many as there
// are rooms with messages and sockets with answers.
type spares[T any] struct {
	first int // capacity of a new one
	slack [][]T
	bytes int // of all in slack
	idle  int // of slack, so many were not needed since the last trim
}

const (
	maxSpareSize  = 64 << 10 // of one, in bytes; a log's memory beyond may be a message's own
	maxSpareBytes = 1 << 20  // of all
)

func (p *spares[T]) get() []T {
	n := len(p.slack)
	if n == 0 {
		return make([]T, 0, p.first)
	}
	b := p.slack[n-1]
	p.slack[n-1] = nil
	p.slack = p.slack[:n-1]
	p.bytes -= size(b)
	p.idle = min(p.idle, n-1)
	return b
}

// trim lets go of what was not needed since it was last called.
func (p *spares[T]) trim() {
	for range p.idle {
		p.get()
	}
	p.idle = len(p.slack)
}

func (p *spares[T]) put(b []T) {
	if n := size(b); n > 0 && n <= maxSpareSize && p.bytes+n <= maxSpareBytes {
		p.slack = append(p.slack, b[:0])
		p.bytes += n
	}
}

func size[T any](b []T) int {
	var one T
	return cap(b) * int(unsafe.Sizeof(one))
}
