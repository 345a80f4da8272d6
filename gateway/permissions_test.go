package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

const jwtKey = "a secret of at least thirty-two bytes"

// startJWT runs a gateway that wants tokens.
func startJWT(t *testing.T, cfg gateway.Config) *instance {
	t.Helper()
	a, err := auth.NewJWT(auth.JWTConfig{Key: jwtKey, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Auth = a
	return start(t, cfg)
}

func mint(t *testing.T, c auth.Claims) string {
	t.Helper()
	token, err := auth.Mint(jwtKey, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// rules reads permissions as they are written on a command line.
func rules(t *testing.T, list ...string) auth.Permissions {
	t.Helper()
	p := auth.Permissions{}
	for _, s := range list {
		r, err := auth.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, r)
	}
	return p
}

// shake makes a handshake and returns the answer as it came; the peer goes on after it.
func (in *instance) shake(path string, headers ...string) (*http.Response, *peer) {
	in.t.Helper()
	conn, err := net.Dial("tcp", in.public)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { conn.Close() })
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: " + in.public, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}, headers...)
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		in.t.Fatal(err)
	}
	p := &peer{t: in.t, conn: conn, r: bufio.NewReader(conn)}
	conn.SetReadDeadline(time.Now().Add(patience))
	r, err := http.ReadResponse(p.r, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	return r, p
}

// wantEnd reads a close frame with this code and reason.
func (p *peer) wantEnd(code ws.StatusCode, reason string) {
	p.t.Helper()
	f := p.next()
	got, why := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || got != code || why != reason {
		p.t.Fatalf("got %v %q, want close %d %q", f.Header.OpCode, f.Payload, code, reason)
	}
}

const noCredential = "missing or invalid credential"

func TestACredentialIsFoundWhereverItMayBe(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := startJWT(t, gateway.Config{Loop: c})
		token := mint(t, auth.Claims{User: "alice"})
		for _, how := range []struct {
			path, header, chosen string
		}{
			{"/ws", "Authorization: Bearer " + token, ""},
			{"/ws", "authorization: bearer " + token, ""},
			{"/ws", "Sec-WebSocket-Protocol: fanfare.v1, bearer." + token, "fanfare.v1"},
			{"/ws", "Sec-WebSocket-Protocol: bearer." + token + ",fanfare.v1", "fanfare.v1"},
			{"/ws", "Sec-WebSocket-Protocol: bearer." + token, ""},
			{"/ws", "Cookie: other=1; session=" + token, ""},
			{"/ws?x=1&token=" + token, "X-Nothing: here", ""},
		} {
			r, p := in.shake(how.path, how.header)
			if got := r.Header.Get("Sec-WebSocket-Protocol"); r.StatusCode != http.StatusSwitchingProtocols || got != how.chosen {
				t.Errorf("%.40s: %d, subprotocol %q", how.header, r.StatusCode, got)
			}
			if strings.Contains(fmt.Sprint(r.Header), token) {
				t.Errorf("%.40s: the token was echoed", how.header)
			}
			p.wantMatch(`"type":"welcome"`, `"user":"alice"`)
		}
		for _, header := range []string{"Authorization: Bearer " + token, "Cookie: session=" + token, "Sec-WebSocket-Protocol: bearer." + token} {
			_, p := in.shake("/ws/secure", header)
			p.want("Authenticated with credential: alice")
		}
	})
}

func TestTheFirstCredentialCounts(t *testing.T) {
	t.Parallel()
	in := startJWT(t, gateway.Config{})
	alice, bob := mint(t, auth.Claims{User: "alice"}), mint(t, auth.Claims{User: "bob"})
	_, p := in.shake("/ws?token="+alice, "Cookie: session="+alice, "Sec-WebSocket-Protocol: fanfare.v1, bearer."+alice, "Authorization: Bearer "+bob)
	p.wantMatch(`"user":"bob"`)
	_, p = in.shake("/ws?token="+alice, "Cookie: session="+bob)
	p.wantMatch(`"user":"bob"`)
	_, p = in.shake("/ws?token="+alice, "Authorization: Bearer nonsense") // a good one after it does not mend it
	p.wantEnd(1008, noCredential)
}

func TestWithoutAValidCredentialASocketIsClosed(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		byClose := startJWT(t, gateway.Config{Loop: c})
		byHTTP := startJWT(t, gateway.Config{Loop: c, RejectHTTP: true})
		foreign, err := auth.Mint("another secret of thirty-two bytes!", auth.Claims{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		hourAgo := func() time.Time { return time.Now().Add(-time.Hour) }
		n := 0
		for what, token := range map[string]string{
			"none": "", "nonsense": "nonsense", "another key's": foreign,
			"expired": mint(t, auth.Claims{User: "alice", Now: hourAgo, TTL: time.Minute}),
		} {
			for _, path := range []string{"/ws", "/ws/secure", "/ws/chat/7"} {
				r, p := byClose.shake(path + "?token=" + token)
				if r.StatusCode != http.StatusSwitchingProtocols {
					t.Errorf("%s on %s: %d", what, path, r.StatusCode)
				}
				p.wantEnd(1008, noCredential)
				r, p = byHTTP.shake(path + "?token=" + token)
				if r.StatusCode != http.StatusUnauthorized || r.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Errorf("%s on %s: %d %v", what, path, r.StatusCode, r.Header)
				}
				n++
			}
		}
		want := fmt.Sprint(n)
		for name, in := range map[string]*instance{
			`fanfare_sockets_closed_total{outcome="unauthorized"}`: byClose, `fanfare_handshakes_rejected_total{reason="unauthorized"}`: byHTTP,
		} {
			in.eventually(name+" is "+want, func() bool { return in.metric(name) == want })
		}
		if got := byHTTP.metric("fanfare_sockets_opened_total"); got != "0" {
			t.Errorf("%s sockets opened", got)
		}
		e := byHTTP.dial("/ws/echo") // open to all
		e.send("x")
		e.want("Message text was: x")
	})
}

func TestPermissionsHoldForEveryCommand(t *testing.T) {
	t.Parallel()
	in := startJWT(t, gateway.Config{})
	all := in.dial("/ws?token=" + mint(t, auth.Claims{User: "root"}))
	all.wantMatch(`"user":"root"`)
	epoch, _, _ := all.joined(`{"type":"join","room":"news"}`)
	all.publish("news", 1, 3)
	all.publish("team-a", 1, 2)
	p := in.dial("/ws?token=" + mint(t, auth.Claims{User: "alice", Permissions: rules(t,
		"team-*=join,publish,history", "news=join", "inbox=publish", "inbox-*=history")}))
	p.wantMatch(`"user":"alice"`)
	for _, command := range []string{
		`{"type":"join","room":"other"`, `{"type":"join","room":"tea"`, `{"type":"join","room":"xteam-a"`, `{"type":"join","room":"inbox"`,
		`{"type":"join","room":"inbox-1","last":1`, `{"type":"join","room":"news","last":1`,
		`{"type":"publish","room":"news","data":1`, `{"type":"publish","room":"other","data":1,"key":"k"`,
	} {
		p.send(command + `,"id":1}`)
		p.want(`{"type":"error","id":1,"code":"forbidden","message":"not permitted in this room"}`)
	}
	p.joined(`{"type":"join","room":"team-a","last":5}`)
	p.wantMessages2("root", "team-a", 1, 2)
	p.send(`{"type":"publish","room":"inbox","data":1,"id":2}`) // no member
	p.want(`{"type":"ack","id":2,"offset":1}`)
	// Without the permission history the position is not recovered; last beside since means nothing.
	for _, last := range []string{``, `,"last":2`} {
		p.send(fmt.Sprintf(`{"type":"join","room":"news","since":{"epoch":%q,"offset":1}%s,"id":3}`, epoch, last))
		p.want(fmt.Sprintf(`{"type":"joined","room":"news","id":3,"epoch":%q,"offset":3,"recovered":false}`, epoch))
	}
	all.publish("news", 4, 4)
	p.wantMessages2("root", "news", 4, 4)
	all.send(`{"type":"publish","room":"news","data":"to me too","id":4}`)
	all.wantMatch(`"offset":5`)
	all.wantMatch(`"offset":5`)
}

// wantMessages2 is wantMessages for messages of a known user.
func (p *peer) wantMessages2(user, room string, from, to int) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		p.want(fmt.Sprintf(`{"type":"message","room":%q,"from":%q,"offset":%d,"data":%d}`, room, user, n, n))
	}
}

func TestChatWithoutPermissionIsClosed(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := startJWT(t, gateway.Config{Loop: c})
		token := mint(t, auth.Claims{User: "alice", Permissions: rules(t, "talk=join,publish", "news=join")})
		for _, path := range []string{"/ws/chat/1?token=", "/ws/chat/1?room=other&token="} {
			_, p := in.shake(path + token)
			p.wantEnd(1008, "not permitted")
		}
		_, reader := in.shake("/ws/chat/1?room=news&token=" + token)
		in.eventually("it is a member", func() bool { return in.metric("fanfare_members") == "1" })
		reader.send("may I?")
		reader.wantEnd(1008, "not permitted")
		_, a := in.shake("/ws/chat/2?room=talk&token=" + token)
		in.eventually("2 is a member", func() bool { return in.metric("fanfare_members") == "1" })
		_, b := in.shake("/ws/chat/3?room=talk&token=" + token)
		b.send("I may")
		a.want("Client #3 joined the chat")
		a.want("Client #3 says: I may")
	})
}
