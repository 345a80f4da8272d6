package frame

import "github.com/gobwas/ws"

// Error says why a peer's bytes were refused. Code is the close code to end the socket with
// (RFC 6455 §7.4.1); Reason is a short fixed phrase, fit for a close frame.
type Error struct {
	Code   ws.StatusCode
	Reason string
}

func (e *Error) Error() string { return "frame: " + e.Reason }

// All errors of this package. They are never changed, so that refusing a peer costs no memory.
var (
	ErrReservedBits       = &Error{ws.StatusProtocolError, "reserved bit set"}               // RFC 6455 §5.2
	ErrReservedOpCode     = &Error{ws.StatusProtocolError, "reserved opcode"}                // RFC 6455 §5.2
	ErrNotMasked          = &Error{ws.StatusProtocolError, "client frame not masked"}        // RFC 6455 §5.1
	ErrControlTooLong     = &Error{ws.StatusProtocolError, "control frame too long"}         // RFC 6455 §5.5
	ErrControlFragmented  = &Error{ws.StatusProtocolError, "control frame fragmented"}       // RFC 6455 §5.5
	ErrNoMessage          = &Error{ws.StatusProtocolError, "continuation without a message"} // RFC 6455 §5.4
	ErrMessageUnfinished  = &Error{ws.StatusProtocolError, "message inside a message"}       // RFC 6455 §5.4
	ErrLengthNotMinimal   = &Error{ws.StatusProtocolError, "length not minimal"}             // RFC 6455 §5.2
	ErrLengthHighBit      = &Error{ws.StatusProtocolError, "length has its high bit set"}    // RFC 6455 §5.2
	ErrClosePayload       = &Error{ws.StatusProtocolError, "close payload of one byte"}      // RFC 6455 §5.5.1
	ErrCloseCode          = &Error{ws.StatusProtocolError, "invalid close code"}             // RFC 6455 §7.4
	ErrCorrupt            = &Error{ws.StatusProtocolError, "compressed data is corrupt"}     // RFC 7692 §7.2.2
	ErrMessageTooLarge    = &Error{ws.StatusMessageTooBig, "message too large"}              // RFC 6455 §10.4
	ErrTextNotUTF8        = &Error{ws.StatusInvalidFramePayloadData, "text is not UTF-8"}    // RFC 6455 §8.1
	ErrCloseReasonNotUTF8 = &Error{ws.StatusInvalidFramePayloadData, "reason is not UTF-8"}  // RFC 6455 §5.5.1
)
