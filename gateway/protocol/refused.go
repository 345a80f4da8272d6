package protocol

import (
	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// Refused closes the socket at once with an outcome: a browser can see a close code, but not the
// HTTP status of a refused handshake.
type Refused struct{ Outcome loop.Outcome }

func (Refused) Encoding() loop.Encoding                  { return Plain }
func (Refused) Message(Session, ws.OpCode, []byte)       {}
func (Refused) Skipped(Session, string, pubsub.Position) {}
func (Refused) Closed(Session)                           {}

// Open ends the socket.
func (r Refused) Open(s Session) { s.End(r.Outcome) }
