package gateway_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// write sends a frame as it is, masked.
func (p *peer) write(op ws.OpCode, fin bool, payload string) {
	p.t.Helper()
	if err := ws.WriteFrame(p.conn, ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))); err != nil {
		p.t.Fatal(err)
	}
}

func TestAMessageTooLargeEndsTheSocket(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.MaxMessage = 1000
		in := start(t, gateway.Config{Loop: c})
		fits := in.dial("/ws/echo")
		fits.send(strings.Repeat("x", 1000))
		fits.want("Message text was: " + strings.Repeat("x", 1000))
		fits.write(ws.OpText, false, strings.Repeat("y", 500))
		fits.write(ws.OpPing, true, strings.Repeat("p", 125)) // counts nothing
		fits.write(ws.OpContinuation, true, strings.Repeat("y", 500))
		if f := fits.next(); f.Header.OpCode != ws.OpPong {
			t.Fatalf("got %v, want a pong", f.Header.OpCode)
		}
		fits.want("Message text was: " + strings.Repeat("y", 1000))

		single := in.dial("/ws/echo")
		single.write(ws.OpText, true, strings.Repeat("x", 1001))
		single.wantClose(1009)

		summed := in.dial("/ws/echo")
		summed.write(ws.OpText, false, strings.Repeat("x", 600))
		summed.write(ws.OpContinuation, false, strings.Repeat("x", 401))
		summed.wantClose(1009)

		declared := in.dial("/ws") // CVE-2020-27813: a length alone is enough, and costs nothing
		declared.wantMatch("welcome")
		io.WriteString(declared.conn, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00")
		declared.wantClose(1009)
		in.eventually("too_large counts 3", func() bool {
			return in.metric(`fanfare_sockets_closed_total{outcome="too_large"}`) == "3"
		})
	})
}

func TestBrokenFramesEndTheSocket(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		for _, c := range []struct {
			name, bytes string
			code        ws.StatusCode
		}{
			{"unmasked", "\x81\x01x", 1002},
			{"reserved bit", "\xc1\x80\x00\x00\x00\x00", 1002},
			{"unknown opcode", "\x83\x80\x00\x00\x00\x00", 1002},
			{"continuation of nothing", "\x80\x80\x00\x00\x00\x00", 1002},
			{"fragmented ping", "\x09\x80\x00\x00\x00\x00", 1002},
			{"long ping", "\x89\xfe\x00\x7e", 1002},
			{"length with the top bit", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002},
			{"text not UTF-8", "\x81\x81\x00\x00\x00\x00\xff", 1007},
		} {
			t.Run(c.name, func(t *testing.T) {
				in := *in
				in.t = t
				p := in.dial("/ws/echo")
				io.WriteString(p.conn, c.bytes)
				p.wantClose(c.code)
			})
		}
	})
}

func TestTheRateIsASecond(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Rate: 50, Burst: 5})
		p := in.dial("/ws")
		p.wantMatch("welcome")
		const n = 40
		for i := range n {
			p.send(fmt.Sprintf(`{"type":"ping","id":%d}`, i))
		}
		let, refused := 0, ""
		for i := range n {
			switch got := p.wantMatch(); got {
			case fmt.Sprintf(`{"type":"pong","id":%d}`, i):
				let++
			case fmt.Sprintf(`{"type":"error","id":%d,"code":"rate_limited","message":"too many messages"}`, i):
				refused = got
			default:
				t.Fatalf("got %s", got)
			}
		}
		if let < 5 || refused == "" {
			t.Fatalf("%d of %d were let through, want at least the burst and not all", let, n)
		}
		// Tokens come back at N a second, not one (Centrifugo #1206): 5 within a moment.
		began := time.Now()
		for got := 0; got < 5; {
			p.send(`{"type":"ping"}`)
			if p.wantMatch() == `{"type":"pong"}` {
				got++
			}
			if time.Since(began) > 3*time.Second {
				t.Fatal("the rate does not come back")
			}
		}
		// Binary messages and nonsense count too.
		for refused = ""; !strings.Contains(refused, "rate_limited"); refused = p.wantMatch() {
			p.write(ws.OpBinary, true, "x")
		}
		p.write(ws.OpText, true, `{"type":"ping","id":[]}`)
		p.wantMatch("error")
	})
}

func TestThePlainProtocolsAreEndedOverTheRate(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Rate: 1, Burst: 3})
		for _, path := range []string{"/ws/echo", "/ws/chat/1", "/ws/secure?token=x"} {
			p := in.dial(path)
			for range 10 {
				p.send("x")
			}
			f := p.next()
			for f.Header.OpCode == ws.OpText {
				f = p.next()
			}
			if code, reason := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != 1008 || reason != "too many messages" {
				t.Errorf("%s: got %v %d %q, want close 1008", path, f.Header.OpCode, code, reason)
			}
		}
		free := start(t, gateway.Config{Loop: c, Rate: -1, Burst: 1})
		p := free.dial("/ws/echo")
		for range 100 {
			p.send("x")
			p.want("Message text was: x")
		}
	})
}

func TestOverCapacityIsAnswered503(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.MaxSockets = 2
		in := start(t, gateway.Config{Loop: c})
		one, two := in.dial("/ws/echo"), in.dial("/ws/echo")
		for range 3 {
			// The rest of the request was read: the client sees the answer, not a reset.
			res := in.ask("GET /ws/echo HTTP/1.1\r\n" + handshake + "X: " + strings.Repeat("x", 5000) + "\r\n\r\n")
			if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
				t.Fatalf("got %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
			}
		}
		if res := in.ask("GET / HTTP/1.1\r\n" + hostLine + "\r\n"); res.StatusCode != 200 {
			t.Errorf("the page: %s", res.Status)
		}
		one.conn.Close()
		in.eventually("there is room again", func() bool { return in.metric("fanfare_sockets_open") == "1" })
		in.dial("/ws/echo")
		two.send("x")
		two.want("Message text was: x")
		if n := in.metric(`fanfare_handshakes_rejected_total{reason="full"}`); n != "3" {
			t.Errorf("full counts %s, want 3", n)
		}
	})
}

func TestHandshakesHaveATime(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.HandshakeTimeout = time.Second
		in := start(t, gateway.Config{Loop: c})
		for name, begin := range map[string]string{"nothing": "", "a part": "GET /ws/echo HTTP/1.1\r\n" + hostLine} {
			conn := in.connect()
			io.WriteString(conn, begin)
			if res := in.answer(conn); res.StatusCode != 408 {
				t.Errorf("%s: got %s, want 408", name, res.Status)
			}
		}
		// It is over once the handshake is.
		p := in.dial("/ws/echo")
		in.eventually("two more seconds have passed", func() bool { return in.metric(`fanfare_handshakes_rejected_total{reason="timeout"}`) == "2" })
		conn := in.connect()
		in.answer(conn)
		p.send("x")
		p.want("Message text was: x")
	})
}

func TestPermissionsHoldForEveryCommand(t *testing.T) {
	rule := func(s string) auth.Rule {
		r, err := auth.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	token := mint(t, auth.Claims{User: "alice", Permissions: auth.Permissions{rule("team-*=join"), rule("team-a=publish"), rule("box=publish")}})
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Auth: authenticator(t)})
		p := in.dial("/ws?token=" + token)
		p.wantMatch("welcome")
		no := `{"type":"error","id":1,"code":"forbidden","message":"not permitted in this room"}`
		for _, c := range []struct{ send, want string }{
			{`{"type":"join","room":"team-b","id":1}`, `{"type":"joined","room":"team-b","id":1`},
			{`{"type":"join","room":"box","id":1}`, no},
			{`{"type":"join","room":"other","id":1}`, no},
			{`{"type":"publish","room":"team-b","data":1,"id":1}`, no},
			{`{"type":"publish","room":"other","data":1,"id":1}`, no},
			{`{"type":"publish","room":"box","data":1,"id":1}`, `{"type":"ack","id":1,"offset":1}`}, // not a member
			{`{"type":"publish","room":"team-a","data":1,"id":1}`, `{"type":"ack","id":1,"offset":1}`},
		} {
			p.send(c.send)
			p.wantMatch(c.want)
		}
		in.dial("/ws/chat/1?room=other&token=" + token).wantClose(1008)
		in.dial("/ws/chat/1?room=box&token=" + token).wantClose(1008)
		reader := in.dial("/ws/chat/1?room=team-b&token=" + token)
		reader.send("may not")
		reader.wantClose(1008)
		writer := in.dial("/ws/chat/2?room=team-a&token=" + token)
		writer.send("may")
		writer.send("and goes on")
		in.eventually("both are published", func() bool { return in.metric("fanfare_messages_received_total") == "10" })
	})
}
