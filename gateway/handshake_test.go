package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// lines of a proper handshake, in the order in which tests change them.
const (
	hostLine    = "Host: example.com\r\n"
	upgradeLine = "Upgrade: websocket\r\n"
	connLine    = "Connection: Upgrade\r\n"
	keyLine     = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	versionLine = "Sec-WebSocket-Version: 13\r\n"
	handshake   = hostLine + upgradeLine + connLine + keyLine + versionLine
)

// connect opens a TCP connection.
func (in *instance) connect() net.Conn {
	in.t.Helper()
	c, err := net.Dial("tcp", in.public)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// ask sends bytes and reads the answer; one that is no upgrade has to end the connection properly.
func (in *instance) ask(request string) *http.Response {
	in.t.Helper()
	c := in.connect()
	if _, err := io.WriteString(c, request); err != nil {
		in.t.Fatal(err)
	}
	return in.answer(c)
}

func (in *instance) answer(c net.Conn) *http.Response {
	in.t.Helper()
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, nil)
	if err != nil {
		in.t.Fatalf("reading the answer: %v", err)
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		return res
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatalf("reading the answer's body: %v", err)
	}
	res.Body = io.NopCloser(strings.NewReader(string(body)))
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
		in.t.Fatalf("after the answer came %q and %v, want the end of the stream", rest, err)
	}
	return res
}

// replaced changes a part of the proper handshake.
func replaced(line, with string) string {
	if !strings.Contains(handshake, line) {
		panic(line)
	}
	return strings.Replace(handshake, line, with, 1)
}

func TestHandshakes(t *testing.T) {
	tests := []struct {
		name    string
		request string // after the method; empty lines are added
		status  int
	}{
		{"proper", "GET /ws/echo HTTP/1.1\r\n" + handshake, 101},
		{"names in any case", "GET /ws/echo HTTP/1.1\r\n" + strings.ToLower(hostLine+upgradeLine+connLine+versionLine) + keyLine, 101},
		{"WebSocket", "GET /ws/echo HTTP/1.1\r\n" + replaced(upgradeLine, "Upgrade: WebSocket\r\n"), 101},
		{"no space after colons", "GET /ws/echo HTTP/1.1\r\n" + strings.ReplaceAll(handshake, ": ", ":"), 101},
		{"space around values", "GET /ws/echo HTTP/1.1\r\n" + strings.ReplaceAll(strings.ReplaceAll(handshake, ": ", ": \t "), "\r\n", " \t\r\n"), 101},
		{"Upgrade list", "GET /ws/echo HTTP/1.1\r\n" + replaced(upgradeLine, "Upgrade: foo/2, websocket\r\n"), 101},
		{"Upgrade twice", "GET /ws/echo HTTP/1.1\r\n" + replaced(upgradeLine, "Upgrade: foo\r\nUpgrade: websocket\r\n"), 101},
		{"Upgrade twice, other order", "GET /ws/echo HTTP/1.1\r\n" + replaced(upgradeLine, "Upgrade: websocket\r\nUpgrade: foo\r\n"), 101},
		{"Connection list", "GET /ws/echo HTTP/1.1\r\n" + replaced(connLine, "Connection: keep-alive, Upgrade\r\n"), 101},
		{"Connection twice", "GET /ws/echo HTTP/1.1\r\n" + replaced(connLine, "Connection: keep-alive\r\nConnection: upgrade\r\n"), 101},
		{"extensions are declined", "GET /ws/echo HTTP/1.1\r\n" + handshake + "Sec-WebSocket-Extensions: permessage-deflate; frobnicate=1\r\n", 101},
		{"header as large as may be", "GET /ws/echo HTTP/1.1\r\n" + handshake + "X: " + strings.Repeat("x", 8192-len("GET /ws/echo HTTP/1.1\r\n"+handshake+"X: \r\n\r\n")) + "\r\n", 101},

		{"Host missing", "GET /ws/echo HTTP/1.1\r\n" + replaced(hostLine, ""), 400},
		{"Host twice", "GET /ws/echo HTTP/1.1\r\n" + hostLine + handshake, 400},
		{"Connection missing", "GET /ws/echo HTTP/1.1\r\n" + replaced(connLine, ""), 400},
		{"Connection without upgrade", "GET /ws/echo HTTP/1.1\r\n" + replaced(connLine, "Connection: keep-alive\r\n"), 400},
		{"Key missing", "GET /ws/echo HTTP/1.1\r\n" + replaced(keyLine, ""), 400},
		{"Key twice", "GET /ws/echo HTTP/1.1\r\n" + keyLine + handshake, 400},
		{"Key no base64", "GET /ws/echo HTTP/1.1\r\n" + replaced(keyLine, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n"), 400},
		{"Key of 18 bytes", "GET /ws/echo HTTP/1.1\r\n" + replaced(keyLine, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWFi\r\n"), 400},
		{"Key of 15 bytes", "GET /ws/echo HTTP/1.1\r\n" + replaced(keyLine, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n"), 400},
		{"Version twice", "GET /ws/echo HTTP/1.1\r\n" + handshake + "Sec-WebSocket-Version: 8\r\n", 400},
		{"HTTP/1.0", "GET /ws/echo HTTP/1.0\r\n" + handshake, 400},
		{"folded header", "GET /ws/echo HTTP/1.1\r\n" + handshake + "X: y\r\n folded\r\n", 400},
		{"space before a colon", "GET /ws/echo HTTP/1.1\r\n" + handshake + "X : y\r\n", 400},
		{"no colon", "GET /ws/echo HTTP/1.1\r\n" + handshake + "nonsense\r\n", 400},
		{"no name", "GET /ws/echo HTTP/1.1\r\n" + handshake + ": y\r\n", 400},
		{"a line end within", "GET /ws/echo HTTP/1.1\r\n" + handshake + "X: y\nHost: evil\r\n", 400},
		{"a NUL", "GET /ws/echo HTTP/1.1\r\n" + handshake + "X: \x00\r\n", 400},
		{"HTTP/2", "GET /ws/echo HTTP/2.0\r\n" + handshake, 400},
		{"two spaces", "GET  /ws/echo HTTP/1.1\r\n" + handshake, 400},
		{"client id not UTF-8", "GET /ws/chat/%ff HTTP/1.1\r\n" + handshake, 400},
		{"control character in the client id", "GET /ws/chat/a%00b HTTP/1.1\r\n" + handshake, 400},
		{"empty room", "GET /ws/chat/1?room= HTTP/1.1\r\n" + handshake, 400},
		{"query malformed", "GET /ws/chat/1?room=%zz HTTP/1.1\r\n" + handshake, 400},
		{"client id too long", "GET /ws/chat/" + strings.Repeat("x", 256) + " HTTP/1.1\r\n" + handshake, 400},

		{"version 8", "GET /ws/echo HTTP/1.1\r\n" + replaced(versionLine, "Sec-WebSocket-Version: 8\r\n"), 426},
		{"version missing", "GET /ws/echo HTTP/1.1\r\n" + replaced(versionLine, ""), 426},
		{"plain GET", "GET /ws HTTP/1.1\r\n" + hostLine, 426},
		{"plain GET of a chat", "GET /ws/chat/1?room=x HTTP/1.1\r\n" + hostLine, 426},
		{"plain GET, secure", "GET /ws/secure HTTP/1.1\r\n" + hostLine, 426},
		{"another upgrade", "GET /ws/echo HTTP/1.1\r\n" + replaced(upgradeLine, "Upgrade: h2c\r\n"), 426},
		{"POST", "POST /ws HTTP/1.1\r\nContent-Length: 0\r\n" + handshake, 426},

		{"unknown path", "GET /ws/nothing HTTP/1.1\r\n" + handshake, 404},
		{"chat without client id", "GET /ws/chat/ HTTP/1.1\r\n" + handshake, 404},
		{"more after the client id", "GET /ws/chat/1/2 HTTP/1.1\r\n" + handshake, 404},
		{"header too large", "GET /ws/echo HTTP/1.1\r\n" + handshake + "X: " + strings.Repeat("x", 8192) + "\r\n", 431},
	}
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		for _, c := range tests {
			t.Run(c.name, func(t *testing.T) {
				in := *in
				in.t = t
				res := in.ask(c.request + "\r\n")
				if res.StatusCode != c.status {
					body, _ := io.ReadAll(res.Body)
					t.Fatalf("got %s %q, want %d", res.Status, body, c.status)
				}
				switch c.status {
				case 101:
					if got := res.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
						t.Errorf("Sec-WebSocket-Accept: %q (RFC 6455 §1.3)", got)
					}
					if e := res.Header.Get("Sec-WebSocket-Extensions"); e != "" {
						t.Errorf("Sec-WebSocket-Extensions: %q", e)
					}
				case 426:
					if got := res.Header.Get("Upgrade"); got != "websocket" {
						t.Errorf("Upgrade: %q, want websocket", got)
					}
					if got := res.Header.Get("Sec-WebSocket-Version"); strings.HasPrefix(c.name, "version") && got != "13" {
						t.Errorf("Sec-WebSocket-Version: %q, want 13", got)
					}
				}
			})
		}
	})
}

func TestBytesThatAreNoHTTPAreAnswered400(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		for _, request := range []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00", "get / HTTP/1.1\r\n\r\n", "NONSENSE\r\n\r\n"} {
			if res := in.ask(request); res.StatusCode != 400 {
				t.Errorf("%q: got %s, want 400", request, res.Status)
			}
		}
	})
}

func TestAHandshakeMayComeInSingleBytesAndBringFrames(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		request := "GET /ws/echo HTTP/1.1\r\n" + handshake + "\r\n"
		frames := "\x81\x85\x00\x00\x00\x00first\x01\x83\x00\x00\x00\x00sec\x80\x83\x00\x00\x00\x00ond"
		for name, write := range map[string]func(net.Conn){
			"single bytes": func(c net.Conn) {
				for i := range len(request + frames) {
					io.WriteString(c, (request + frames)[i:i+1])
				}
			},
			"one packet":       func(c net.Conn) { io.WriteString(c, request+frames) },
			"cut in the frame": func(c net.Conn) { io.WriteString(c, request+frames[:3]); io.WriteString(c, frames[3:]) },
			"cut in the end": func(c net.Conn) {
				io.WriteString(c, request[:len(request)-2])
				io.WriteString(c, request[len(request)-2:]+frames)
			},
		} {
			conn := in.connect()
			write(conn)
			p := &peer{t: t, conn: conn, r: bufio.NewReader(conn)}
			if res, err := http.ReadResponse(p.r, nil); err != nil || res.StatusCode != 101 {
				t.Fatalf("%s: got %v, %v", name, res, err)
			}
			p.want("Message text was: first")
			p.want("Message text was: second")
		}
	})
}
