package loop

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestHeaderBlock(t *testing.T) {
	for _, c := range []struct {
		name        string
		data        string
		from, limit int
		end         int
		bad         bool
		why         Refusal
	}{
		{"whole", "GET\r\n\r\n", 0, 100, 7, false, 0},
		{"whole, and more", "GET\r\n\r\nmore\r\n\r\n", 0, 100, 7, false, 0},
		{"not yet", "GET\r\n\r", 0, 100, 0, false, 0},
		{"the end was looked at in part", "GET\r\n\r\n", 6, 100, 7, false, 0},
		{"exactly the limit", "GET\r\n\r\n", 0, 7, 7, false, 0},
		{"one more", "GET1\r\n\r\n", 0, 7, 0, true, HeaderTooLarge},
		{"no end within the limit", "GET12345", 0, 7, 0, true, HeaderTooLarge},
		{"at the limit without an end", "GET1234", 0, 7, 0, false, 0},
		{"a small block and much after it", "GET\r\n\r\n" + strings.Repeat("x", 1000), 0, 7, 7, false, 0},
		{"TLS", "\x16\x03\x01", 0, 100, 0, true, Malformed},
	} {
		if end, bad, why := headerBlock([]byte(c.data), c.from, c.limit); end != c.end || bad != c.bad || why != c.why {
			t.Errorf("%s: got %d, %v, %d", c.name, end, bad, why)
		}
	}
}

func TestACrowdIsTurnedAway(t *testing.T) {
	transports(t, func(t *testing.T, tr Transport) {
		r := newRig(t, Config{Transport: tr, Loops: 2, MaxSockets: 1})
		dial := func() net.Conn {
			c, err := net.Dial("tcp", r.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			return c
		}
		var silent []net.Conn
		for range 1 + Reserve/2 - 1 {
			silent = append(silent, dial())
		}
		// One more is for the HTTP server, and counts until that closes it.
		page := dial()
		io.WriteString(page, "GET /http HTTP/1.1\r\n\r\nbody")
		passed := <-r.passed
		var got [30]byte
		if n, err := io.ReadFull(passed, got[:len("GET /http HTTP/1.1\r\n\r\nbody")]); err != nil {
			t.Fatalf("the HTTP server reads %q, %v", got[:n], err)
		}
		r.eventually("all are held", func() bool { return r.g.Held() == len(silent) })
		if n, _ := dial().Read(got[:]); n != 0 {
			t.Errorf("one too many was answered %q", got[:n])
		}
		io.WriteString(passed, "answer")
		passed.Close()
		passed.Close()
		if b, err := io.ReadAll(page); err != nil || string(b) != "answer" {
			t.Errorf("the page is %q, %v", b, err)
		}
		c := r.dial("", false)
		c.send(ws.OpText, "x")
		c.want("ack x")
	})
}
