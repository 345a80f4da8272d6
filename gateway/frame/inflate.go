package frame

import (
	"bytes"
	"io"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/klauspost/compress/flate"
)

const (
	// window is how far back DEFLATE refers, in bytes (RFC 1951 §3.2.5).
	window = 32 << 10
	// maxStreams bounds the final blocks in one message, after each of which the window is copied.
	maxStreams = 16
)

// inflateTail follows a compressed payload: the empty block that its sender took off (RFC 7692 §7.2.2), and
// an empty final one, by which the end of the payload is told from a payload cut short.
const inflateTail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff"

// inflater is what inflating takes, about 45 KiB. It is shared through a pool.
type inflater struct {
	in    []byte // a payload and inflateTail
	src   bytes.Reader
	r     io.Reader // a flate reader of src
	probe [1]byte
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.r = flate.NewReader(&f.src)
	return f
}}

// Inflate returns the message of an event that is Deflated. It is a step of its own so that a client that sends
// too much can be refused before the work is done. Its payload, which is no longer than maxMessage (negative: no
// limit), is valid as that of the event was, and UTF-8 if Op is OpText. The error is an *[Error]; after it the
// parser can go on with what follows the message.
func (p *Parser) Inflate(ev Event, maxMessage int) (Event, error) {
	if maxMessage < 0 {
		maxMessage = math.MaxInt
	}
	f := inflaters.Get().(*inflater)
	out, fault := f.inflate(ev.Payload, maxMessage)
	f.free()
	if fault == nil && ev.Op == ws.OpText && !utf8.Valid(out.b) {
		fault = ErrTextNotUTF8
	}
	p.spent.free()
	p.spent = out
	if fault != nil {
		return Event{}, fault
	}
	out.fit()
	return Event{Op: ev.Op, Payload: out.b[:len(out.b):len(out.b)]}, nil
}

// inflate returns what payload holds, in a buffer that grows with it.
func (f *inflater) inflate(payload []byte, limit int) (out *buffer, fault *Error) {
	f.in = append(append(f.in[:0], payload...), inflateTail...)
	f.src.Reset(f.in)
	out = newBuffer(min(max(4*len(payload), 1), max(limit, 1), maxPooled))
	for range maxStreams {
		back := out.b[max(len(out.b)-window, 0):]
		if err := f.r.(flate.Resetter).Reset(&f.src, back); err != nil {
			return out, ErrCorrupt
		}
		if out, fault = f.stream(out, limit); fault != nil {
			return out, fault
		}
		if f.src.Len() == 0 {
			return out, nil
		}
		// A final block need not be the message's last (RFC 7692 §7.2.1).
	}
	return out, ErrCorrupt
}

// stream inflates up to and with the next final block.
func (f *inflater) stream(out *buffer, limit int) (*buffer, *Error) {
	for {
		if len(out.b) == cap(out.b) && len(out.b) < limit {
			out = out.grown(1, limit)
		}
		room := out.b[len(out.b):min(cap(out.b), limit)]
		full := len(room) == 0
		if full {
			room = f.probe[:] // to see whether there is more
		}
		n, err := f.r.Read(room)
		if n > 0 && full {
			return out, ErrMessageTooLarge
		}
		out.b = out.b[:len(out.b)+n]
		switch err {
		case nil:
		case io.EOF:
			return out, nil
		default:
			return out, ErrCorrupt
		}
	}
}

func (f *inflater) free() {
	f.src.Reset(nil)
	if cap(f.in) > 2*maxPooled {
		f.in = nil
	}
	inflaters.Put(f)
}

// maxDeflated bounds the payload of a compressed message whose content is within limit: what cannot be
// compressed grows a little, with the smallest buffers of zlib by an eighth.
func maxDeflated(limit int) int {
	if limit > math.MaxInt/2 {
		return math.MaxInt
	}
	return limit + limit/8 + 64
}
