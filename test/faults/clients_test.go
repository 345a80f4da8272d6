package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestStalledSubscribersAreClosedAndResume(t *testing.T) {
	t.Parallel()
	stalled(t, "close", `fanfare_slow_members_total{action="closed"}`, noGaps)
}

func TestStalledSubscribersSkipAndResume(t *testing.T) {
	t.Parallel()
	if row := stalled(t, "skip", `fanfare_slow_members_total{action="skipped"}`, gaps); row.Tally.Gaps == 0 {
		t.Error("no gap was told")
	}
}

// stalled has two subscribers stop reading until the gateway finds them too slow, twice. With what
// a subscriber does about it, nothing may be lost either way.
func stalled(t *testing.T, slow, metric string, gapsMayBe bool) faults.Row {
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{
		Redis: urls(2, redis.URL), Args: []string{"--slow", slow, "--slow-limit", "128KiB"},
		Stay: 4, Churn: -1, Rooms: 1, Size: 8 << 10,
		Subscribe: func(s *faults.Subscriber) { s.ResumeGaps, s.Buffer = true, 8 },
	})
	for range 2 {
		w.More(20)
		before := w.Metric(metric)
		var resume []func()
		for _, i := range w.Rand.Perm(4)[:2] {
			resume = append(resume, w.Subscribers[i].Stall())
		}
		w.Until("the gateway finds them slow", func() bool { return w.Metric(metric) >= before+2 })
		w.More(20)
		for _, r := range resume {
			r()
		}
	}
	w.Healed()
	return end(t, w, gapsMayBe)
}

func TestSubscribersThatReconnectEverySecond(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL), Stay: -1, Churn: 16})
	w.Sleep(5 * time.Second)
	w.Healed()
	end(t, w, noGaps)
}

// A half-open connection is one whose other end is gone without a word. The gateway finds out by
// ping, and the client comes back by itself, which is what this one does a while later.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	const idle = 3 * time.Second
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL), Args: []string{"--ping", "1s", "--idle", idle.String()}})
	proxies := make([]*faults.Proxy, 2)
	for i := range proxies {
		proxies[i] = faults.NewProxy(t, strings.TrimSuffix(strings.TrimPrefix(w.Instance(i).SocketURL, "ws://"), "/ws"))
	}
	var far []*faults.Subscriber
	for i := range 4 {
		s := w.Subscribe(fmt.Sprintf("far-%d", i), func(s *faults.Subscriber) {
			s.Dial = func(ctx context.Context, _ *rand.Rand, o client.Options) (*client.Conn, error) {
				return client.Dial(ctx, "ws://"+proxies[i%2].Addr+"/ws", o)
			}
		})
		far = append(far, s)
		w.Until("a far subscriber has joined", s.Joined)
	}
	w.More(100)
	const ended = `fanfare_sockets_closed_total{outcome="idle"}`
	for _, p := range proxies {
		p.Drop()
	}
	began := time.Now()
	w.Until("the gateway finds all half-open connections", func() bool { return w.Metric(ended) >= 4 })
	// The silence may have begun a ping ago; a busy machine looks a little late.
	if took := time.Since(began); took < idle/2 || took > idle+3*time.Second {
		t.Errorf("found after %v, want about %v", took, idle)
	}
	if n := w.Metric(ended); n != 4 {
		t.Errorf("%v sockets were ended as idle, want 4", n)
	}
	w.More(50)
	for _, s := range far {
		s.Away()()
	}
	for _, p := range proxies {
		p.Restore()
	}
	w.Healed()
	end(t, w, noGaps)
}

func TestCursorsThatNoRoomHas(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL), Stay: 2})
	w.More(100)
	conn, err := client.Dial(t.Context(), w.Instance(0).SocketURL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var epochs []string
	for _, room := range w.Rooms {
		j, err := conn.Join(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Leave(t.Context(), room); err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, j.Position.Epoch)
	}
	for what, from := range map[string]func(room int) client.Position{
		"from the future":    func(i int) client.Position { return client.Position{Epoch: epochs[i], Offset: 1 << 40} },
		"from another room":  func(i int) client.Position { return client.Position{Epoch: epochs[1-i], Offset: 5} },
		"from no epoch":      func(int) client.Position { return client.Position{Epoch: "no epoch", Offset: 5} },
		"from the beginning": func(i int) client.Position { return client.Position{Epoch: epochs[i]} },
	} {
		s := w.Subscribe(what, func(s *faults.Subscriber) {
			for i, room := range w.Rooms {
				s.Pretend(room, from(i))
			}
		})
		w.Until(what+" is joined", s.Joined)
		want := len(w.Rooms)
		if what == "from the beginning" {
			want = 0
		}
		if got := s.Gaps(); got != want {
			t.Errorf("%s: %d gaps told, want %d", what, got, want)
		}
	}
	for what, since := range map[string]client.Position{
		"without an epoch": {Offset: 5},
		"too long":         {Epoch: "0123456789012345678901234567890123456789", Offset: 5},
	} {
		_, err := conn.Resume(t.Context(), w.Rooms[0], since)
		if refused, ok := err.(*client.Error); !ok || refused.Code != "bad_request" {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.Healed()
	end(t, w, gaps)
}

func TestAwayForLongerThanTheHistory(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	// Redis trims whole nodes of a stream, and an instance keeps up to 512 messages by itself.
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL), Args: []string{"--history", "50"}, Stay: 2, Churn: -1, Rooms: 1, Pace: 5 * time.Millisecond})
	w.More(50)
	back := w.Subscribers[0].Away()
	w.More(700)
	back()
	w.Healed()
	if got := w.Subscribers[0].Gaps(); got != 1 {
		t.Errorf("%d gaps told", got)
	}
	end(t, w, gaps)
}
