package bench

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// short is a run of a moment at a rate: 4 publishers and 6 sockets in one room.
func short(urls ...string) Config {
	return Config{URLs: urls, Sockets: 6, Publishers: 4, Rate: 400, For: 300 * time.Millisecond, WarmUp: -1, Settle: -1, Timeout: 5 * time.Second}
}

func mustRun(t *testing.T, cfg Config) Report {
	t.Helper()
	rep, err := Run(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestAFaultlessServerHasNoFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		servers int
		change  func(*Config)
	}{
		{"at a rate", 1, func(*Config) {}},
		{"saturating", 1, func(c *Config) { c.Rate = -1 }},
		{"saturating with one in flight", 1, func(c *Config) { c.Rate, c.InFlight = -1, 1 }},
		{"with two loops", 1, func(c *Config) { c.Threads = 2 }},
		{"saturating with two loops", 1, func(c *Config) { c.Rate, c.Threads, c.InFlight = -1, 2, 5 }},
		{"in rooms", 1, func(c *Config) { c.Sockets, c.Rooms = 12, 3 }},
		{"with several rooms a socket", 1, func(c *Config) { c.Sockets, c.Rooms, c.RoomsPerSocket, c.Publishers = 12, 5, 3, 7 }},
		{"saturating with several rooms a socket", 1, func(c *Config) {
			c.Sockets, c.Rooms, c.RoomsPerSocket, c.Publishers, c.Rate, c.Threads = 12, 5, 3, 7, -1, 2
		}},
		{"with a warm-up", 1, func(c *Config) { c.WarmUp = 100 * time.Millisecond }},
		{"with the smallest data", 1, func(c *Config) { c.Size = MinSize }},
		{"with large data", 1, func(c *Config) { c.Size, c.Rate = 70_000, 40 }},
		{"at a connect rate", 1, func(c *Config) { c.ConnectRate = 100 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := short((&server{}).start(t).url)
			tc.change(&cfg)
			rep := mustRun(t, cfg)
			if err := rep.Faults(); err != nil {
				t.Errorf("faults: %v", err)
			}
			if rep.Uncompared != 0 || rep.Opened != int64(cfg.Sockets) {
				t.Errorf("%d sockets opened, %d not compared", rep.Opened, rep.Uncompared)
			}
			if rep.Published == 0 || rep.Deliveries == 0 || rep.Latency.P50 <= 0 || rep.Latency.Max < rep.Latency.P99 {
				t.Errorf("nothing measured: %+v", rep)
			}
		})
	}
}

func TestSocketsAreSpreadOverInstances(t *testing.T) {
	t.Parallel()
	a, b := (&server{}).start(t), (&server{}).start(t)
	cfg := short(a.url, b.url)
	cfg.Sockets, cfg.Rooms, cfg.Idle, cfg.For = 12, 2, true, time.Millisecond
	if err := mustRun(t, cfg).Faults(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*server{a, b} {
		s.mu.Lock()
		for name, room := range s.rooms {
			if len(room.members) != 3 {
				t.Errorf("%d members in room %s, want 3 on each instance", len(room.members), name)
			}
		}
		if s.nth != 6 || len(s.rooms) != 2 {
			t.Errorf("%d sockets in %d rooms, want 6 in 2", s.nth, len(s.rooms))
		}
		s.mu.Unlock()
	}
}

func TestProcessesAreAccounted(t *testing.T) {
	t.Parallel()
	cfg := short((&server{}).start(t).url)
	cfg.PIDs = []int{os.Getpid()}
	rep := mustRun(t, cfg)
	if s := rep.Server; s == nil || s.CPUPerAccept <= 0 || s.CPUPerJoin <= 0 || s.CPUPerDelivery <= 0 || s.Cores <= 0 {
		t.Errorf("server: %+v", rep.Server)
	}
	if g := rep.Generator; g.CPUPerDelivery <= 0 || g.CPUPerOpen <= 0 {
		t.Errorf("generator: %+v", g)
	}
	cfg.PIDs = []int{1 << 30}
	if _, err := Run(t.Context(), cfg, nil); err == nil {
		t.Error("a process that does not exist is accounted")
	}
}

// cancelAt ends a context when a line of progress has a word.
type cancelAt struct {
	word   string
	cancel context.CancelFunc
}

func (c cancelAt) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.word) {
		c.cancel()
	}
	return len(b), nil
}

func TestACancelledRunStopsAndReports(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := short((&server{}).start(t).url)
	cfg.For = time.Hour
	rep, err := Run(ctx, cfg, cancelAt{"measuring", cancel})
	if !errors.Is(err, context.Canceled) || rep.Published == 0 || rep.Faults() != nil {
		t.Errorf("error %v, %d published, faults %v", err, rep.Published, rep.Faults())
	}
}

func TestNoSocketIsAnError(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := "ws://" + ln.Addr().String()
	_ = ln.Close()
	cfg := short((&server{silent: true}).start(t).url)
	cfg.Timeout = 200 * time.Millisecond
	for url, want := range map[string]string{
		refusing:    "6 × connecting: connection refused",
		cfg.URLs[0]: "6 × timed out waiting for the answer to the upgrade",
	} {
		cfg.URLs = []string{url}
		if _, err := Run(t.Context(), cfg, nil); !errors.Is(err, errNoSocket) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	url := (&server{deliver: once(10, change("xxx\"}", "xxy\"}"))}).start(t).url
	args := strings.Fields("--url " + url + " --sockets 5 --rate 200 --for 200ms --warm-up 0 --settle 0 --json")
	var out, progress strings.Builder
	err := Command(t.Context(), args, &out, &progress)
	if err == nil || !strings.Contains(err.Error(), "1 lost, 1 corrupt") {
		t.Errorf("error %v, want 1 lost, 1 corrupt", err)
	}
	var rep Report
	if err := json.Unmarshal([]byte(out.String()), &rep); err != nil || rep.Lost != 1 || rep.Config.Sockets != 5 {
		t.Errorf("report %s: %v", out.String(), err)
	}
	for _, bad := range []string{"--size 10", "--url http://x", "--rooms 0", "--no-such-flag", "--pid x", "stray"} {
		if err := Command(t.Context(), strings.Fields(bad), &out, &progress); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if err := Command(t.Context(), []string{"--help"}, &out, &progress); err != nil {
		t.Errorf("--help: %v", err)
	}
}
