package loop

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// pipes is a listener of TLS connections over pipes, which hold not one byte: a peer that does not
// read has no room for a TLS good-bye either.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

func TestALoopDoesNotWaitForATLSGoodbye(t *testing.T) {
	s := httptest.NewTLSServer(nil) // for its certificate
	defer s.Close()
	trust := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	trust.ServerName = "example.com"
	ln := &pipes{make(chan net.Conn), make(chan struct{})}
	r := newRigOn(t, Config{Loops: 1}, ln)
	dial := func() *client {
		here, there := net.Pipe()
		t.Cleanup(func() { here.Close() })
		ln.conns <- tls.Server(there, &tls.Config{Certificates: s.TLS.Certificates})
		return r.upgrade(tls.Client(here, trust), "room")
	}
	c, other := dial(), dial()
	other.send(ws.OpText, "x")
	other.want("ack x")
	began := time.Now()
	r.on(c.s, func() { c.s.drop(Lost) })
	other.send(ws.OpText, "y")
	other.want("ack y")
	if d := time.Since(began); d > 3*time.Second { // the good-bye's own deadline is 5 s
		t.Errorf("the loop stood still for %s", d)
	}
}

func TestAHandshakeOverTLSIsEndedWithTheGroup(t *testing.T) {
	ln := &pipes{make(chan net.Conn), make(chan struct{})}
	r := newRigOn(t, Config{Loops: 1}, ln)
	here, there := net.Pipe()
	ln.conns <- tls.Server(there, &tls.Config{})
	here.SetDeadline(time.Now().Add(patience))
	r.g.Close()
	if n, err := here.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("got %d bytes, want the end", n)
	}
}
