package bench

import (
	"bytes"
	"compress/flate"
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// startGateway runs a real gateway and returns its URL.
func startGateway(t *testing.T, deflate bool) string {
	t.Helper()
	var listeners [2]net.Listener
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	gw, err := gateway.New(gateway.Config{
		Public: listeners[0], Ops: listeners[1], Deflate: deflate, Rate: -1, Drain: time.Second, Logger: slog.New(slog.DiscardHandler),
		Broker: memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: 100, TTL: time.Minute}}}),
	}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gw.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "ws://" + listeners[0].Addr().String() + "/ws"
}

func TestCompressedMessagesAreChecked(t *testing.T) {
	t.Parallel()
	url := startGateway(t, true)
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.Rate, c.Threads, c.InFlight = -1, 2, 64 },
		func(c *Config) { c.Sockets, c.Rooms, c.RoomsPerSocket, c.Publishers, c.Size = 12, 5, 3, 7, 3000 },
	} {
		cfg := short(url)
		cfg.Compression = true
		change(&cfg)
		rep := mustRun(t, cfg)
		if err := rep.Faults(); err != nil {
			t.Errorf("faults: %v", err)
		}
		if rep.Compressed < rep.Deliveries || rep.Deliveries == 0 {
			t.Errorf("%d messages came compressed, %d were delivered", rep.Compressed, rep.Deliveries)
		}
		if !strings.Contains(rep.String(), "came compressed") {
			t.Errorf("the report does not say so:\n%s", rep)
		}
	}
	plain := mustRun(t, short(url)) // without an offer
	if err := plain.Faults(); err != nil || plain.Compressed != 0 {
		t.Errorf("%d compressed, %v", plain.Compressed, err)
	}
}

func TestAServerThatDoesNotCompressIsAFault(t *testing.T) {
	t.Parallel()
	cfg := short(startGateway(t, false))
	cfg.Compression = true
	rep, err := Run(t.Context(), cfg, nil)
	if err == nil || rep.Failed != int64(cfg.Sockets) || !strings.Contains(err.Error(), "does not compress") {
		t.Errorf("%d failed, %v", rep.Failed, err)
	}
}

func TestACompressedFrameUnaskedIsAFault(t *testing.T) {
	l := &loop{r: &run{faults: map[string]int{}}, phase: measuring, buf: make([]byte, 100)}
	s := &socket{fd: -1, state: welcoming}
	if l.consume(s, []byte{finBit | rsv1Bit | opText, 1, 0}); s.state != ended || l.r.faults[errRSV.Error()] != 1 {
		t.Errorf("state %d, faults %v", s.state, l.r.faults)
	}
}

func TestTheInflaterRemembersAndIsBounded(t *testing.T) {
	f := newInflater(1000)
	deflate := func(text string) []byte {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.DefaultCompression)
		w.Write([]byte(text))
		w.Flush()
		return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
	}
	for _, text := range []string{"", "a", strings.Repeat("b", 1000)} {
		wire := deflate(text)
		for range 2 {
			if got, err := f.message(wire); err != nil || string(got) != text {
				t.Errorf("got %q, %v, want %q", got, err, text)
			}
		}
		if n := testing.AllocsPerRun(100, func() { f.message(wire) }); n != 0 {
			t.Errorf("%v allocations for the same again", n)
		}
	}
	if _, err := f.message(deflate(strings.Repeat("b", 1001))); err != errBomb {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := f.message([]byte("\xff\xff")); err == nil {
		t.Error("what is no DEFLATE is accepted")
	}
	if got, err := f.message(deflate("a")); err != nil || string(got) != "a" {
		t.Errorf("after faults: %q, %v", got, err)
	}
}
