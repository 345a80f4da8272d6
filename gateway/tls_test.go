package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// startTLS runs a gateway behind TLS and returns how to trust it.
func startTLS(t *testing.T, c gateway.Config) (*instance, *tls.Config) {
	t.Helper()
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	c.Public = tls.NewListener(listen(t), &tls.Config{Certificates: s.TLS.Certificates})
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	return start(t, c), trust
}

func (in *instance) dialTLS(path string, trust *tls.Config) *peer {
	in.t.Helper()
	d := ws.Dialer{TLSConfig: trust, Timeout: patience}
	conn, br, _, err := d.Dial(context.Background(), "wss://"+in.public+path)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { conn.Close() })
	if br == nil {
		br = bufio.NewReader(conn)
	}
	return &peer{t: in.t, conn: conn, r: br}
}

func TestSocketsAndPagesShareAPortWithTLS(t *testing.T) {
	in, trust := startTLS(t, gateway.Config{})
	e := in.dialTLS("/ws/echo", trust)
	for _, text := range []string{"x", strings.Repeat("y", 60_000)} {
		e.send(text)
		e.want("Message text was: " + text)
	}
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer hc.CloseIdleConnections()
	for path, want := range map[string]int{"/": 200, "/healthz": 200, "/ws": 426, "/nothing": 404} {
		res, err := hc.Get("https://" + in.public + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
	// Both ends of the close handshake.
	e.write(ws.OpClose, true, "\x03\xe8")
	e.wantClose(1000)
	e = in.dialTLS("/ws/secure", trust)
	e.wantClose(1008)
}

func TestASameHostPageMayConnectWithTLS(t *testing.T) {
	in, trust := startTLS(t, gateway.Config{})
	for origin, want := range map[string]int{"https://example.com": 101, "http://example.com": 403, "https://evil.example": 403} {
		c, err := tls.Dial("tcp", in.public, trust)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, "GET /ws/echo HTTP/1.1\r\n"+handshake+"Origin: "+origin+"\r\n\r\n")
		if res := in.answer(c); res.StatusCode != want {
			t.Errorf("from %s: %s, want %d", origin, res.Status, want)
		}
		c.Close()
	}
}

func TestWhoSpeaksNoTLSIsLetGo(t *testing.T) {
	in, trust := startTLS(t, gateway.Config{Loop: loop.Config{HandshakeTimeout: time.Second}})
	plain, silent := in.connect(), in.connect()
	io.WriteString(plain, "GET / HTTP/1.1\r\n\r\n")
	if _, err := io.ReadAll(plain); err != nil {
		t.Errorf("plain HTTP: %v", err)
	}
	if _, err := io.ReadAll(silent); err != nil {
		t.Errorf("silent: %v", err)
	}
	e := in.dialTLS("/ws/echo", trust)
	e.send("x")
	e.want("Message text was: x")
}
