package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

const secret = "a secret of at least 32 bytes, for tests"

func authenticator(t *testing.T) auth.Authenticator {
	t.Helper()
	j, err := auth.NewJWT(auth.JWTConfig{Key: secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func mint(t *testing.T, c auth.Claims) string {
	t.Helper()
	token, err := auth.Mint(secret, c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func origins(t *testing.T, list ...string) auth.Origins {
	t.Helper()
	o, err := auth.NewOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOrigins(t *testing.T) {
	for _, c := range []struct {
		name   string
		list   []string
		origin string // header lines
		status int
	}{
		{"no browser", nil, "", 101},
		{"same host", nil, "Origin: http://example.com\r\n", 101},
		{"same host, other port", nil, "Origin: http://example.com:81\r\n", 403},
		{"another host", nil, "Origin: https://evil.example\r\n", 403},
		{"ours as a prefix", nil, "Origin: http://example.com.evil.example\r\n", 403},
		{"null", nil, "Origin: null\r\n", 403},
		{"two", nil, "Origin: http://example.com\r\nOrigin: http://evil.example\r\n", 403},
		{"listed", []string{"https://app.example"}, "Origin: https://app.example\r\n", 101},
		{"listed, other scheme", []string{"https://app.example"}, "Origin: http://app.example\r\n", 403},
		{"not listed", []string{"https://app.example"}, "Origin: http://example.com\r\n", 403},
		{"any", []string{"*"}, "Origin: https://evil.example\r\n", 101},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := start(t, gateway.Config{Origins: origins(t, c.list...)})
			for _, path := range []string{"/ws", "/ws/echo", "/ws/secure?token=x", "/ws/chat/1"} {
				if res := in.ask("GET " + path + " HTTP/1.1\r\n" + handshake + c.origin + "\r\n"); res.StatusCode != c.status {
					t.Errorf("%s: got %s, want %d", path, res.Status, c.status)
				}
			}
		})
	}
}

func TestSubprotocols(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		for _, c := range []struct {
			name, path, headers string
			status              int
			chosen              string
		}{
			{"fanfare.v1", "/ws", "Sec-WebSocket-Protocol: fanfare.v1\r\n", 101, "fanfare.v1"},
			{"among others", "/ws", "Sec-WebSocket-Protocol: graphql-ws, fanfare.v1\r\n", 101, "fanfare.v1"},
			{"in a second header", "/ws", "Sec-WebSocket-Protocol: graphql-ws\r\nSec-WebSocket-Protocol: fanfare.v1\r\n", 101, "fanfare.v1"},
			{"with a token", "/ws", "Sec-WebSocket-Protocol: bearer.alice, fanfare.v1\r\n", 101, "fanfare.v1"},
			{"a token alone", "/ws", "Sec-WebSocket-Protocol: bearer.alice\r\n", 101, ""},
			{"none", "/ws", "", 101, ""},
			{"empty", "/ws", "Sec-WebSocket-Protocol:\r\n", 101, ""},
			{"only others", "/ws", "Sec-WebSocket-Protocol: graphql-ws, fanfare.v2\r\n", 400, ""},
			{"others and a token", "/ws", "Sec-WebSocket-Protocol: graphql-ws, bearer.alice\r\n", 400, ""},
			{"other case", "/ws", "Sec-WebSocket-Protocol: FANFARE.V1\r\n", 400, ""},
			{"a plain protocol has none", "/ws/echo", "Sec-WebSocket-Protocol: chat, bearer.alice\r\n", 101, ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				in := *in
				in.t = t
				res := in.ask("GET " + c.path + " HTTP/1.1\r\n" + handshake + c.headers + "\r\n")
				if got := strings.Join(res.Header.Values("Sec-WebSocket-Protocol"), "|"); res.StatusCode != c.status || got != c.chosen {
					t.Errorf("got %s with %q, want %d with %q", res.Status, got, c.status, c.chosen)
				}
			})
		}
	})
}

func TestCredentials(t *testing.T) {
	token := mint(t, auth.Claims{User: "alice"})
	expired := mint(t, auth.Claims{User: "alice", TTL: time.Minute, Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	other, err := auth.Mint("another secret of at least 32 bytes, for tests", auth.Claims{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, query string
		headers     []string
		good        bool
	}{
		{"header", "", []string{"Authorization: Bearer " + token}, true},
		{"subprotocol", "", []string{"Sec-WebSocket-Protocol: fanfare.v1, bearer." + token}, true},
		{"cookie", "", []string{"Cookie: a=b; session=" + token}, true},
		{"cookie and the same host", "", []string{"Cookie: session=" + token, "Origin: http://HOST"}, true},
		{"query", "?a=b&token=" + token, nil, true},
		{"none", "", nil, false},
		{"empty", "?token=", []string{"Authorization: Bearer ", "Cookie: session="}, false},
		{"expired", "?token=" + expired, nil, false},
		{"signed by another", "?token=" + other, nil, false},
		{"no token at all", "?token=alice", nil, false},
		{"a bad one is not passed over", "?token=" + token, []string{"Authorization: Bearer " + expired}, false},
		{"cookie from a foreign page", "", []string{"Cookie: session=" + token, "Origin: https://evil.example"}, false},
		{"token from a foreign page", "?token=" + token, []string{"Origin: https://evil.example"}, true},
	}
	transports(t, func(t *testing.T, lc loop.Config) {
		in := start(t, gateway.Config{Loop: lc, Auth: authenticator(t), Origins: origins(t, "*")})
		strict := start(t, gateway.Config{Loop: lc, Auth: authenticator(t), Origins: origins(t, "*"), RejectHTTP: true})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				in, strict := *in, *strict
				in.t, strict.t = t, t
				headers := func(in *instance) (h []string) {
					for _, line := range c.headers {
						h = append(h, strings.Replace(line, "HOST", in.public, 1))
					}
					return h
				}
				for path, greeting := range map[string]string{"/ws": `"user":"alice"`, "/ws/secure": "Authenticated with credential: alice"} {
					p := in.dial(path+c.query, headers(&in)...)
					if !c.good {
						p.wantClose(1008)
					} else {
						p.wantMatch(greeting)
					}
					request := strings.Replace("GET "+path+c.query+" HTTP/1.1\r\n"+handshake, "Host: example.com", "Host: "+strict.public, 1)
					for _, line := range headers(&strict) {
						request += line + "\r\n"
					}
					res := strict.ask(request + "\r\n")
					switch {
					case c.good && res.StatusCode != http.StatusSwitchingProtocols:
						t.Errorf("%s: got %s, want 101", path, res.Status)
					case !c.good && (res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") != "Bearer"):
						t.Errorf("%s with --reject=http: got %s and WWW-Authenticate %q", path, res.Status, res.Header.Get("WWW-Authenticate"))
					}
				}
			})
		}
		// Chat needs one too, and echo touches nobody.
		in.dial("/ws/chat/1").wantClose(1008)
		e := in.dial("/ws/echo")
		e.send("x")
		e.want("Message text was: x")
	})
}

func TestWhereNothingIsCheckedACookieIsNoName(t *testing.T) {
	in := start(t, gateway.Config{})
	in.dial("/ws", "Cookie: session=opaque").wantMatch(`"user":""`)
	in.dial("/ws?token=bob", "Cookie: session=opaque").wantMatch(`"user":"bob"`)
	in.dial("/ws/secure", "Cookie: session=opaque").want("Authenticated with credential: opaque")
	// But not one that some other page's script made the browser send.
	in = start(t, gateway.Config{Origins: origins(t, "*")})
	in.dial("/ws/secure", "Cookie: session=opaque", "Origin: https://evil.example").wantClose(1008)
}

func TestNoSecretIsInAnAnswer(t *testing.T) {
	in := start(t, gateway.Config{Auth: authenticator(t), RejectHTTP: true})
	res := in.ask("GET /ws?token=s3cr3t HTTP/1.1\r\n" + handshake + "Authorization: Bearer s3cr3t\r\n\r\n")
	body, _ := io.ReadAll(res.Body)
	if s := res.Status + string(body); strings.Contains(s, "s3cr3t") {
		t.Errorf("the answer has the token: %s", s)
	}
}
