package frame

import (
	"encoding/binary"
	"math"

	"github.com/gobwas/ws"
)

// HeaderSize is how many bytes [AppendHeader] appends for a payload of length bytes.
func HeaderSize(length int) int {
	switch {
	case length < length16:
		return 2
	case length <= math.MaxUint16:
		return 2 + 2
	}
	return 2 + 8
}

// AppendHeader appends the header of a server's frame, unmasked and not fragmented, to dst
// (RFC 6455 §5.1, §5.2). length must not be negative, nor above 125 for a control frame.
func AppendHeader(dst []byte, op ws.OpCode, length int) []byte {
	return appendHeader(dst, op, 0, length)
}

// AppendFrame appends a server's frame to dst. The payload of a control frame must not be longer than
// 125 bytes.
func AppendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	return append(appendHeader(dst, op, 0, len(payload)), payload...)
}

// AppendMaskedFrame appends a client's frame to dst; payload stays as it is. mask should be
// unpredictable to whoever chose the payload (RFC 6455 §5.3, §10.3).
func AppendMaskedFrame(dst []byte, op ws.OpCode, mask [4]byte, payload []byte) []byte {
	dst = append(appendHeader(dst, op, maskBit, len(payload)), mask[:]...)
	dst = append(dst, payload...)
	ws.Cipher(dst[len(dst)-len(payload):], mask, 0)
	return dst
}

// appendHeader appends a header up to where a mask would stand.
func appendHeader(dst []byte, op ws.OpCode, masked byte, length int) []byte {
	first := finBit | byte(op)
	switch HeaderSize(length) {
	case 2:
		return append(dst, first, masked|byte(length))
	case 4:
		return binary.BigEndian.AppendUint16(append(dst, first, masked|length16), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(dst, first, masked|length64), uint64(length))
}
