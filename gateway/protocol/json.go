package protocol

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/jsontext"
)

// object is a JSON object being written, without its closing brace.
type object []byte

func begin(kind string) object {
	return append(append(append(make(object, 0, 192), `{"type":"`...), kind...), '"')
}

func (o object) key(k string) object {
	return append(append(append(o, `,"`...), k...), `":`...)
}

func (o object) string(k, v string) object { return appendString(o.key(k), v) }
func (o object) int(k string, v uint64) object {
	return strconv.AppendUint(o.key(k), v, 10)
}

func (o object) bool(k string, v bool) object { return strconv.AppendBool(o.key(k), v) }

// epoch writes an epoch: to clients it is an opaque string.
func (o object) epoch(e uint64) object {
	return append(strconv.AppendUint(append(o.key("epoch"), '"'), e, 16), '"')
}

// id writes the client's own id back, if it gave one.
func (o object) id(id json.RawMessage) object {
	if len(id) == 0 {
		return o
	}
	return append(o.key("id"), id...)
}

func (o object) send(s Session) {
	o = append(o, '}')
	s.Send(frame.AppendFrame(make([]byte, 0, len(o)+4), ws.OpText, o))
}

// encodeJSON appends the frame of a message or direct object.
func encodeJSON(dst []byte, m *pubsub.Message) []byte {
	// The header's length comes before the body: leave the largest room for it, move it up after.
	start := len(dst)
	dst = append(dst, make([]byte, maxHeader)...)
	o := object(dst)
	if m.Target.User {
		o = append(o, `{"type":"direct"`...)
	} else {
		o = append(o, `{"type":"message"`...)
		o = o.string("room", m.Target.Name)
	}
	if m.From != "" {
		o = o.string("from", m.From)
	}
	if m.Position.Offset != 0 {
		o = o.int("offset", m.Position.Offset)
	}
	switch text := utf8.Valid(m.Payload); {
	case m.Kind == pubsub.Binary, !text:
		o = append(o.key("data_base64"), '"')
		o = append(base64.StdEncoding.AppendEncode(o, m.Payload), '"')
	case m.Kind == pubsub.JSON, // which publishers and brokers have checked
		m.Kind == pubsub.Foreign && jsontext.Valid(m.Payload):
		o = append(o.key("data"), m.Payload...)
	default:
		o = appendString(o.key("data"), m.Payload)
	}
	o = append(o, '}')
	body := len(o) - start - maxHeader
	head := frame.AppendHeader(make([]byte, 0, maxHeader), ws.OpText, body)
	copy(o[start:], head)
	copy(o[start+len(head):], o[start+maxHeader:])
	return o[:start+len(head)+body]
}

// EncodeGap is the frame that tells members of a room that messages up to the position were missed.
func EncodeGap(room string, pos pubsub.Position) []byte {
	o := begin("gap").string("room", room)
	if pos.Epoch != 0 {
		o = o.epoch(pos.Epoch).int("offset", pos.Offset)
	}
	o = append(o, '}')
	return frame.AppendFrame(make([]byte, 0, len(o)+4), ws.OpText, o)
}

const maxHeader = 10

// appendString appends valid UTF-8 as a JSON string (RFC 8259 §7).
func appendString[O ~[]byte, S ~string | ~[]byte](dst O, s S) O {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}
