package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/auth"
)

// ingesting is a run that publishes for a moment to three rooms that nobody is in.
func ingesting(url string) Config {
	cfg := short(url)
	cfg.Rooms, cfg.Ingest, cfg.Rate, cfg.InFlight = -1, 3, -1, 8
	return cfg
}

func TestIngestCountsAcks(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"saturating":     func(*Config) {},
		"at a rate":      func(c *Config) { c.Rate = 400 },
		"with two loops": func(c *Config) { c.Threads = 2 },
		"beside members": func(c *Config) { c.Rooms = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := (&server{}).start(t)
			cfg := ingesting(s.url)
			change(&cfg)
			rep := mustRun(t, cfg)
			g := rep.Ingest
			if err := rep.Faults(); err != nil || g == nil || g.Acked == 0 || g.AckedPerSecond <= 0 || g.Latency.P50 <= 0 || rep.Deliveries != 0 {
				t.Fatalf("ingest %+v, %d deliveries, faults %v", g, rep.Deliveries, err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			published := 0
			for name, room := range s.rooms {
				published += room.offset
				if strings.Contains(name, "-in-") && len(room.members) > 0 {
					t.Errorf("room %s has %d members", name, len(room.members))
				}
			}
			if int64(published) < g.Acked {
				t.Errorf("%d acked of %d published", g.Acked, published)
			}
		})
	}
}

func TestIngestNoticesAcksThatAreMissingWrongOrErrors(t *testing.T) {
	t.Parallel()
	for want, wrong := range map[string]string{
		"1 unanswered":               "",
		"1 strays":                   `{"type":"ack","id":999999}`,
		"1 × error frame: forbidden": `{"type":"error","id":ID,"code":"forbidden","message":"no"}`,
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			done := false
			s := (&server{ack: func(n int, ack string) string {
				if done || n < 5 {
					return ack
				}
				done = true
				id := ack[strings.Index(ack, `"id":`)+5 : strings.Index(ack, `,"offset"`)]
				return strings.ReplaceAll(wrong, "ID", id)
			}}).start(t)
			if err := mustRun(t, ingesting(s.url)).Faults(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("faults %v, want %q", err, want)
			}
		})
	}
}

func TestAStormComesWhileRoomsRun(t *testing.T) {
	t.Parallel()
	cfg := short((&server{}).start(t).url)
	cfg.Storm = 100
	rep := mustRun(t, cfg)
	s := rep.Storm
	if err := rep.Faults(); err != nil || s == nil || s.Sockets != 100 || s.Seconds <= 0 || s.Deliveries == 0 || s.Latency.P99 <= 0 || rep.Latency.P99 <= 0 {
		t.Fatalf("storm %+v, latency before %+v, faults %v", s, rep.Latency, err)
	}
}

func TestAStormThatIsRefusedIsAFault(t *testing.T) {
	t.Parallel()
	cfg := short((&server{reject: func(nth int) int {
		if nth >= 40 {
			return 503
		}
		return 0
	}}).start(t).url)
	cfg.Storm = 100
	rep := mustRun(t, cfg)
	err := rep.Faults()
	if err == nil || !strings.Contains(err.Error(), "66 sockets of the storm not opened") || !strings.Contains(err.Error(), "66 × storm: HTTP 503") {
		t.Errorf("faults %v", err)
	}
}

func TestStalledSocketsReadNothingAndAreNotMissed(t *testing.T) {
	t.Parallel()
	s := (&server{}).start(t)
	cfg := short(s.url)
	cfg.Stalled, cfg.Publishers = 2, 0
	rep := mustRun(t, cfg)
	if err := rep.Faults(); err != nil || rep.Deliveries == 0 || rep.Config.Publishers != 4 {
		t.Fatalf("%d deliveries, %d publishers, faults %v", rep.Deliveries, rep.Config.Publishers, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, room := range s.rooms {
		if len(room.members) != cfg.Sockets {
			t.Errorf("%d members, want the stalled ones too", len(room.members))
		}
	}
}

func TestMembersResume(t *testing.T) {
	t.Parallel()
	cfg := short((&server{}).start(t).url)
	cfg.Resume = 5
	rep := mustRun(t, cfg)
	if r := rep.Resume; rep.Faults() != nil || r == nil || r.Members != 6 || r.Messages != 30 || r.Seconds <= 0 {
		t.Errorf("resume %+v, faults %v", rep.Resume, rep.Faults())
	}
}

func TestEachSocketHasItsUser(t *testing.T) {
	t.Parallel()
	const secret = "a secret of thirty-two bytes, yes"
	jwt, err := auth.NewJWT(auth.JWTConfig{Key: secret})
	if err != nil {
		t.Fatal(err)
	}
	s := (&server{}).start(t)
	for _, cfg := range []Config{{URLs: []string{s.url + "?x=1"}, Users: true}, {URLs: []string{s.url}, Key: secret}} {
		cfg.Sockets, cfg.Idle, cfg.For, cfg.Settle = 7, true, time.Millisecond, -1
		if err := mustRun(t, cfg).Faults(); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	users := map[string]bool{}
	for _, uri := range s.asked {
		if _, user, ok := strings.Cut(uri, "/ws?x=1&token="); ok {
			users[user] = true
		}
	}
	for _, header := range s.auth {
		id, err := jwt.Authenticate(t.Context(), auth.Credential{Token: strings.TrimPrefix(header, "Bearer ")})
		if err != nil {
			t.Error(err)
		}
		users[id.User] = true
	}
	if len(users) != 14 {
		t.Errorf("%d users, want 14: %q", len(users), s.asked)
	}
}

func TestTheHistogramHasAllLatencies(t *testing.T) {
	t.Parallel()
	h := new(histogram)
	for n := range int64(10_000) { // from 0 to some seconds
		h.add(n * n * 37)
	}
	check := func(bars []Bucket, max float64) (sum uint64) {
		t.Helper()
		sorted := slices.IsSortedFunc(bars, func(a, b Bucket) int { return int(a.UpTo*1e3) - int(b.UpTo*1e3) })
		if len(bars) == 0 || !sorted || bars[len(bars)-1].UpTo < max {
			t.Fatalf("the histogram is %+v, up to %f µs", bars, max)
		}
		for _, b := range bars {
			sum += b.Count
		}
		return sum
	}
	if sum := check(h.bars(), h.latency().Max); sum != 10_000 {
		t.Errorf("%d in the histogram, want 10,000", sum)
	}
	rep := mustRun(t, short((&server{}).start(t).url))
	check(rep.Latencies, rep.Latency.Max)
}
