package gateway

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/gateway/protocol"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

func TestWithoutAKeyOnlyThisMachineMayPublish(t *testing.T) {
	for addr, want := range map[string]int{
		"127.0.0.1:1": 0, "127.9.9.9:1": 0, "[::1]:1": 0, "[::ffff:127.0.0.1]:1": 0,
		"192.0.2.1:1": http.StatusForbidden, "10.0.0.1:1": http.StatusForbidden, "[fe80::1%eth0]:1": http.StatusForbidden,
		"": http.StatusForbidden, "@": http.StatusForbidden,
	} {
		r := httptest.NewRequest("POST", "/api/publish", nil)
		r.RemoteAddr = addr
		gw := new(Gateway)
		if got, _ := gw.apiAllowed(r); got != want {
			t.Errorf("from %q without a key: got %d, want %d", addr, got, want)
		}
		gw.cfg.APIKey = "key"
		r.Header.Set("Authorization", "Bearer key")
		if got, _ := gw.apiAllowed(r); got != 0 {
			t.Errorf("from %q with the key: got %d", addr, got)
		}
	}
}

func TestTheClientBehindTrustedProxies(t *testing.T) {
	p := proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1", "", "192.0.2.1"},
		{"192.0.2.1", "198.51.100.1", "192.0.2.1"}, // anybody can say so
		{"10.0.0.1", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1", "198.51.100.1,,", "10.0.0.1"},
		{"10.0.0.1", "unknown", "10.0.0.1"},
		{"::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"},
		{"::1", "10.0.0.2", "10.0.0.2"},
	} {
		if got := p.client(netip.MustParseAddr(c.peer), c.forwarded); got.Unmap() != netip.MustParseAddr(c.want) {
			t.Errorf("%s, X-Forwarded-For %q: got %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

// testGateway is one that does not run.
func testGateway(t *testing.T, cfg Config) *Gateway {
	t.Helper()
	for _, ln := range []*net.Listener{&cfg.Public, &cfg.Ops} {
		var err error
		if *ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*ln).Close() })
	}
	cfg.Broker, cfg.Logger = memory.New(memory.Config{}), slog.New(slog.DiscardHandler)
	gw, err := New(cfg, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return gw
}

func TestForwardingAllocatesTheFrameAndTheBroadcast(t *testing.T) {
	gw := testGateway(t, Config{Loop: loop.Config{Loops: 2, Transport: loop.Goroutine}})
	target := pubsub.Room("room")
	in := &interest{target: target, members: make([][loop.Encodings]int32, 2), active: true}
	in.members[0][0], in.members[1][0] = 1, 1
	m := &pubsub.Message{Target: target, Kind: pubsub.JSON, From: "alice", Payload: []byte(`{"x":"` + strings.Repeat("y", 200) + `"}`)}
	if n := testing.AllocsPerRun(100, func() {
		m.Position.Epoch = 1
		m.Position.Offset++
		gw.hub.forward(in, m)
	}); n > 2.2 { // the inboxes, which nobody empties here, grow now and then
		t.Errorf("%v allocations a message, want 2", n)
	}
}

func TestWindowsThatWereWideAreTrimmedAndCountedRight(t *testing.T) {
	gw := testGateway(t, Config{Loop: loop.Config{Loops: 1, Transport: loop.Goroutine}})
	h := gw.hub
	in := &interest{target: pubsub.Room("room"), members: make([][loop.Encodings]int32, 1), active: true}
	in.mu.Lock()
	h.widen(in)
	for n := range uint64(3 * maxWindowLen) {
		h.forward(in, &pubsub.Message{Target: in.target, Payload: []byte("x"), Position: pubsub.Position{Epoch: 1, Offset: n + 1}})
	}
	for enc := range loop.Encodings { // encodings are made for those who come back
		h.answer(in, &waiter{enc: loop.Encoding(enc), loop: gw.loops.Loops()[0], want: protocol.Want{Since: &pubsub.Position{Epoch: 1, Offset: 1}}})
	}
	kept, in0 := len(in.window), in.windowBytes
	in.mu.Unlock()
	want := 0
	for i := range in.window {
		want += in.window[i].size()
	}
	if kept != 3*maxWindowLen || in0 != want || h.kept.Load() != int64(want) {
		t.Errorf("%d messages of %d bytes counted as %d and %d", kept, want, in0, h.kept.Load())
	}
	h.narrow(in.wide.Add(wideFor - time.Millisecond))
	if len(in.window) != kept {
		t.Errorf("%d messages are left too early", len(in.window))
	}
	h.narrow(in.wide.Add(wideFor))
	if len(in.window) != maxWindowLen || len(h.wide) != 0 {
		t.Errorf("%d messages are left", len(in.window))
	}
	h.shrink(in, 0, 0)
	if in.windowBytes != 0 || h.kept.Load() != 0 {
		t.Errorf("%d and %d bytes are counted of nothing", in.windowBytes, h.kept.Load())
	}
}

func TestAWrongConfigurationIsReportedWhole(t *testing.T) {
	_, err := New(Config{Serve: []string{"pigeons"}, Burst: -1}, prometheus.NewRegistry())
	for _, part := range []string{"listener", "broker", "pigeons", "burst"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("the error says nothing of the %s: %v", part, err)
		}
	}
}

// What the door does may come from anyone: no header block may make it fail.
func FuzzAdmit(f *testing.F) {
	gw := &Gateway{metrics: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler)}
	for r := range gw.serves {
		gw.serves[r] = r > 0
	}
	for _, path := range []string{"/ws", "/ws/chat/1?room=x", "/ws/secure?token=%zz", "/"} {
		f.Add([]byte("GET " + path + " HTTP/1.1\r\nHost: x\r\nUpgrade: a, websocket\r\nConnection: Upgrade\r\nOrigin: http://x\r\n" +
			"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: fanfare.v1,bearer.x\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		block = append(block, "\r\n\r\n"...)
		v := door{gw}.Admit(block, fuzzPeer{}, false)
		if v.HTTP {
			return
		}
		status := string(v.Response[:min(12, len(v.Response))])
		if upgraded := status == "HTTP/1.1 101"; upgraded != (v.Handler != nil) || !strings.HasPrefix(status, "HTTP/1.1 ") {
			t.Fatalf("handler %v with the answer %q", v.Handler, v.Response)
		}
		if !strings.Contains(string(v.Response), "\r\n\r\n") {
			t.Fatalf("the answer is not whole: %q", v.Response)
		}
	})
}

type fuzzPeer struct{ io.Reader }

func (fuzzPeer) Addr() netip.AddrPort { return netip.AddrPort{} }
func (fuzzPeer) TLS() bool            { return false }

func TestAMessageIsCompressedOnceForAllLoops(t *testing.T) {
	gw := testGateway(t, Config{Deflate: true, Loop: loop.Config{Loops: 2, Transport: loop.Goroutine}})
	target := pubsub.Room("room")
	in := &interest{target: target, members: make([][loop.Encodings]int32, 2), active: true}
	const deflated = protocol.JSON | protocol.Deflated
	in.members[0][deflated], in.members[1][deflated] = 1, 2
	in.pos.Epoch = 1
	m := &pubsub.Message{Target: target, Kind: pubsub.JSON, Payload: []byte(`"` + strings.Repeat("y", 2000) + `"`)}
	m.Position = pubsub.Position{Epoch: 1, Offset: 1}
	gw.hub.forward(in, m)
	k := &in.window[0]
	made := k.frames
	if len(made[deflated]) == 0 || len(made[deflated]) >= len(made[protocol.JSON]) || made[protocol.Plain] != nil || made[protocol.Plain|protocol.Deflated] != nil {
		t.Errorf("made were %d, %d, %d, %d bytes, for members who are all of encoding %d", len(made[0]), len(made[1]), len(made[2]), len(made[3]), deflated)
	}
	if again := k.frame(deflated); &again[0] != &made[deflated][0] { // who comes back gets the same bytes
		t.Error("it was compressed again")
	}
}
