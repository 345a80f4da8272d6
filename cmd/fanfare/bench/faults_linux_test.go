package bench

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestEachWrongOfTheServerShowsAsItself(t *testing.T) {
	t.Parallel()
	type want struct {
		Checks
		Closed, Failed int64
		Errors         map[string]int
	}
	for _, tc := range []struct {
		name   string
		server *server
		change func(*Config)
		want   want
	}{
		{"one lost", &server{deliver: once(10, func(_ *peer, n int, m string) []string {
			if n == 10 {
				return nil
			}
			return []string{m}
		})}, nil, want{Checks: Checks{Lost: 1, Uncompared: 1}}},
		{"one twice", &server{deliver: once(10, func(_ *peer, n int, m string) []string {
			if n == 10 {
				return []string{m, m}
			}
			return []string{m}
		})}, nil, want{Checks: Checks{Duplicates: 1}}},
		{"two of one publisher swapped", &server{deliver: once(10, func(to *peer, n int, m string) []string {
			switch n {
			case 10:
				to.held = m
				return nil
			case 11:
				return []string{m, to.held}
			}
			return []string{m}
		})}, func(c *Config) { c.Publishers = 1 }, want{Checks: Checks{OutOfOrder: 1, Uncompared: 1}}},
		{"two of different publishers swapped", &server{deliver: once(10, swapPublishers)}, nil, want{Checks: Checks{Disagree: 1}}},
		{"one changed in its padding", &server{deliver: once(10, change("xxx\"}", "xxy\"}"))}, nil,
			want{Checks: Checks{Corrupt: 1, Lost: 1, Uncompared: 1}}},
		{"one without data", &server{deliver: once(10, change(`"data":{`, `"dada":{`))}, nil,
			want{Checks: Checks{Corrupt: 1, Lost: 1, Uncompared: 1}}},
		{"one that is no JSON", &server{deliver: once(10, change(`{"type":"message"`, `{"type";"message"`))}, nil,
			want{Checks: Checks{Corrupt: 1, Lost: 1, Uncompared: 1}}},
		{"one socket closed", &server{deliver: once(10, func(to *peer, _ int, _ string) []string {
			_ = ws.WriteFrame(to, ws.NewCloseFrame(ws.NewCloseFrameBody(1013, "slow")))
			to.gone = true
			return nil
		})}, func(c *Config) { c.Publishers = 1 }, want{Closed: 1, Errors: map[string]int{`closed by the server with 1013 "slow"`: 1}}},
		{"one socket cut off", &server{deliver: once(10, func(to *peer, _ int, _ string) []string {
			_ = to.Conn.(*net.TCPConn).CloseWrite()
			to.gone = true
			return nil
		})}, func(c *Config) { c.Publishers = 1 }, want{Closed: 1, Errors: map[string]int{"connection closed by the server without a close frame": 1}}},
		{"every third refused", &server{reject: func(nth int) int { return []int{0, 0, 503}[nth%3] }}, func(c *Config) { c.Sockets = 12 },
			want{Failed: 4, Errors: map[string]int{"HTTP 503 Service Unavailable": 4}}},
		{"no answer to the upgrade of one", &server{write: func(to *peer, m string) error {
			if to.nth == 0 && strings.Contains(m, "welcome") {
				return nil
			}
			return ws.WriteFrame(to, ws.NewTextFrame([]byte(m)))
		}}, func(c *Config) { c.Timeout = 300 * time.Millisecond },
			want{Failed: 1, Errors: map[string]int{"timed out waiting for the welcome": 1}}},
		{"one may not join", &server{join: func(p *peer, room string) string {
			if p.nth == 5 {
				return `{"type":"error","id":1,"code":"forbidden","message":"no"}`
			}
			return `{"type":"joined","room":"` + room + `","id":1}`
		}}, nil, want{Closed: 1, Errors: map[string]int{"error frame: forbidden": 1}}},
		{"one join is never answered", &server{join: func(p *peer, room string) string {
			if p.nth == 5 {
				return ""
			}
			return `{"type":"joined","room":"` + room + `","id":1}`
		}}, func(c *Config) { c.Timeout = 300 * time.Millisecond },
			want{Closed: 1, Errors: map[string]int{"timed out waiting to be joined": 1}}},
		{"a masked frame", &server{deliver: once(10, func(to *peer, _ int, m string) []string {
			_ = ws.WriteFrame(to, ws.MaskFrame(ws.NewTextFrame([]byte(m))))
			to.gone = true
			return nil
		})}, func(c *Config) { c.Publishers = 1 }, want{Closed: 1, Errors: map[string]int{errMasked.Error(): 1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := short(tc.server.start(t).url)
			if tc.change != nil {
				tc.change(&cfg)
			}
			rep := mustRun(t, cfg)
			got := want{rep.Checks, rep.Closed, rep.Failed, rep.Errors}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if rep.Faults() == nil {
				t.Error("no fault in the report")
			}
		})
	}
}

func TestMessagesLostAtTheEndAreCounted(t *testing.T) {
	t.Parallel()
	s := (&server{deliver: once(11, func(*peer, int, string) []string { return nil })}).start(t)
	rep := mustRun(t, short(s.url))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, room := range s.rooms {
		if want := (Checks{Lost: int64(room.offset) - 10, Uncompared: 1}); rep.Checks != want {
			t.Errorf("checks %+v, want %+v", rep.Checks, want)
		}
	}
}

// change alters the room's tenth message.
func change(old, by string) func(*peer, int, string) []string {
	return func(_ *peer, n int, m string) []string {
		if n == 10 {
			m = strings.Replace(m, old, by, 1)
		}
		return []string{m}
	}
}

// swapPublishers swaps the first two adjacent messages of different publishers.
func swapPublishers(to *peer, _ int, m string) []string {
	const done = "done"
	from := func(m string) string {
		at := strings.Index(m, dataHead) + len(dataHead) + 8
		return m[at : at+8]
	}
	last := to.held
	switch {
	case last == done:
		return []string{m}
	case last == "":
		to.held = m
		return nil
	case from(last) == from(m):
		to.held = m
		return []string{last}
	}
	to.held = done
	return []string{m, last}
}

func TestASaturatingRunGoesOnWhenMessagesAreLost(t *testing.T) {
	t.Parallel()
	lose := func(nth int) func(*peer, int, string) []string {
		return once(nth, func(_ *peer, n int, m string) []string {
			if n == nth {
				return nil
			}
			return []string{m}
		})
	}
	for _, tc := range []struct {
		name             string
		inFlight, stalls int
	}{
		{"a later message of the publisher stands for it", 8, 0},
		{"nothing later comes", 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := short((&server{deliver: lose(20)}).start(t).url)
			cfg.Rate, cfg.InFlight, cfg.For, cfg.Publishers = -1, tc.inFlight, 2*time.Second, 1
			rep := mustRun(t, cfg)
			if rep.Lost != 1 || rep.Stalls != int64(tc.stalls) || rep.Published < 100 {
				t.Errorf("%d lost, %d stalls, %d published", rep.Lost, rep.Stalls, rep.Published)
			}
		})
	}
}

func TestASaturatingRunGoesOnWhenAMemberLeaves(t *testing.T) {
	t.Parallel()
	for _, threads := range []int{1, 2} {
		cfg := short((&server{deliver: once(20, func(to *peer, _ int, _ string) []string {
			_ = ws.WriteFrame(to, ws.NewCloseFrame(ws.NewCloseFrameBody(1001, "")))
			to.gone = true
			return nil
		})}).start(t).url)
		cfg.Rate, cfg.InFlight, cfg.Publishers, cfg.Threads = -1, 2, 1, threads
		rep := mustRun(t, cfg)
		if rep.Closed != 1 || rep.Lost != 0 || rep.Published < 50 {
			t.Errorf("%d threads: %d closed, %d lost, %d published", threads, rep.Closed, rep.Lost, rep.Published)
		}
	}
}
