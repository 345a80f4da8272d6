package faults

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Proxy stands between an instance and its Redis and can lose the network between them: bytes no
// longer come through, and nothing is closed.
type Proxy struct {
	Addr string // host:port

	to       string
	listener net.Listener
	tasks    sync.WaitGroup

	// Guarded by mu.
	mu    sync.Mutex
	open  chan struct{} // closed while bytes come through
	conns map[net.Conn]bool
	over  bool
}

// NewProxy listens on a free loopback port until the test ends.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), to: to, listener: l, open: make(chan struct{}), conns: make(map[net.Conn]bool)}
	close(p.open)
	p.tasks.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Drop loses everything that is sent, in both directions.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = make(chan struct{})
}

// Restore ends Drop. What was sent in the meantime arrives, as TCP has it.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.open)
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.tasks.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	if !p.keep(c) {
		return
	}
	defer p.forget(c)
	p.pass()
	up, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.to)
	if err != nil || !p.keep(up) {
		return
	}
	defer p.forget(up)
	var back sync.WaitGroup
	back.Go(func() { p.copy(c, up) })
	p.copy(up, c)
	back.Wait()
}

// copy ends both connections when one has ended, and word of that comes through.
func (p *Proxy) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.pass()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				_ = from.Close()
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

// pass waits while nothing comes through.
func (p *Proxy) pass() {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	<-open
}

// keep reports false, and closes the connection, when all is over.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.over = true
	for c := range p.conns {
		_ = c.Close()
	}
	select {
	case <-p.open:
	default:
		close(p.open)
	}
	p.mu.Unlock()
	p.tasks.Wait()
}
