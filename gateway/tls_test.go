package gateway_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// certificate makes one for 127.0.0.1, and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// secured is a gateway with TLS on its public port.
type secured struct {
	*instance
	client *tls.Config
}

func startTLS(t *testing.T) *secured {
	t.Helper()
	cert, pool := certificate(t)
	public := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	in := start(t, gateway.Config{Public: public, Loop: loop.Config{HandshakeTimeout: patience}})
	return &secured{in, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}}
}

func (in *secured) dialTLS(path string, headers ...string) (*peer, error) {
	h := http.Header{}
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		h.Add(k, v)
	}
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(h), Timeout: patience, TLSConfig: in.client}
	conn, br, _, err := d.Dial(context.Background(), "wss://"+in.public+path)
	if err != nil {
		return nil, err
	}
	in.t.Cleanup(func() { conn.Close() })
	if br != nil { // frames that came with the handshake
		return &peer{t: in.t, conn: conn, r: br}, nil
	}
	return &peer{t: in.t, conn: conn, r: bufio.NewReader(conn)}, nil
}

func (in *secured) mustDialTLS(path string, headers ...string) *peer {
	in.t.Helper()
	p, err := in.dialTLS(path, headers...)
	if err != nil {
		in.t.Fatalf("dialing %s: %v", path, err)
	}
	return p
}

func TestTLSSockets(t *testing.T) {
	t.Parallel()
	in := startTLS(t)
	e := in.mustDialTLS("/ws/echo")
	for _, text := range []string{"x", strings.Repeat("y", 60_000), ""} {
		e.send(text)
		e.want("Message text was: " + text)
	}
	a, b := in.mustDialTLS("/ws"), in.mustDialTLS("/ws")
	for _, p := range []*peer{a, b} {
		p.wantMatch(`"type":"welcome"`)
		p.joined(`{"type":"join","room":"r"}`)
	}
	const n = 50
	a.publish("r", 1, n) // in order, to the other only
	b.wantMessages("r", 1, n)
	b.send(`{"type":"publish","room":"r","data":"back"}`)
	a.wantMatch(`"data":"back"`)
	b.wantMatch(`"offset":51`) // the message and its ack, in either order
	b.wantMatch(`"offset":51`)
	if err := ws.WriteFrame(b.conn, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))); err != nil {
		t.Fatal(err)
	}
	b.wantClose(1000)
	in.eventually("only b has closed", func() bool {
		return in.metric(`fanfare_sockets_closed_total{outcome="client_closed"}`) == "1" && in.metric("fanfare_sockets_open") == "2"
	})
}

func TestTLSPagesAreOnTheSamePort(t *testing.T) {
	t.Parallel()
	in := startTLS(t)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: in.client.Clone()}, Timeout: patience}
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		path, part string
		status     int
	}{
		{"/", "<!doctype html>", http.StatusOK}, {"/fanfare.js", "WebSocket", http.StatusOK}, {"/healthz", "ok\n", http.StatusOK},
		{"/ws", "wss://", http.StatusUpgradeRequired}, {"/nothing", "", http.StatusNotFound},
	} {
		r, err := client.Get("https://" + in.public + c.path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != c.status || !strings.Contains(strings.ToLower(string(text)), strings.ToLower(c.part)) {
			t.Errorf("%s: %d %.60q %v", c.path, r.StatusCode, text, err)
		}
	}
}

func TestTLSIsPartOfTheOrigin(t *testing.T) {
	t.Parallel()
	in := startTLS(t)
	in.mustDialTLS("/ws/secure", "Origin: https://"+in.public, "Cookie: session=alice").want("Authenticated with credential: alice")
	host, _, _ := net.SplitHostPort(in.public)
	for _, origin := range []string{"http://" + host, "https://" + host, "https://evil.example"} { // other ports, other hosts
		if _, err := in.dialTLS("/ws", "Origin: "+origin); err != ws.StatusError(http.StatusForbidden) {
			t.Errorf("from %s: %v, want 403", origin, err)
		}
	}
}

func TestPlainTextOnATLSPortDoesNoHarm(t *testing.T) {
	t.Parallel()
	in := startTLS(t)
	before := in.mustDialTLS("/ws/echo")
	for _, first := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
		"\x00\xff\x16\x03 garbage",
		strings.Repeat("\x16\x03\x01", 5000),
	} {
		c, err := net.Dial("tcp", in.public)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, first); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		got, err := io.ReadAll(c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%.20q: the connection is still open", first)
		}
		if strings.Contains(string(got), " 101 ") {
			t.Errorf("%.20q was answered with %q", first, got)
		}
	}
	// One that says nothing, and one that goes at once, hold up nobody either.
	mute, err := net.Dial("tcp", in.public)
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	gone, err := net.Dial("tcp", in.public)
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, p := range []*peer{before, in.mustDialTLS("/ws/echo")} {
		p.send("x")
		p.want("Message text was: x")
	}
}
