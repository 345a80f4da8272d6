package gateway_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// patience is how long anything may take before a test fails.
const patience = 10 * time.Second

// instance is a gateway under test.
type instance struct {
	t           *testing.T
	public, ops string
	stop        func() error // what SIGTERM does; once
}

// start runs a gateway on the memory broker.
func start(t *testing.T, cfg gateway.Config) *instance {
	t.Helper()
	if cfg.Broker == nil {
		cfg.Broker = memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: 256, TTL: time.Minute}}})
	}
	var err error
	if cfg.Public == nil {
		cfg.Public = listen(t)
	}
	cfg.Ops = listen(t)
	if cfg.Name == "" {
		cfg.Name = "a"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	in := &instance{t: t, public: cfg.Public.Addr().String(), ops: "http://" + cfg.Ops.Addr().String()}
	gw, err := gateway.New(cfg, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gw.Run(ctx) }()
	in.stop = func() error {
		cancel()
		select {
		case err := <-done:
			done <- err
			return err
		case <-time.After(2 * patience):
			return errors.New("the gateway did not stop")
		}
	}
	t.Cleanup(func() {
		if err := in.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	in.eventually("readyz is 200", func() bool { return in.status(in.ops+"/readyz") == http.StatusOK })
	return in
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// eventually waits for a condition that nothing announces.
func (in *instance) eventually(what string, ok func() bool) {
	in.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			in.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func (in *instance) status(url string) int {
	r, err := http.Get(url)
	if err != nil {
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}

// metric is the value of a metric line that begins with name.
func (in *instance) metric(name string) string {
	in.t.Helper()
	r, err := http.Get(in.ops + "/metrics")
	if err != nil {
		in.t.Fatal(err)
	}
	defer r.Body.Close()
	for sc := bufio.NewScanner(r.Body); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), name+" "); ok {
			return rest
		}
	}
	return ""
}

// peer is a WebSocket client that shows every frame.
type peer struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
}

// dial opens a socket; headers are lines without line ends.
func (in *instance) dial(path string, headers ...string) *peer {
	in.t.Helper()
	p, err := in.tryDial(path, headers...)
	if err != nil {
		in.t.Fatalf("dialing %s: %v", path, err)
	}
	return p
}

func (in *instance) tryDial(path string, headers ...string) (*peer, error) {
	d := ws.Dialer{Timeout: patience}
	h := http.Header{}
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		if k == "Sec-WebSocket-Protocol" {
			d.Protocols = strings.Split(v, ", ")
			continue
		}
		h.Add(k, v)
	}
	d.Header = ws.HandshakeHeaderHTTP(h)
	conn, br, _, err := d.Dial(context.Background(), "ws://"+in.public+path)
	if err != nil {
		return nil, err
	}
	in.t.Cleanup(func() { conn.Close() })
	p := &peer{t: in.t, conn: conn, r: bufio.NewReader(conn)}
	if br != nil {
		b, _ := br.Peek(br.Buffered())
		p.r = bufio.NewReader(io.MultiReader(strings.NewReader(string(b)), conn))
	}
	return p, nil
}

func (p *peer) send(text string) {
	p.t.Helper()
	if err := wsutil.WriteClientText(p.conn, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// next is the next frame; control frames are shown too.
func (p *peer) next() ws.Frame {
	p.t.Helper()
	f, err := p.tryNext()
	if err != nil {
		p.t.Fatalf("reading: %v", err)
	}
	return f
}

func (p *peer) tryNext() (ws.Frame, error) {
	p.conn.SetReadDeadline(time.Now().Add(patience))
	return readFrame(p.r)
}

// readFrame reads a frame that may be large.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 64<<20 {
		return f, fmt.Errorf("a frame of %d bytes", f.Header.Length)
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// want reads one text frame.
func (p *peer) want(text string) {
	p.t.Helper()
	f := p.next()
	if f.Header.OpCode != ws.OpText || string(f.Payload) != text {
		p.t.Fatalf("got %v %q, want text %q", f.Header.OpCode, f.Payload, text)
	}
}

// wantMatch reads one text frame that has these parts.
func (p *peer) wantMatch(parts ...string) string {
	p.t.Helper()
	f := p.next()
	for _, part := range parts {
		if f.Header.OpCode != ws.OpText || !strings.Contains(string(f.Payload), part) {
			p.t.Fatalf("got %v %q, want text with %q", f.Header.OpCode, f.Payload, part)
		}
	}
	return string(f.Payload)
}

// wantClose reads a close frame and then the end of the stream.
func (p *peer) wantClose(code ws.StatusCode) {
	p.t.Helper()
	f := p.next()
	if f.Header.OpCode != ws.OpClose {
		p.t.Fatalf("got %v %q, want close %d", f.Header.OpCode, f.Payload, code)
	}
	if got, reason := ws.ParseCloseFrameData(f.Payload); got != code {
		p.t.Fatalf("got close %d %q, want %d", got, reason, code)
	}
	if f, err := p.tryNext(); err == nil {
		p.t.Fatalf("got %v %q after the close frame", f.Header.OpCode, f.Payload)
	}
}

// join opens a fanfare.v1 socket that is a member of the rooms.
func (in *instance) join(rooms ...string) *peer {
	in.t.Helper()
	p := in.dial("/ws")
	p.wantMatch(`{"type":"welcome","socket":"`, `"instance":"a","user":"","ping":30}`)
	for _, room := range rooms {
		p.send(`{"type":"join","room":"` + room + `","id":1}`)
		p.wantMatch(`{"type":"joined","room":"` + room + `","id":1`)
	}
	return p
}

// transports runs a test on both.
func transports(t *testing.T, test func(t *testing.T, c loop.Config)) {
	for _, tr := range []loop.Transport{loop.Auto, loop.Goroutine} {
		t.Run(string(tr), func(t *testing.T) {
			t.Parallel()
			test(t, loop.Config{Transport: tr})
		})
	}
}

// get fetches a URL.
func (in *instance) get(url string) (int, string) {
	in.t.Helper()
	res, err := http.Get(url)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}
