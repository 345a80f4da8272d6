package frame

import (
	"math"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// An Event is what a client sent.
type Event struct {
	// Op is OpText or OpBinary for a whole message, its fragments joined; OpClose, OpPing or OpPong
	// for a control frame.
	Op ws.OpCode
	// Payload is unmasked, and valid UTF-8 if Op is OpText. See [ParseClose] for that of OpClose. It
	// is the parser's, or a part of data: valid until the next call of Next or Release, unless longer than Reused.
	Payload []byte
	// Deflated: a message that is compressed (RFC 7692). Its payload is neither limited in what it
	// holds nor checked as UTF-8 before [Parser.Inflate].
	Deflated bool
}

// A Parser turns the bytes of one client into events, however they are cut into reads. The zero value
// is ready. A Parser must not be copied after first use.
type Parser struct {
	// The message underway (RFC 6455 §5.4).
	buf       *buffer   // what came of it; nil until a byte has to be kept
	messageOp ws.OpCode // OpText or OpBinary; OpContinuation if no message is underway
	partial   uint8     // bytes of an unfinished UTF-8 sequence at the end of buf, 0 to 3

	// The frame underway; the message's fields stay while a control frame passes.
	headLen uint8     // bytes in head; 0 between headers
	op      ws.OpCode // of the frame
	flags   uint8     // of the frame, the message, and what was negotiated
	maskPos uint8     // where in mask the next payload byte falls, 0 to 3
	mask    [4]byte
	head    [ws.MaxHeaderSize]byte // a header that came in parts
	remain  int64                  // payload bytes still to come; above 0: in a payload
	control *buffer                // a control payload that came in parts

	// Outcome.
	spent  *buffer // holds the last event's payload; freed by the next call
	failed *Error  // once set, all that Next returns
}

// Flags of a parser.
const (
	finFlag       = 1 << iota // the frame is the message's last
	deflatedFlag              // the message is compressed
	takesDeflated             // permessage-deflate was negotiated
)

// TakeDeflated says whether the parser takes compressed messages (RFC 7692), which it does not at first, nor
// after Release.
func (p *Parser) TakeDeflated(negotiated bool) {
	p.flags &^= takesDeflated
	if negotiated {
		p.flags |= takesDeflated
	}
}

// Next takes bytes from data, says how many it used, and returns at most one event; ok says whether.
// With ok false and no error it has used all of data. It changes data (unmasks it in place) and does
// not keep it. maxMessage limits a message's payload in bytes; negative: no limit.
//
// The error is an *[Error]; the parser stays failed with it, and keeps its buffers until Release. What a
// client sends after OpClose means nothing (RFC 6455 §5.5.1): do not feed it.
func (p *Parser) Next(data []byte, maxMessage int) (ev Event, n int, ok bool, err error) {
	if p.spent != nil {
		p.spent.free()
		p.spent = nil
	}
	if p.failed != nil {
		return Event{}, 0, false, p.failed
	}
	if maxMessage < 0 {
		maxMessage = math.MaxInt
	}
	for {
		if p.remain == 0 {
			used, whole := p.readHeader(data[n:], maxMessage)
			n += used
			if p.failed != nil {
				return Event{}, n, false, p.failed
			}
			if !whole {
				return Event{}, n, false, nil
			}
		}
		part := data[n:]
		part = part[:min(int64(len(part)), p.remain)]
		n += len(part)
		ev, ok := p.readPayload(part, maxMessage)
		if p.failed != nil {
			return Event{}, n, false, p.failed
		}
		if ok || p.remain > 0 {
			return ev, n, ok, nil
		}
	}
}

// Rest frees the last event's payload and reports whether nothing is underway: the parser is as good as
// a zero one then, for any client.
func (p *Parser) Rest() bool {
	p.spent.free()
	p.spent = nil
	return p.headLen == 0 && p.remain == 0 && p.messageOp == ws.OpContinuation && p.failed == nil
}

// Release gives the parser's buffers back and makes it a zero Parser again. What was underway is lost.
func (p *Parser) Release() {
	p.buf.free()
	p.control.free()
	p.spent.free()
	*p = Parser{}
}

// readPayload takes the next part of the frame's payload, all of it or all there is.
func (p *Parser) readPayload(part []byte, maxMessage int) (ev Event, ok bool) {
	ws.Cipher(part, p.mask, int(p.maskPos))
	p.maskPos = (p.maskPos + uint8(len(part))) & 3
	p.remain -= int64(len(part))
	if p.op.IsControl() {
		return p.readControl(part)
	}

	last := p.flags&finFlag != 0 && p.remain == 0
	isText := p.messageOp == ws.OpText && p.flags&deflatedFlag == 0
	if last && p.buf == nil {
		if isText && !utf8.Valid(part) {
			p.failed = ErrTextNotUTF8
			return Event{}, false
		}
		return p.message(part), true
	}
	if len(part) > 0 {
		p.keep(part, maxMessage)
	}
	if isText && !p.checkText(len(part), last) {
		p.failed = ErrTextNotUTF8
		return Event{}, false
	}
	if !last {
		return Event{}, false
	}
	p.spent, p.buf = p.buf, nil
	p.spent.fit()
	return p.message(p.spent.b), true
}

// readControl takes the next part of a control frame's payload.
func (p *Parser) readControl(part []byte) (ev Event, ok bool) {
	if p.control == nil && p.remain == 0 {
		return Event{Op: p.op, Payload: part[:len(part):len(part)]}, true
	}
	if len(part) > 0 {
		p.control = p.control.grown(len(part), ws.MaxControlFramePayloadSize)
		p.control.b = append(p.control.b, part...)
	}
	if p.remain > 0 {
		return Event{}, false
	}
	p.spent, p.control = p.control, nil
	payload := p.spent.b
	return Event{Op: p.op, Payload: payload[:len(payload):len(payload)]}, true
}

// keep appends part to what came of the message. The header was checked against maxMessage, so the
// buffer cannot outgrow it.
func (p *Parser) keep(part []byte, maxMessage int) {
	bound := p.limit(maxMessage)
	if p.flags&finFlag != 0 {
		bound = p.kept() + len(part) + int(p.remain)
	}
	p.buf = p.buf.grown(len(part), bound)
	p.buf.b = append(p.buf.b, part...)
}

// limit is that of the message's payload as it comes over the wire.
func (p *Parser) limit(maxMessage int) int {
	if p.flags&deflatedFlag != 0 {
		return maxDeflated(maxMessage)
	}
	return maxMessage
}

// kept is how many bytes of the message are in the buffer.
func (p *Parser) kept() int {
	if p.buf == nil {
		return 0
	}
	return len(p.buf.b)
}

// message ends the message underway as an event.
func (p *Parser) message(payload []byte) Event {
	ev := Event{p.messageOp, payload[:len(payload):len(payload)], p.flags&deflatedFlag != 0}
	p.messageOp = ws.OpContinuation
	p.flags &^= deflatedFlag
	return ev
}

// checkText reports whether the message is still UTF-8 after n bytes were added to it. A sequence
// unfinished at the end is no fault unless nothing follows, but one that nothing can finish is
// (RFC 6455 §8.1).
func (p *Parser) checkText(n int, last bool) bool {
	if n > 0 {
		added := p.buf.b[len(p.buf.b)-n-int(p.partial):]
		p.partial = uint8(unfinishedRune(added))
		if !utf8.Valid(added[:len(added)-int(p.partial)]) {
			return false
		}
	}
	return !last || p.partial == 0
}

// unfinishedRune returns how many bytes at the end of b begin a UTF-8 sequence that more bytes can make
// valid. utf8.FullRune takes a sequence that no byte can mend for full, which leaves it to utf8.Valid.
func unfinishedRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
