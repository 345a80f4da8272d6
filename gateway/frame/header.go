package frame

import (
	"encoding/binary"

	"github.com/gobwas/ws"
)

// Bits of a header's first two bytes (RFC 6455 §5.2).
const (
	finBit     = 0x80
	rsvBits    = 0x70
	rsv1Bit    = 0x40
	opBits     = 0x0f
	maskBit    = 0x80
	lengthBits = 0x7f

	length16 = 126 // lengthBits that announce a length of 2 bytes
	length64 = 127 // and of 8
)

// readHeader takes the next bytes of a header, says how many it used, and whether the header is whole
// and the payload is next. It sets failed as soon as the bytes so far show a fault.
func (p *Parser) readHeader(data []byte, maxMessage int) (used int, whole bool) {
	if p.headLen == 0 && len(data) >= ws.MinHeaderSize {
		size := p.checkStart(data[0], data[1])
		if p.failed != nil {
			return ws.MinHeaderSize, false
		}
		if len(data) >= size {
			p.beginFrame(data[:size], maxMessage)
			return size, p.failed == nil
		}
	}
	return p.collectHeader(data, maxMessage)
}

// collectHeader is readHeader for a header that came in parts.
func (p *Parser) collectHeader(data []byte, maxMessage int) (used int, whole bool) {
	size := ws.MinHeaderSize
	if p.headLen >= ws.MinHeaderSize {
		size = headerLen(p.head[1])
	}
	for int(p.headLen) < size {
		if used == len(data) {
			return used, false
		}
		p.head[p.headLen] = data[used]
		p.headLen++
		used++
		if p.headLen == ws.MinHeaderSize {
			size = p.checkStart(p.head[0], p.head[1])
			if p.failed != nil {
				return used, false
			}
		}
	}
	p.headLen = 0
	p.beginFrame(p.head[:size], maxMessage)
	return used, p.failed == nil
}

// headerLen is the length of a client's header with the given second byte.
func headerLen(second byte) int {
	switch second & lengthBits {
	case length16:
		return 2 + 2 + 4
	case length64:
		return 2 + 8 + 4
	}
	return 2 + 4
}

// checkStart checks a header's first two bytes and returns the header's length, or sets failed.
//
// ws.CheckHeader makes nearly the same checks, but lets RSV2 and RSV3 pass once an extension is
// negotiated, and wants the whole header.
func (p *Parser) checkStart(first, second byte) int {
	op := ws.OpCode(first & opBits)
	reserved := first & rsvBits
	if reserved == rsv1Bit && p.flags&takesDeflated != 0 && (op == ws.OpText || op == ws.OpBinary) {
		reserved = 0 // the message is compressed (RFC 7692 §6)
	}
	switch {
	case reserved != 0:
		p.failed = ErrReservedBits
	case op.IsReserved():
		p.failed = ErrReservedOpCode
	case second&maskBit == 0:
		p.failed = ErrNotMasked
	case op.IsControl():
		if first&finBit == 0 {
			p.failed = ErrControlFragmented
		} else if second&lengthBits > ws.MaxControlFramePayloadSize {
			p.failed = ErrControlTooLong
		}
	case op == ws.OpContinuation && p.messageOp == ws.OpContinuation:
		p.failed = ErrNoMessage
	case op != ws.OpContinuation && p.messageOp != ws.OpContinuation:
		p.failed = ErrMessageUnfinished
	}
	return headerLen(second)
}

// beginFrame sets the frame's fields from a whole header that passed checkStart, or sets failed.
func (p *Parser) beginFrame(head []byte, maxMessage int) {
	var length uint64
	switch n := head[1] & lengthBits; n {
	// RFC 6455 §5.2: "the minimal number of bytes MUST be used to encode the length". The RFC does not
	// say what a receiver does about it; Autobahn and netty refuse it, and so do we.
	case length16:
		length = uint64(binary.BigEndian.Uint16(head[2:]))
		if length < length16 {
			p.failed = ErrLengthNotMinimal
		}
	case length64:
		length = binary.BigEndian.Uint64(head[2:])
		if length>>63 != 0 {
			p.failed = ErrLengthHighBit
		} else if length>>16 == 0 {
			p.failed = ErrLengthNotMinimal
		}
	default:
		length = uint64(n)
	}
	if p.failed != nil {
		return
	}

	p.op = ws.OpCode(head[0] & opBits)
	p.flags &^= finFlag
	if head[0]&finBit != 0 {
		p.flags |= finFlag
	}
	if p.op.IsData() {
		if p.op != ws.OpContinuation {
			p.messageOp = p.op
			if head[0]&rsv1Bit != 0 {
				p.flags |= deflatedFlag
			}
		}
		// Nothing is allocated for a length that is only declared.
		if int64(length) > int64(p.limit(maxMessage))-int64(p.kept()) {
			p.failed = ErrMessageTooLarge
			return
		}
	}
	p.remain = int64(length)
	p.mask = [4]byte(head[len(head)-4:])
	p.maskPos = 0
}
