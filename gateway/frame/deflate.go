package frame

import (
	"errors"
	"sync"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

// permessage-deflate (RFC 7692) without context takeover: every message is compressed by itself, so the
// same bytes serve all who negotiated it, and nothing is kept a socket.

// minDeflated is the shortest payload that is compressed, in bytes. What comes out below it is as long,
// or saves less than the few bytes that could spare anybody a packet.
const minDeflated = 128

// tailLen is the empty block 00 00 ff ff at the end of a flushed stream, which is not sent (RFC 7692 §7.2.1).
const tailLen = 4

// deflated takes what a compressor writes, up to a limit.
type deflated struct {
	b     []byte
	limit int
}

var errNotWorthIt = errors.New("frame: no smaller when compressed")

func (d *deflated) Write(p []byte) (int, error) {
	if len(d.b)+len(p) > d.limit {
		return 0, errNotWorthIt
	}
	d.b = append(d.b, p...)
	return len(p), nil
}

var deflatedPool = sync.Pool{New: func() any { return new(deflated) }}

// Deflate returns a server's whole, uncompressed data frame with its payload compressed. Where that would be
// no smaller it returns f itself, which RFC 7692 §6.1 allows for each message. f stays as it is.
func Deflate(f []byte) []byte {
	payload := f[serverHeaderLen(f):]
	if len(payload) < minDeflated {
		return f
	}
	d := deflatedPool.Get().(*deflated)
	defer deflatedPool.Put(d)
	d.b, d.limit = d.b[:0], len(payload)-1+tailLen
	// Flushed, not ended: what it wrote ends with an empty block.
	err := flate.StatelessDeflate(d, payload, false, nil)
	if n := len(d.b) - tailLen; err == nil && n > 0 {
		out := appendHeader(make([]byte, 0, HeaderSize(n)+n), ws.OpCode(f[0]&opBits), 0, n)
		out[0] |= rsv1Bit
		f = append(out, d.b[:n]...)
	}
	if cap(d.b) > maxPooled {
		d.b = nil
	}
	return f
}

// serverHeaderLen is the length of the header of an unmasked frame.
func serverHeaderLen(f []byte) int { return headerLen(f[1]) - len(Parser{}.mask) }
