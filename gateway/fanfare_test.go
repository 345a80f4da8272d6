package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

func TestAMessageReachesEveryMemberInOrder(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		a, b := in.join("chat"), in.join("chat")
		for _, data := range []string{`1`, `"two"`, `{"three": [3,  null]}`} {
			a.send(`{"type":"publish","room":"chat","data":` + data + `,"echo":false,"id":"x"}`)
		}
		for i, data := range []string{`1`, `"two"`, `{"three": [3,  null]}`} {
			offset := string(rune('1' + i))
			b.want(`{"type":"message","room":"chat","offset":` + offset + `,"data":` + data + `}`)
			a.want(`{"type":"ack","id":"x","offset":` + offset + `}`)
		}
		b.send(`{"type":"publish","room":"chat","data":"back"}`)
		a.want(`{"type":"message","room":"chat","offset":4,"data":"back"}`)
	})
}

// What a message is read into is used again for the next one, or not, by its size.
func TestLargeMessagesStayWhatTheyAre(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.MaxMessage = 1 << 20
		in := start(t, gateway.Config{Loop: c, Broker: newFlawed(100)})
		a, b := in.join("chat"), in.join("chat")
		var data []string
		for i, size := range []int{4_000, 65_400, 65_470, 65_536, 70_000, 131_000, 131_072, 300_000, 200_000, 65_500, 10} {
			data = append(data, `"`+strings.Repeat(string(rune('a'+i)), size)+`"`)
		}
		for _, d := range data {
			a.send(`{"type":"publish","room":"chat","data":` + d + `,"echo":false}`)
		}
		for i, d := range data {
			b.want(fmt.Sprintf(`{"type":"message","room":"chat","offset":%d,"data":%s}`, i+1, d))
		}
		late := in.dial("/ws")
		late.next()
		late.send(`{"type":"join","room":"chat","last":100}`)
		late.next()
		for i, d := range data {
			late.want(fmt.Sprintf(`{"type":"message","room":"chat","offset":%d,"data":%s}`, i+1, d))
		}
	})
}

func TestTheSeedsChat(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		a := in.dial("/ws/chat/1")
		in.eventually("1 is a member", func() bool { return in.metric("fanfare_members") == "1" })
		b := in.dial("/ws/chat/2?room=chat")
		a.want("Client #2 joined the chat")
		a.send("hello")
		b.want("Client #1 says: hello")
		b.send("hi")
		a.want("Client #2 says: hi")
		if err := ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewBinaryFrame([]byte{0, 255}))); err != nil {
			t.Fatal(err)
		}
		if f := a.next(); f.Header.OpCode != ws.OpBinary || string(f.Payload) != "\x00\xff" {
			t.Fatalf("got %v %q, want the binary message unchanged", f.Header.OpCode, f.Payload)
		}
		b.conn.Close() // the connection just breaks
		a.want("Client #2 left the chat")
		other := in.dial("/ws/chat/%E2%82%AC%201?room=other")
		in.eventually("the other is a member too", func() bool { return in.metric("fanfare_members") == "2" })
		in.dial("/ws/chat/3?room=other")
		other.want("Client #3 joined the chat")
		other.conn.Close()
	})
}

func TestEchoAndSecure(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		e := in.dial("/ws/echo")
		e.send("x")
		e.want("Message text was: x")
		if err := ws.WriteFrame(e.conn, ws.MaskFrame(ws.NewBinaryFrame([]byte("bin")))); err != nil {
			t.Fatal(err)
		}
		if f := e.next(); f.Header.OpCode != ws.OpBinary || string(f.Payload) != "bin" {
			t.Fatalf("got %v %q", f.Header.OpCode, f.Payload)
		}
		for _, how := range [][]string{{"/ws/secure?token=alice"}, {"/ws/secure", "Cookie: session=alice"}, {"/ws/secure", "Authorization: Bearer alice"}} {
			s := in.dial(how[0], how[1:]...)
			s.want("Authenticated with credential: alice")
			s.send("y")
			s.want("Secure echo: y")
		}
		in.dial("/ws/secure").wantClose(1008)
		in.dial("/ws/secure?token=").wantClose(1008)
	})
}

func TestAPersonalMessageReachesEverySocketOfTheUser(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		a, b := in.dial("/ws?token=alice"), in.dial("/ws?token=alice")
		a.wantMatch(`"user":"alice"`)
		b.wantMatch(`"user":"alice"`)
		c5 := in.dial("/ws/chat/5?room=r5")
		in.eventually("5 is a member", func() bool { return in.metric("fanfare_members") == "1" })
		bob := in.dial("/ws?token=bob")
		bob.wantMatch("welcome")
		bob.send(`{"type":"send","user":"alice","data":{"x":1},"id":9}`)
		bob.want(`{"type":"ack","id":9,"instances":1}`)
		a.want(`{"type":"direct","from":"bob","data":{"x":1}}`)
		b.want(`{"type":"direct","from":"bob","data":{"x":1}}`)
		bob.send(`{"type":"send","user":"5","data":"psst","id":10}`)
		bob.want(`{"type":"ack","id":10,"instances":1}`)
		c5.want(`"psst"`)
		bob.send(`{"type":"send","user":"nobody","data":1,"id":11}`)
		bob.want(`{"type":"ack","id":11,"instances":0}`)
	})
}

func TestWrongCommandsAreAnsweredAndEndNothing(t *testing.T) {
	in := start(t, gateway.Config{MaxRooms: 2})
	p := in.join("one", "two")
	for _, c := range []struct{ send, want string }{
		{`nonsense`, `{"type":"error","code":"bad_request","message":"not a JSON object"}`},
		{`[]`, `{"type":"error","code":"bad_request","message":"not a JSON object"}`},
		{`{"id":1}`, `{"type":"error","id":1,"code":"bad_request","message":"type is needed"}`},
		{`{"type":"dance","id":2}`, `{"type":"error","id":2,"code":"bad_request","message":"unknown type: want join, leave, publish, send, auth or ping"}`},
		{`{"type":"join","id":3}`, `{"type":"error","id":3,"code":"bad_request","message":"a room's name is needed"}`},
		{`{"type":"join","room":7,"id":4}`, `{"type":"error","id":4,"code":"bad_request","message":"wrong type of room"}`},
		{`{"type":"join","room":"a\u0000b","id":5}`, `{"type":"error","id":5,"code":"bad_request","message":"a room's name has no control characters"}`},
		{`{"type":"leave","room":"three","id":6}`, `{"type":"error","id":6,"code":"not_member","message":"not a member of this room"}`},
		{`{"type":"publish","room":"one","id":7}`, `{"type":"error","id":7,"code":"bad_request","message":"data is needed"}`},
		{`{"type":"send","data":1,"id":8}`, `{"type":"error","id":8,"code":"bad_request","message":"user is needed, at most 255 bytes"}`},
		{`{"type":"ping","id":{"a":1}}`, `{"type":"error","code":"bad_request","message":"id is a number or a string of at most 64 bytes"}`},
		{`{"type":"join","room":"three","id":9}`, `{"type":"error","id":9,"code":"forbidden","message":"too many rooms on this socket"}`},
		{`{"type":"auth","token":"","id":10}`, `{"type":"error","id":10,"code":"forbidden","message":"the token is not valid for this socket's user"}`},
		{`{"type":"leave","room":"two","id":11}`, `{"type":"left","room":"two","id":11}`},
		{`{"type":"ping"}`, `{"type":"pong"}`},
	} {
		p.send(c.send)
		p.want(c.want)
	}
	// An object's key is never more than a key.
	p.send(`{"type":"publish","room":"one","data":{"__proto__":1},"id":12}`)
	first, second := p.wantMatch(), p.wantMatch()
	if want := `{"type":"message","room":"one","offset":1,"data":{"__proto__":1}}`; first != want && second != want {
		t.Fatalf("got %s and %s, want %s", first, second, want)
	}
}
