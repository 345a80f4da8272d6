package loop

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

func TestAClientsCloseIsEchoedWithItsCode(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr})
		for _, c := range []struct {
			name, payload string
			code          ws.StatusCode
			outcome       Outcome
		}{
			{"normal", "\x03\xe8bye", 1000, ClientClosed},
			{"application", "\x0f\xa0", 4000, ClientClosed},
			{"no code", "", 0, ClientClosed},
			{"half a code", "\x03", 1002, ProtocolError},
			{"reserved code", "\x03\xed", 1002, ProtocolError},
			{"reason not UTF-8", "\x03\xe8\xff", 1007, InvalidText},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := r.closed(c.outcome)
				p := r.dial("room", false)
				p.send(ws.OpPing, "x")
				p.send(ws.OpClose, c.payload)
				ws.WriteFrame(p.conn, ws.MaskFrame(ws.NewPingFrame([]byte("after the close"))))
				if f := p.next(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "x" {
					t.Fatalf("got %v %q, want one pong", f.Header.OpCode, f.Payload)
				}
				f := p.next()
				code, _ := ws.ParseCloseFrameData(f.Payload)
				if len(f.Payload) == 0 {
					code = 0
				}
				if f.Header.OpCode != ws.OpClose || code != c.code {
					t.Fatalf("got %v %d, want close %d", f.Header.OpCode, code, c.code)
				}
				p.wantEnd()
				if n := r.closed(c.outcome) - before; n != 1 {
					t.Errorf("outcome %s counts %d, want 1", c.outcome, n)
				}
			})
		}
	})
}

func TestWhatWasSentBeforeTheEndArrives(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 1})
		c := r.dial("room", false)
		r.on(c.s, func() {
			b := &Broadcast{Room: "room"}
			b.Frames[0] = ws.MustCompileFrame(ws.NewTextFrame([]byte("message")))
			c.s.loop.append(b)
			sendText(c.s, "own")
			c.s.End(Internal, "a reason of its own")
			c.s.End(Drained)
			sendText(c.s, "too late")
		})
		c.want("own")
		c.want("message")
		f := c.next()
		if code, reason := ws.ParseCloseFrameData(f.Payload); code != 1011 || reason != "a reason of its own" {
			t.Fatalf("got close %d %q", code, reason)
		}
		c.wantEnd()
		if r.closed(Internal) != 1 || r.closed(Drained) != 0 {
			t.Error("the first outcome is not the one that counts")
		}
	})
}

func TestBrokenConnectionsAreLost(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr})
		for i, how := range []func(*net.TCPConn){
			func(c *net.TCPConn) { c.Close() },
			func(c *net.TCPConn) { c.SetLinger(0); c.Close() }, // a reset
			func(c *net.TCPConn) { c.CloseWrite() },
			func(c *net.TCPConn) { io.WriteString(c, "\x81\xff"); c.SetLinger(0); c.Close() }, // within a frame
		} {
			c := r.dial("room", false)
			how(c.conn.(*net.TCPConn))
			r.eventually("the socket is lost", func() bool { return r.closed(Lost) == uint64(i+1) && r.g.Held() == 0 })
		}
		for _, l := range r.g.Loops() {
			if n := l.Stats().Members.Load() + l.Stats().Rooms.Load(); n != 0 {
				t.Errorf("%d members and rooms are left", n)
			}
		}
	})
}

func TestAPeerThatNeverEndsItsSideIsDropped(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr})
		c := r.dial("room", false)
		r.on(c.s, func() { c.s.End(Drained) })
		c.wantClose(1012)
		io.WriteString(c.conn, "it goes on talking")
		r.tick(closeWait)
		r.eventually("the connection is gone", func() bool { return r.g.Held() == 0 })
		if r.closed(Lost) != 0 || r.closed(Drained) != 1 {
			t.Error("the socket was counted twice")
		}
	})
}

func TestAllAreEndedAlsoWhoComesLate(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 2})
		cs := []*client{r.dial("room", false), r.dial("room", false), r.dial("", false)}
		r.g.EndAll(Drained)
		for _, c := range cs {
			c.wantClose(1012)
		}
		r.dial("room", false).wantClose(1012)
	})
}

func TestNothingIsLeftOfAThousandSockets(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 2})
		for round := range 2 {
			var wg sync.WaitGroup
			gate := make(chan struct{}, 50)
			for i := range 500 {
				gate <- struct{}{}
				wg.Go(func() {
					defer func() { <-gate }()
					conn, err := net.Dial("tcp", r.addr)
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					io.WriteString(conn, "GET /a,b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
						"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+
						"\x81\x85\x00\x00\x00\x00hello"[:[]int{11, 7, 0}[i%3]])
					if i%3 == 0 {
						var buf [512]byte
						for got := ""; !strings.Contains(got, "ack hello"); {
							n, err := conn.Read(buf[:])
							if err != nil {
								t.Error(err)
								return
							}
							got += string(buf[:n])
						}
					}
				})
			}
			wg.Wait()
			r.eventually("no connection is held", func() bool { return r.g.Held() == 0 })
			for _, l := range r.g.Loops() {
				r.onLoop(l, func() {
					if len(l.free) != len(l.sockets) || len(l.rooms) != 0 || l.Stats().Members.Load() != 0 || l.stats.held.Load() != 0 {
						t.Errorf("round %d: %d of %d slots are free, %d rooms, %d members", round, len(l.free), len(l.sockets), len(l.rooms), l.Stats().Members.Load())
					}
				})
			}
			if r.g.Open() != 0 {
				t.Errorf("%d open", r.g.Open())
			}
		}
		r.mu.Lock()
		n := len(r.sockets)
		r.mu.Unlock()
		if n < 300 {
			t.Errorf("only %d sockets were opened", n)
		}
	})
}

func TestNoGoroutineIsLeftOfAGroup(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, tr := range []Transport{Auto, Goroutine} {
		r := newRig(t, Config{Transport: tr, Loops: 2})
		cs := []*client{r.dial("a", false), r.dial("a", false)}
		half, err := net.Dial("tcp", r.addr) // a handshake under way
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(half, "GET / HT")
		r.close()
		for _, c := range cs {
			c.wantEnd()
		}
		half.Close()
		r.eventually("the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before })
	}
}
