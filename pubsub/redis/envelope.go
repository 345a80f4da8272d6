package redis

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/jsontext"
)

// The envelope is laid out in the package comment. publish.lua knows the flag for a position.
const (
	envelopeByte = 0x01

	kindMask     = 0x03
	flagSkip     = 0x04
	flagPosition = 0x08
	flagOrigin   = 0x10
	flagFrom     = 0x20
	flagsUnknown = 0xc0

	positionSize = 16
	originSize   = 24
)

var errMalformed = errors.New("malformed envelope")

// appendEnvelope appends m's envelope to b; with a position if m has one.
func appendEnvelope(b []byte, m *pubsub.Message) []byte {
	flags := byte(m.Kind) & kindMask
	if m.Kind >= pubsub.Foreign {
		flags = byte(pubsub.Binary) // from a publisher only by mistake
	}
	if m.SkipOrigin {
		flags |= flagSkip
	}
	if m.Position != (pubsub.Position{}) {
		flags |= flagPosition
	}
	if m.Origin != (pubsub.Origin{}) {
		flags |= flagOrigin
	}
	if m.From != "" {
		flags |= flagFrom
	}
	b = append(b, envelopeByte, flags)
	if flags&flagPosition != 0 {
		b = binary.BigEndian.AppendUint64(b, m.Position.Epoch)
		b = binary.BigEndian.AppendUint64(b, m.Position.Offset)
	}
	if flags&flagOrigin != 0 {
		b = binary.BigEndian.AppendUint64(b, m.Origin.Instance)
		b = binary.BigEndian.AppendUint64(b, m.Origin.Socket)
		b = binary.BigEndian.AppendUint64(b, uint64(m.Origin.Sent))
	}
	if flags&flagFrom != 0 {
		b = binary.AppendUvarint(b, uint64(len(m.From)))
		b = append(b, m.From...)
	}
	return append(b, m.Payload...)
}

func envelopeSize(m *pubsub.Message) int {
	return 2 + positionSize + originSize + binary.MaxVarintLen64 + len(m.From) + len(m.Payload)
}

// decode reads what was published on a channel: an envelope, or anything else as Foreign. The
// message shares b. An envelope is believed only if it is what appendEnvelope could have made of a
// valid message.
func decode(b []byte) (pubsub.Message, error) {
	if len(b) == 0 || b[0] != envelopeByte {
		return pubsub.Message{Kind: pubsub.Foreign, Payload: b}, nil
	}
	var m pubsub.Message
	if len(b) < 2 || b[1]&flagsUnknown != 0 || b[1]&kindMask > byte(pubsub.JSON) {
		return m, errMalformed
	}
	flags := b[1]
	b = b[2:]
	m.Kind = pubsub.Kind(flags & kindMask)
	m.SkipOrigin = flags&flagSkip != 0
	if flags&flagPosition != 0 {
		if len(b) < positionSize {
			return m, errMalformed
		}
		m.Position.Epoch = binary.BigEndian.Uint64(b)
		m.Position.Offset = binary.BigEndian.Uint64(b[8:])
		if !valid(m.Position.Epoch) || !valid(m.Position.Offset) {
			return m, errMalformed
		}
		b = b[positionSize:]
	}
	if flags&flagOrigin != 0 {
		if len(b) < originSize {
			return m, errMalformed
		}
		m.Origin.Instance = binary.BigEndian.Uint64(b)
		m.Origin.Socket = binary.BigEndian.Uint64(b[8:])
		m.Origin.Sent = int64(binary.BigEndian.Uint64(b[16:]))
		b = b[originSize:]
	}
	if flags&flagFrom != 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size == 0 || size > uint64(len(b)-n) || !utf8.Valid(b[n:n+int(size)]) {
			return m, errMalformed
		}
		m.From = string(b[n : n+int(size)])
		b = b[n+int(size):]
	}
	switch {
	case m.Kind == pubsub.JSON && !(utf8.Valid(b) && jsontext.Valid(b)),
		m.Kind == pubsub.Text && !utf8.Valid(b):
		return m, errMalformed
	}
	m.Payload = b
	return m, nil
}

// valid epochs and offsets are those that the script's numbers hold.
func valid(n uint64) bool { return n >= 1 && n <= pubsub.MaxEpoch }
