package loop

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// client is the other end of a socket of the rig's.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	s    *Socket
}

// dial opens a socket that is a member of the rooms. A narrow one has little room in its buffers.
func (r *rig) dial(rooms string, narrow bool) *client {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	if narrow {
		conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	}
	return r.upgrade(conn, rooms)
}

func (r *rig) upgrade(conn net.Conn, rooms string) *client {
	r.t.Helper()
	r.mu.Lock()
	before := len(r.sockets)
	r.mu.Unlock()
	io.WriteString(conn, "GET /"+rooms+" HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
	c := &client{t: r.t, conn: conn, r: bufio.NewReaderSize(conn, 1024)}
	c.deadline()
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = c.r.ReadString('\n'); err != nil {
			r.t.Fatal(err)
		}
	}
	r.mu.Lock()
	c.s = r.sockets[before]
	r.mu.Unlock()
	return c
}

func (c *client) deadline() { c.conn.SetDeadline(time.Now().Add(patience)) }

func (c *client) send(op ws.OpCode, payload string) {
	c.t.Helper()
	c.deadline()
	if err := ws.WriteFrame(c.conn, ws.MaskFrame(ws.NewFrame(op, true, []byte(payload)))); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) next() ws.Frame {
	c.t.Helper()
	c.deadline()
	h, err := ws.ReadHeader(c.r)
	f := ws.Frame{Header: h}
	if err == nil && h.Length <= 1<<20 {
		f.Payload = make([]byte, h.Length)
		_, err = io.ReadFull(c.r, f.Payload)
	}
	if err != nil {
		c.t.Fatalf("reading: %v", err)
	}
	if f.Header.OpCode > ws.OpBinary && f.Header.Length > 125 || f.Header.Length > 1<<20 || f.Header.Rsv != 0 || !f.Header.Fin {
		c.t.Fatalf("the stream is broken: frame header %+v", f.Header)
	}
	return f
}

func (c *client) want(text string) {
	c.t.Helper()
	if f := c.next(); f.Header.OpCode != ws.OpText || string(f.Payload) != text {
		c.t.Fatalf("got %v %.80q, want text %.80q", f.Header.OpCode, f.Payload, text)
	}
}

// wantClose reads a close frame and the end of the stream.
func (c *client) wantClose(code ws.StatusCode) {
	c.t.Helper()
	f := c.next()
	got, reason := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || got != code {
		c.t.Fatalf("got %v %d %q, want close %d", f.Header.OpCode, got, reason, code)
	}
	c.wantEnd()
}

func (c *client) wantEnd() {
	c.t.Helper()
	c.deadline()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("got %q and error %v, want the end of the stream", b, err)
	}
}
