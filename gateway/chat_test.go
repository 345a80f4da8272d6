package gateway_test

import (
	"testing"

	"github.com/fanfare-ws/fanfare/gateway"
)

func TestATextSentAtOnceComesAfterTheNoticeOfJoining(t *testing.T) {
	in := start(t, gateway.Config{})
	a := in.dial("/ws/chat/1")
	in.eventually("1 is a member", func() bool { return in.metric("fanfare_members") == "1" })
	for range 20 {
		b := in.dial("/ws/chat/2")
		b.send("one")
		b.send("two")
		a.want("Client #2 joined the chat")
		a.want("Client #2 says: one")
		a.want("Client #2 says: two")
		b.conn.Close()
		a.want("Client #2 left the chat")
	}
}
