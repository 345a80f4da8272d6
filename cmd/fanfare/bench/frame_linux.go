package bench

import (
	"encoding/binary"
	"errors"
	"math"
)

// Opcodes, RFC 6455 §5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA

	finBit  = 0x80
	rsvBits = 0x70
	rsv1Bit = 0x40 // the message is compressed (RFC 7692)
)

var (
	errMasked  = errors.New("the server masked a frame (RFC 6455 §5.1)")
	errRSV     = errors.New("the server set a reserved bit (RFC 6455 §5.2)")
	errTooLong = errors.New("the server sent a frame longer than the receive buffer")
)

// nextFrame finds the frame at the start of b: its first byte, its payload within
// b, and its length with header; length 0 means that b does not hold all of it.
func nextFrame(b []byte, limit int) (first byte, payload []byte, length int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&(rsvBits&^rsv1Bit) != 0 {
		return 0, nil, 0, errRSV
	}
	if b[1]&0x80 != 0 {
		return 0, nil, 0, errMasked
	}
	length = frameLength(b)
	switch {
	case length > limit:
		return 0, nil, 0, errTooLong
	case length == 0 || len(b) < length:
		return 0, nil, 0, nil
	}
	head := 2
	switch b[1] {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	return b[0], b[head:length], length, nil
}

// frameLength is the length, header included, of an unmasked frame that begins with b; 0: b is too short to tell.
func frameLength(b []byte) int {
	switch {
	case len(b) < 2:
	case b[1] < 126:
		return 2 + int(b[1])
	case b[1] == 126 && len(b) >= 4:
		return 4 + int(binary.BigEndian.Uint16(b[2:]))
	case b[1] == 127 && len(b) >= 10:
		return 10 + int(min(binary.BigEndian.Uint64(b[2:]), math.MaxInt32))
	}
	return 0
}

// mask is the masking key of all our frames. A key must be unpredictable to keep
// scripts in browsers from forging requests (RFC 6455 §10.3), which nothing here
// could; the server has the same work with any key but zero.
var mask = [4]byte{0x5a, 0xc3, 0x96, 0x3d}

// appendFrame appends payload as one masked frame.
func appendFrame(dst []byte, op byte, payload []byte) []byte {
	dst = append(dst, finBit|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xffff:
		dst = append(dst, 0x80|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	default:
		dst = append(dst, 0x80|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, mask[:]...)
	start := len(dst)
	dst = append(dst, payload...)
	body := dst[start:]
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	word |= word << 32
	for ; len(body) >= 8; body = body[8:] {
		binary.LittleEndian.PutUint64(body, binary.LittleEndian.Uint64(body)^word)
	}
	for i := range body {
		body[i] ^= mask[i&3]
	}
	return dst
}
