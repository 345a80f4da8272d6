package frame

import (
	"math/bits"
	"sync"
)

// Pooled buffers have a power of two between these bounds as their capacity. What must be larger is
// made to measure and left to the garbage collector: it is never used again, see [Reused].
const (
	minBufferBits = 7  // 128 bytes, which holds any control payload (RFC 6455 §5.5)
	maxBufferBits = 16 // 64 KiB, the default message limit
	maxPooled     = 1 << maxBufferBits
)

// Reused is how long a payload may be that is used again once it was dealt with, in bytes, as long as what Next is
// given is not longer. A longer one is its receiver's to keep.
const Reused = maxPooled

// A buffer collects a payload that came in parts. It is shared through a pool: one owner at a time.
type buffer struct{ b []byte }

// pools[i] holds empty buffers with a capacity of 1<<(minBufferBits+i).
var pools [maxBufferBits - minBufferBits + 1]sync.Pool

// newBuffer returns an empty buffer for at least size bytes. size must be positive.
func newBuffer(size int) *buffer {
	if size > maxPooled {
		return &buffer{make([]byte, 0, size)}
	}
	class := max(bits.Len(uint(size-1)), minBufferBits) - minBufferBits
	if f, ok := pools[class].Get().(*buffer); ok {
		return f
	}
	return &buffer{make([]byte, 0, 1<<(minBufferBits+class))}
}

// free gives f back; nil is fine. Slices of f.b must not be used any more.
func (f *buffer) free() {
	if f == nil || cap(f.b) > maxPooled {
		return
	}
	f.b = f.b[:0]
	pools[bits.Len(uint(cap(f.b)))-1-minBufferBits].Put(f)
}

// fit has no more than a quarter of its size to spare, if it is its receiver's to keep.
func (f *buffer) fit() {
	if n := len(f.b); n > Reused && cap(f.b) > n+n/4 {
		f.b = append(make([]byte, 0, n), f.b...)
	}
}

// grown returns a buffer with the content of f, which may be nil, and room for n more bytes, and frees
// f if it is another one. bound is what the buffer may have to hold in the end: the capacity at least
// doubles to keep copying cheap, and grows fourfold beyond the pooled sizes, where new memory is what costs
// most, but never past bound.
func (f *buffer) grown(n, bound int) *buffer {
	if f == nil {
		return newBuffer(n)
	}
	need := len(f.b) + n
	if need <= cap(f.b) {
		return f
	}
	if need > maxPooled {
		need = max(need, min(4*cap(f.b), bound))
	}
	g := newBuffer(need) // a pooled size is the next power of two: it doubles by itself
	g.b = append(g.b, f.b...)
	f.free()
	return g
}
