package loop

import "github.com/gobwas/ws"

// Outcome is why a socket ended. It is one closed list: the close code, the metric label and the
// word in the log all come from here.
type Outcome uint8

const (
	// ClientClosed: the client sent a close frame.
	ClientClosed Outcome = iota
	// Lost: the connection ended without a close frame.
	Lost
	// ProtocolError: the client broke RFC 6455.
	ProtocolError
	// InvalidText: a text message was not UTF-8.
	InvalidText
	// TooLarge: a message was over --max-message.
	TooLarge
	// Unsupported: a kind of message that the protocol does not take.
	Unsupported
	// Unauthorized: no valid credential.
	Unauthorized
	// Forbidden: the credential does not allow what the URL asks for.
	Forbidden
	// Expired: the token's time is over.
	Expired
	// RateLimited: more messages than --rate, on a protocol that has no error frame.
	RateLimited
	// Slow: the socket took its messages too slowly (--slow-limit).
	Slow
	// Idle: nothing was heard from the client for --idle, pings included.
	Idle
	// Drained: this instance is leaving; the client is to connect again.
	Drained
	// Unavailable: the broker is away and the protocol has no error frame.
	Unavailable
	// Internal: a fault of ours.
	Internal

	// Outcomes is their number.
	Outcomes
)

var outcomes = [Outcomes]struct {
	word, reason string
	code         ws.StatusCode
}{
	ClientClosed:  {"client_closed", "", 0}, // the client's own code goes back
	Lost:          {"lost", "", 0},          // nobody is there to read a code
	ProtocolError: {"protocol_error", "protocol error", ws.StatusProtocolError},
	InvalidText:   {"invalid_text", "text is not UTF-8", ws.StatusInvalidFramePayloadData},
	TooLarge:      {"too_large", "message too large", ws.StatusMessageTooBig},
	Unsupported:   {"unsupported", "unsupported data", ws.StatusUnsupportedData},
	Unauthorized:  {"unauthorized", "missing or invalid credential", ws.StatusPolicyViolation},
	Forbidden:     {"forbidden", "not permitted", ws.StatusPolicyViolation},
	Expired:       {"expired", "credential expired", ws.StatusPolicyViolation},
	RateLimited:   {"rate_limited", "too many messages", ws.StatusPolicyViolation},
	Slow:          {"slow", "too slow", 1013},
	Idle:          {"idle", "no sign of life", ws.StatusGoingAway},
	Drained:       {"drained", "instance is leaving", 1012},
	Unavailable:   {"unavailable", "try again later", 1013},
	Internal:      {"internal", "internal error", ws.StatusInternalServerError},
}

// String is the metric label and the word in the log.
func (o Outcome) String() string { return outcomes[o].word }

// Code is the close code that the client gets (RFC 6455 §7.4), 0 for none.
func (o Outcome) Code() ws.StatusCode { return outcomes[o].code }

// Reason is the fixed phrase that goes with the close code.
func (o Outcome) Reason() string { return outcomes[o].reason }
