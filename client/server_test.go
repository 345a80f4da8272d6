package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/fanfare-ws/fanfare/client"
)

// peer is the gateway's end of one connection, played by a test.
type peer struct {
	net.Conn
	r      *bufio.Reader
	header http.Header // of the handshake
}

// command is what a test's gateway was asked; it keeps data as it came.
type command struct {
	Type, Room, User string
	ID               uint64
	Data             json.RawMessage
	Since            *client.Position
}

// serve runs play for each connection on a server that has upgraded it, and returns the server's
// URL. It ends with the test.
func serve(t *testing.T, play func(*peer) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = l.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if err := accept(conn, play); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("gateway: %v", err)
			}
			_ = conn.Close()
		}
	}()
	return "ws://" + l.Addr().String() + "/ws"
}

func accept(conn net.Conn, play func(*peer) error) error {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	p := &peer{Conn: conn, r: bufio.NewReader(conn), header: http.Header{}}
	upgrader := ws.Upgrader{
		Protocol: func(name []byte) bool { return string(name) == "fanfare.v1" },
		OnHeader: func(k, v []byte) error { p.header.Add(string(k), string(v)); return nil },
	}
	if _, err := upgrader.Upgrade(struct {
		io.Reader
		io.Writer
	}{p.r, conn}); err != nil {
		return err
	}
	return play(p)
}

func (p *peer) Read(b []byte) (int, error) { return p.r.Read(b) }

// say sends a text message.
func (p *peer) say(format string, args ...any) error {
	return wsutil.WriteServerText(p, fmt.Appendf(nil, format, args...))
}

func (p *peer) welcome() error {
	return p.say(`{"type":"welcome","socket":"s1","instance":"a","user":"ann","ping":30}`)
}

func (p *peer) next() (command, error) {
	var c command
	data, err := wsutil.ReadClientText(p)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(data, &c)
}

// frame reads one frame of the client's.
func (p *peer) frame() (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(p)
	if err != nil || h.Length > 1<<10 {
		return 0, nil, errors.Join(err, errors.New("no small frame"))
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(p, payload)
	ws.Cipher(payload, h.Mask, 0)
	return h.OpCode, payload, err
}

// await waits until the client has gone.
func (p *peer) await() error {
	_, err := io.Copy(io.Discard, p)
	if errors.Is(err, syscall.ECONNRESET) { // it went without reading everything
		return nil
	}
	return err
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func dial(t *testing.T, url string, o client.Options) *client.Conn {
	t.Helper()
	c, err := client.Dial(within(t), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
