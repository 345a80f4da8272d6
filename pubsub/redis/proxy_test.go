package redis_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between an instance and a server. When it is closed to traffic it goes on accepting
// connections and reading from them, and forwards nothing, as a network does that drops packets.
type proxy struct {
	addr string

	mu     sync.Mutex
	open   sync.Cond // closed is false
	closed bool
	pace   time.Duration // that 64 KiB take
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	p.open.L = &p.mu
	var all sync.WaitGroup
	var conns []net.Conn // those of the goroutine below
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				for _, c := range conns {
					_ = c.Close()
				}
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			conns = append(conns, client, server)
			all.Go(func() { p.forward(client, server) })
			all.Go(func() { p.forward(server, client) })
		}
	})
	t.Cleanup(func() {
		p.pass(true)
		_ = l.Close()
		all.Wait()
	})
	return p
}

func (p *proxy) forward(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		for p.closed {
			p.open.Wait()
		}
		pace := p.pace
		p.mu.Unlock()
		time.Sleep(pace * time.Duration(n) / (64 << 10))
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// slow has 64 KiB take so long.
func (p *proxy) slow(pace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pace = pace
}

// pass says whether there is traffic.
func (p *proxy) pass(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = !on
	p.open.Broadcast()
}
