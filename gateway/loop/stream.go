package loop

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// stream is a net.Conn served by two goroutines, for TLS and where there is no epoll. The reader
// hands what it read to the loop and waits until the loop is done with it; the writer sends what
// the loop staged. To the loop it looks like a descriptor: send never waits and may be short, and
// the socket is told when there is room again.
type stream struct {
	conn net.Conn
	loop *Loop
	ref  Ref
	next chan struct{} // the loop is done with what was read; closed when the stream is

	mu     sync.Mutex
	staged []byte // guarded by mu; at most maxStaged
	short  bool   // a send was short: tell the loop when there is room; guarded by mu
	shut   bool   // nothing more will be staged; guarded by mu
	closed bool   // guarded by mu
	work   *sync.Cond
}

const maxStaged = 64 << 10

// sendBuffer is SO_SNDBUF: what a peer that does not read costs the kernel.
const sendBuffer = 64 << 10

// streamTimeout bounds one write, as TCP_USER_TIMEOUT does on a descriptor.
const streamTimeout = time.Minute

// acceptStreams lets in connections until the listener is closed.
func (g *Group) acceptStreams(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, a failed TLS set-up: go on, but not in a busy loop
			g.cfg.Logger.Warn("accepting", "error", err)
			select {
			case <-time.After(time.Second / 10):
			case <-g.ctx.Done():
				return
			}
			continue
		}
		if g.crowded() {
			g.door.Refuse(Crowded)
			abort(c)
			continue
		}
		if tcp, ok := bare(c).(*net.TCPConn); ok {
			tcp.SetWriteBuffer(sendBuffer)
		}
		l := g.place(nil)
		g.streams.Go(func() { g.admitStream(l, c) })
	}
}

// bare is the connection below TLS.
func bare(c net.Conn) net.Conn {
	if t, ok := c.(*tls.Conn); ok {
		return t.NetConn()
	}
	return c
}

// abort closes a connection without waiting. A [tls.Conn] would first try to say so, for up to 5 s
// where the peer takes nothing, and loops do not wait.
func abort(c net.Conn) { bare(c).Close() }

// connPeer is the other side of a net.Conn.
type connPeer struct{ net.Conn }

func (p connPeer) Addr() netip.AddrPort {
	a, _ := netip.ParseAddrPort(p.RemoteAddr().String())
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (p connPeer) TLS() bool {
	_, ok := p.Conn.(*tls.Conn)
	return ok
}

// admitStream takes a connection through the door and reads it until its end.
func (g *Group) admitStream(l *Loop, c net.Conn) {
	stop := context.AfterFunc(g.ctx, func() { abort(c) }) // Close ends handshakes too
	defer stop()
	answer := func(response []byte) {
		c.SetDeadline(time.Now().Add(closeWait * time.Second))
		if _, err := c.Write(response); err == nil {
			if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
				var sink [512]byte
				for err == nil { // until the peer has read it all
					_, err = c.Read(sink[:])
				}
			}
		}
		c.Close()
		l.release()
	}

	c.SetDeadline(time.Now().Add(g.cfg.HandshakeTimeout))
	data, end := make([]byte, 0, 2048), 0
	for end == 0 {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		seen := len(data)
		n, err := c.Read(data[seen:cap(data)])
		data = data[:seen+n]
		if n == 0 {
			if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
				answer(g.door.Refuse(HandshakeTimeout))
				return
			}
			c.Close()
			l.release()
			return
		}
		var bad bool
		var why Refusal
		if end, bad, why = headerBlock(data, seen, g.cfg.MaxHeader); bad {
			answer(g.door.Refuse(why))
			return
		}
	}
	v := g.door.Admit(data[:end], connPeer{c}, g.full())
	switch {
	case v.HTTP:
		c.SetDeadline(time.Time{})
		l.release()
		g.door.Pass(g.prefixed(c, data))
	case v.Handler == nil:
		answer(v.Response)
	default:
		c.SetDeadline(time.Time{})
		st := &stream{conn: c, loop: l, next: make(chan struct{}, 1)}
		st.work = sync.NewCond(&st.mu)
		attached := l.Call(func() {
			if l.stopped {
				st.close()
				l.release()
				return
			}
			s := &Socket{stream: st, fd: -1}
			l.add(s)
			st.ref = s.Ref()
			s.queue(v.Response)
			l.opened(s, v)
			st.consumed()
		})
		if !attached {
			st.close()
			l.release()
			return
		}
		g.streams.Go(st.write)
		st.read(data[end:])
	}
}

// read feeds the loop until the connection ends. The first bytes came with the handshake.
func (st *stream) read(first []byte) {
	buf := make([]byte, 4096)
	if len(first) > 0 {
		if _, open := <-st.next; !open {
			return
		}
		st.loop.inbox.put(item{ref: st.ref, data: first})
	}
	for {
		if _, open := <-st.next; !open { // st.ref is set by now
			return
		}
		n, err := st.conn.Read(buf)
		if n == 0 && err == nil {
			st.consumed()
			continue
		}
		st.loop.inbox.put(item{ref: st.ref, data: buf[:n]}) // n = 0: the end
		if n == 0 {
			return
		}
	}
}

// consumed lets the reader go on. Called on the loop's goroutine, or by the reader itself.
func (st *stream) consumed() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.closed {
		select {
		case st.next <- struct{}{}:
		default:
		}
	}
}

// send stages what fits. Called on the loop's goroutine.
func (st *stream) send(p []byte) (n int, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed || st.shut {
		return 0, false
	}
	n = min(len(p), maxStaged-len(st.staged))
	st.staged = append(st.staged, p[:n]...)
	st.short = n < len(p)
	st.work.Signal()
	return n, true
}

// shutdownWrite ends our side after what is staged.
func (st *stream) shutdownWrite() {
	st.mu.Lock()
	st.shut = true
	st.work.Signal()
	st.mu.Unlock()
}

// close ends both goroutines. What is staged and not sent is lost.
func (st *stream) close() {
	st.mu.Lock()
	if !st.closed {
		st.closed = true
		close(st.next)
		st.work.Signal()
	}
	st.mu.Unlock()
	abort(st.conn)
}

// write sends what is staged until the stream is closed or shut.
func (st *stream) write() {
	var sending []byte
	for {
		st.mu.Lock()
		for len(st.staged) == 0 && !st.shut && !st.closed {
			st.work.Wait()
		}
		if st.closed {
			st.mu.Unlock()
			return
		}
		sending, st.staged = st.staged, sending[:0]
		tell := st.short
		st.short = false
		last := st.shut && len(sending) == 0
		st.mu.Unlock()
		if last {
			if w, ok := st.conn.(interface{ CloseWrite() error }); ok {
				w.CloseWrite()
			}
			return
		}
		st.conn.SetWriteDeadline(time.Now().Add(streamTimeout))
		if _, err := st.conn.Write(sending); err != nil {
			abort(st.conn) // the reader tells the loop
			return
		}
		if tell {
			st.loop.Do(st.ref, func(s *Socket) { st.loop.writable(s) })
		}
		if cap(sending) > 4096 {
			sending = nil // an idle socket keeps little
		}
	}
}
