package bench

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"

	"github.com/klauspost/compress/flate"
)

// deflateOffer is what the sockets offer with Config.Compression (RFC 7692 §7): messages that do not depend
// on each other, so that no socket needs a window.
const deflateOffer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// agreedOnDeflate tells whether the answer to an upgrade takes the offer.
func agreedOnDeflate(head []byte) bool {
	head = bytes.ToLower(head)
	return bytes.Contains(head, []byte("\r\nsec-websocket-extensions:")) && bytes.Contains(head, []byte("server_no_context_takeover"))
}

// inflater inflates messages, and remembers the last: all members of a room get the same bytes, and the
// generator is to cost little. Owned by a loop.
type inflater struct {
	seed  maphash.Seed
	last  [1024]inflated // by hash
	limit int            // of what a message holds, in bytes

	in  []byte
	src bytes.Reader
	r   io.Reader
}

// inflated is a message that came compressed.
type inflated struct{ wire, plain []byte }

func newInflater(limit int) *inflater {
	f := &inflater{seed: maphash.MakeSeed(), limit: limit}
	f.r = flate.NewReader(&f.src)
	return f
}

var errBomb = errors.New("a compressed message holds more than the receive buffer")

// message is what a payload holds, valid until the next call.
func (f *inflater) message(payload []byte) ([]byte, error) {
	m := &f.last[maphash.Bytes(f.seed, payload)%uint64(len(f.last))]
	if m.plain != nil && bytes.Equal(m.wire, payload) {
		return m.plain, nil
	}
	// The empty block that was taken off, and a final one (RFC 7692 §7.2.2).
	f.in = append(append(f.in[:0], payload...), "\x00\x00\xff\xff\x01\x00\x00\xff\xff"...)
	f.src.Reset(f.in)
	if err := f.r.(flate.Resetter).Reset(&f.src, nil); err != nil {
		return nil, err
	}
	plain := bytes.NewBuffer(m.plain[:0])
	m.plain = nil
	n, err := io.Copy(plain, io.LimitReader(f.r, int64(f.limit)+1))
	switch {
	case err != nil:
		return nil, err
	case n > int64(f.limit):
		return nil, errBomb
	}
	m.wire, m.plain = append(m.wire[:0], payload...), plain.Bytes()
	return m.plain, nil
}

// compressed handles a frame with RSV1.
func (l *loop) compressed(s *socket, first byte, payload []byte) {
	if l.inflater == nil || first != finBit|rsv1Bit|opText {
		l.end(s, errRSV.Error())
		return
	}
	plain, err := l.inflater.message(payload)
	if err != nil {
		l.end(s, "inflating: "+err.Error())
		return
	}
	l.counts.compressed++
	l.message(s, plain)
}
