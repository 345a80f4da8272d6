package gateway_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

const offered = "permessage-deflate; client_max_window_bits" // as browsers do

const agreed = "permessage-deflate;server_no_context_takeover;client_no_context_takeover"

// upgraded opens a socket with these headers; answer is what was agreed on, without spaces.
func (in *instance) upgraded(path string, headers ...string) (p *peer, answer string) {
	in.t.Helper()
	c := in.connect()
	request := "GET " + path + " HTTP/1.1\r\n" + handshake
	for _, h := range headers {
		request += h + "\r\n"
	}
	io.WriteString(c, request+"\r\n")
	p = &peer{t: in.t, conn: c, r: bufio.NewReader(c)}
	res, err := http.ReadResponse(p.r, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		in.t.Fatalf("%s with %q: %v, %v", path, headers, res, err)
	}
	return p, strings.ReplaceAll(strings.Join(res.Header.Values("Sec-WebSocket-Extensions"), " and "), " ", "")
}

// deflating opens a socket that negotiates compression.
func (in *instance) deflating(path string) *peer {
	in.t.Helper()
	p, answer := in.upgraded(path, "Sec-WebSocket-Extensions: "+offered)
	if answer != agreed {
		in.t.Fatalf("%s: %q was agreed on", path, answer)
	}
	return p
}

// joinDeflating opens a fanfare.v1 socket with compression that is a member of the room.
func (in *instance) joinDeflating(room string) *peer {
	in.t.Helper()
	p := in.deflating("/ws")
	p.wantMatch("welcome")
	p.send(`{"type":"join","room":"` + room + `","id":1}`)
	p.wantMatch(`"joined"`)
	return p
}

// deflate compresses as RFC 7692 §7.2.1 says, with Go's own package.
func deflate(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	io.WriteString(w, text)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// sendDeflated sends a compressed message, in one frame or cut at a place.
func (p *peer) sendDeflated(op ws.OpCode, payload string, cut ...int) {
	p.t.Helper()
	first, rest := payload, ""
	if len(cut) > 0 {
		first, rest = payload[:cut[0]], payload[cut[0]:]
	}
	f := ws.NewFrame(op, len(cut) == 0, []byte(first))
	f.Header.Rsv = ws.Rsv(true, false, false)
	if err := ws.WriteFrame(p.conn, ws.MaskFrame(f)); err != nil {
		p.t.Fatal(err)
	}
	if len(cut) > 0 {
		p.write(ws.OpContinuation, true, rest)
	}
}

// wantDeflated reads one frame, which is compressed and shorter than what it holds, and returns it.
func (p *peer) wantDeflated(op ws.OpCode, text string) ws.Frame {
	p.t.Helper()
	f := p.next()
	if f.Header.OpCode != op || !f.Header.Rsv1() || f.Header.Rsv2() || f.Header.Rsv3() || len(f.Payload) >= len(text) {
		p.t.Fatalf("got %+v %.100q, want a compressed frame shorter than %d bytes", f.Header, f.Payload, len(text))
	}
	r := flate.NewReader(io.MultiReader(bytes.NewReader(f.Payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))
	got, err := io.ReadAll(r)
	if err != nil || string(got) != text {
		p.t.Fatalf("got %.200q, %v, want %.200q", got, err, text)
	}
	return f
}

func deflating(c loop.Config) gateway.Config { return gateway.Config{Loop: c, Deflate: true} }

// long is JSON of about 1,000 bytes.
var long = `{"text":"` + strings.Repeat("the same again, ", 60) + `"}`

func TestCompressionIsNegotiated(t *testing.T) {
	in := start(t, deflating(loop.Config{}))
	for _, c := range []struct{ offer, want string }{
		{"permessage-deflate", agreed},
		{offered, agreed},
		{"permessage-deflate; server_no_context_takeover; client_no_context_takeover", agreed},
		{"permessage-deflate; client_max_window_bits=10", agreed},
		{`permessage-deflate; client_max_window_bits="9"`, agreed},
		{"permessage-deflate;server_max_window_bits=15", agreed + ";server_max_window_bits=15"},
		{"x-webkit-deflate-frame, bbf-usp-protocol; v=1, permessage-deflate", agreed},
		{"permessage-deflate; server_max_window_bits=10, permessage-deflate", agreed}, // a fallback, RFC 7692 §5.2
		{"permessage-deflate; unknown, permessage-deflate; client_max_window_bits", agreed},
		{"permessage-deflate; server_max_window_bits=15, permessage-deflate", agreed + ";server_max_window_bits=15"},
		{"permessage-deflate, permessage-deflate", agreed},
		{"permessage-deflate; frobnicate=1", ""},
		{"permessage-deflate; server_max_window_bits=14", ""},
		{"permessage-deflate; server_max_window_bits=8", ""},
		{"permessage-deflate; server_max_window_bits", ""},
		{"permessage-deflate; server_max_window_bits=015", ""},
		{"permessage-deflate; server_max_window_bits=16", ""},
		{"permessage-deflate; client_max_window_bits=7", ""},
		{"permessage-deflate; client_max_window_bits=x", ""},
		{"permessage-deflate; client_max_window_bits; client_max_window_bits", ""},
		{"permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
		{"permessage-deflate; client_no_context_takeover=1", ""},
		{"permessage-bzip2", ""},
	} {
		p, answer := in.upgraded("/ws/echo", "Sec-WebSocket-Extensions: "+c.offer)
		if answer != c.want {
			t.Errorf("%s: %q was agreed on, want %q", c.offer, answer, c.want)
		}
		p.send("it works")
		p.want("Message text was: it works")
	}
	if p, answer := in.upgraded("/ws/echo", "Sec-WebSocket-Extensions: permessage-deflate; x", "Sec-WebSocket-Extensions: permessage-deflate"); answer != agreed {
		t.Errorf("in two headers: %q", answer)
	} else {
		p.conn.Close()
	}
	if res := in.ask("GET /ws/echo HTTP/1.1\r\n" + handshake + "Sec-WebSocket-Extensions: permessage-deflate; =\r\n\r\n"); res.StatusCode != 400 { // RFC 6455 §9.1
		t.Errorf("a malformed header: %s", res.Status)
	}
	if got := in.metric("fanfare_sockets_compressed_total"); got != "12" {
		t.Errorf("%s sockets with compression, want 12", got)
	}
}

func TestWithoutTheFlagThereIsNoCompression(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		p, answer := in.upgraded("/ws/echo", "Sec-WebSocket-Extensions: "+offered)
		if answer != "" {
			t.Errorf("%q was agreed on", answer)
		}
		p.sendDeflated(ws.OpText, deflate(long))
		p.wantClose(1002)
	})
	in := start(t, deflating(loop.Config{}))
	p := in.dial("/ws/echo") // nor without an offer
	p.sendDeflated(ws.OpText, deflate(long))
	p.wantClose(1002)
}

func TestAMessageIsCompressedOnceForAllWhoNegotiatedIt(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.Loops = 2
		in := start(t, deflating(c))
		plain, chat := in.join("r"), in.deflating("/ws/chat/7?room=r")
		plain.wantMatch("joined the chat")
		var members []*peer
		for range 6 {
			members = append(members, in.joinDeflating("r"))
		}
		plain.send(`{"type":"publish","room":"r","data":` + long + `,"echo":false}`)
		want := `{"type":"message","room":"r","offset":2,"data":` + long + `}`
		first := members[0].wantDeflated(ws.OpText, want)
		for _, p := range members[1:] {
			if f := p.wantDeflated(ws.OpText, want); !bytes.Equal(f.Payload, first.Payload) {
				t.Error("members got other bytes")
			}
		}
		chat.wantDeflated(ws.OpText, long)
		plain.want(`{"type":"ack","offset":2}`)
		plain.send(`{"type":"publish","room":"r","data":"short","echo":false}`) // is not worth it
		for _, p := range members {
			p.wantMatch(`"data":"short"`)
		}
		chat.want(`"short"`)
		binary := strings.Repeat("\xff\x00", 200)
		in.dial("/ws/chat/8?room=r").write(ws.OpBinary, true, binary)
		chat.want("Client #8 joined the chat")
		chat.wantDeflated(ws.OpBinary, binary)
	})
}

func TestCompressedMessagesAreTaken(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, deflating(c))
		a, b := in.joinDeflating("r"), in.join("r")
		payload := deflate(`{"type":"publish","room":"r","data":` + long + `}`)
		for i := range 3 {
			if i == 0 {
				a.sendDeflated(ws.OpText, payload)
			} else {
				a.sendDeflated(ws.OpText, payload, 10*i)
			}
			b.want(fmt.Sprintf(`{"type":"message","room":"r","offset":%d,"data":%s}`, i+1, long))
		}
		e := in.deflating("/ws/echo")
		e.sendDeflated(ws.OpText, deflate("grüße 👋"))
		e.want("Message text was: grüße 👋")
		e.sendDeflated(ws.OpText, "\x00") // empty
		e.want("Message text was: ")
		e.send("plain")
		e.want("Message text was: plain")
		e.sendDeflated(ws.OpBinary, deflate("\xff\x00"))
		if f := e.next(); f.Header.OpCode != ws.OpBinary || string(f.Payload) != "\xff\x00" {
			t.Errorf("got %v %q", f.Header.OpCode, f.Payload)
		}
	})
}

func TestWhatWasMissedComesCompressed(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, deflating(c))
		p := in.join("r")
		for range 3 {
			p.send(`{"type":"publish","room":"r","data":` + long + `,"echo":false}`)
			p.wantMatch(`"ack"`)
		}
		q := in.deflating("/ws")
		q.wantMatch("welcome")
		q.send(`{"type":"join","room":"r","last":2}`)
		q.wantMatch(`"joined"`)
		for i := 2; i <= 3; i++ {
			q.wantDeflated(ws.OpText, fmt.Sprintf(`{"type":"message","room":"r","offset":%d,"data":%s}`, i, long))
		}
	})
}

func TestPersonalMessagesAreCompressedToo(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		cfg := deflating(c)
		cfg.Auth = authenticator(t)
		in := start(t, cfg)
		token := mint(t, auth.Claims{User: "alice"})
		a, answer := in.upgraded("/ws", "Authorization: Bearer "+token, "Sec-WebSocket-Extensions: "+offered)
		if answer != agreed {
			t.Fatal(answer)
		}
		a.wantMatch("welcome")
		b := in.dial("/ws", "Authorization: Bearer "+token)
		b.wantMatch("welcome")
		b.send(`{"type":"send","user":"alice","data":` + long + `}`)
		a.wantDeflated(ws.OpText, `{"type":"direct","from":"alice","data":`+long+`}`)
		b.want(`{"type":"direct","from":"alice","data":` + long + `}`)
	})
}

func TestAGapIsToldToCompressedMembers(t *testing.T) {
	f := newFlawed(2)
	f.lose[1], f.lose[2], f.lose[3] = true, true, true
	cfg := deflating(loop.Config{})
	cfg.Broker = f
	in := start(t, cfg)
	p, q := in.joinDeflating("r"), in.join("r")
	for range 5 {
		q.send(`{"type":"publish","room":"r","data":1}`)
	}
	p.wantMatch(`{"type":"gap","room":"r"`)
	p.wantMatch(`"message"`)
}

func TestABombEndsItsSocketOnly(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.MaxMessage = 1000
		in := start(t, deflating(c))
		fits, bomb, whole := in.deflating("/ws/echo"), in.deflating("/ws/echo"), in.deflating("/ws/echo")
		fits.sendDeflated(ws.OpText, deflate(strings.Repeat("x", 1000)))
		fits.want("Message text was: " + strings.Repeat("x", 1000))
		over := deflate(strings.Repeat("\x00", 500_000))
		if len(over) > 1000 {
			t.Fatalf("%d bytes are too large as they are", len(over))
		}
		bomb.sendDeflated(ws.OpBinary, over, 5)
		bomb.wantClose(1009)
		whole.sendDeflated(ws.OpText, deflate(strings.Repeat("x", 1001)))
		whole.wantClose(1009)
		long := in.deflating("/ws/echo") // too long as it is: refused by its header
		io.WriteString(long.conn, "\xc2\xfe\xff\xff\x00\x00\x00\x00")
		long.wantClose(1009)
		fits.send("still here")
		fits.want("Message text was: still here")
	})
}

// NATS inflated what came before it had looked at the credential (CVE-2026-27571).
func TestNothingIsInflatedForWhoMayNotComeIn(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		cfg := deflating(c)
		cfg.Auth = authenticator(t)
		in := start(t, cfg)
		conn := in.connect()
		frame := ws.NewFrame(ws.OpBinary, true, []byte(deflate(strings.Repeat("\x00", 500_000))))
		frame.Header.Rsv = ws.Rsv(true, false, false)
		packet := "GET /ws HTTP/1.1\r\n" + handshake + "Sec-WebSocket-Extensions: " + offered + "\r\n\r\n" +
			string(ws.MustCompileFrame(ws.MaskFrame(frame)))
		io.WriteString(conn, packet)
		p := &peer{t: t, conn: conn, r: bufio.NewReader(conn)}
		if _, err := http.ReadResponse(p.r, nil); err != nil {
			t.Fatal(err)
		}
		p.wantClose(1008) // for the credential, not for what was sent
		if n := in.metric("fanfare_messages_received_total"); n != "0" {
			t.Errorf("%s messages were read", n)
		}
	})
}

func TestCorruptMessagesEndTheSocket(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, deflating(c))
		for _, c := range []struct {
			name, payload string
			code          ws.StatusCode
		}{
			{"cut short", deflate(long)[:20], 1002},
			{"no DEFLATE", "\xff\xff\xff", 1002},
			{"nothing", "", 1002},
			{"not UTF-8", deflate("abc\xff"), 1007},
		} {
			p := in.deflating("/ws/echo")
			p.sendDeflated(ws.OpText, c.payload)
			f := p.next()
			if code, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != c.code {
				t.Errorf("%s: got %v %q, want close %d", c.name, f.Header.OpCode, f.Payload, c.code)
			}
		}
		for _, raw := range []string{"\xc9\x80\x00\x00\x00\x00", "\xa1\x80\x00\x00\x00\x00", "\x91\x80\x00\x00\x00\x00", "\xe1\x80\x00\x00\x00\x00"} {
			p := in.deflating("/ws/echo") // RSV1 on a ping, RSV2, RSV3
			io.WriteString(p.conn, raw)
			p.wantClose(1002)
		}
	})
}

func TestWhoSendsTooMuchIsRefusedBeforeTheWork(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		cfg := deflating(c)
		cfg.Rate, cfg.Burst = 1, 2
		in := start(t, cfg)
		p := in.deflating("/ws")
		p.wantMatch("welcome")
		ping := func(id string, padding int) string {
			return deflate(`{"type":"ping","id":"` + id + `","pad":"` + strings.Repeat("x", padding) + `"}`)
		}
		for _, id := range []string{"one", "two"} {
			p.sendDeflated(ws.OpText, ping(id, 50_000))
		}
		for range 20 { // within a second or so: one more may pass
			p.sendDeflated(ws.OpText, ping("small", 10))
			p.sendDeflated(ws.OpText, ping("large", 50_000))
		}
		p.want(`{"type":"pong","id":"one"}`)
		p.want(`{"type":"pong","id":"two"}`)
		small, unread := 0, 0
		for range 40 {
			switch got := p.wantMatch(`{"type":`); {
			case strings.Contains(got, `"id":"small","code":"rate_limited"`):
				small++
			case strings.HasPrefix(got, `{"type":"error","code":"rate_limited"`):
				unread++
			case !strings.Contains(got, "pong"):
				t.Fatalf("got %s", got)
			}
		}
		if small < 15 || unread < 15 {
			t.Errorf("%d were refused by their id, %d without being read", small, unread)
		}
	})
}
