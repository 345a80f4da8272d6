package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestFlushedScriptsAreLoadedAgainWithoutLossOrReordering(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	raw := s.Client(t)
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	a.Subscribe(pubsub.Room("r"))
	const each = 3000
	refused := make(map[string]bool)
	var mu sync.Mutex
	var all sync.WaitGroup
	for p, i := range []*pubsubtest.Instance{a, b} {
		all.Go(func() {
			for n := range each {
				if n%500 == 250 {
					raw.ScriptFlush(ctx)
				}
				text := fmt.Sprintf("%d %d", p, n)
				all.Add(1)
				i.Broker.Publish(pubsub.Message{Target: pubsub.Room("r"), Payload: []byte(text)}, func(_ pubsub.Receipt, err error) {
					defer all.Done()
					if err != nil { // allowed where it could not be sent again in order
						mu.Lock()
						refused[text] = true
						mu.Unlock()
						if !errors.Is(err, pubsub.ErrUnavailable) || !strings.Contains(err.Error(), "NOSCRIPT") {
							t.Errorf("publish: %v", err)
						}
					}
				})
			}
		})
	}
	all.Wait()
	want := 2*each - len(refused)
	ms := a.Messages(t, pubsub.Room("r"), want)
	if len(ms) != want || len(refused) > each/2 {
		t.Errorf("%d messages, want %d; %d refused", len(ms), want, len(refused))
	}
	last := map[int]int{0: -1, 1: -1}
	for k, m := range ms {
		var p, n int
		if _, err := fmt.Sscanf(string(m.Payload), "%d %d", &p, &n); err != nil {
			t.Fatal(err)
		}
		if n <= last[p] || m.Position.Offset != uint64(k+1) || refused[string(m.Payload)] {
			t.Fatalf("message %q at %+v came as number %d, after %d", m.Payload, m.Position, k+1, last[p])
		}
		last[p] = n
	}
}

func TestACutSubscriptionComesBackAndTheTopIsTold(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	raw := s.Client(t)
	registry := prometheus.NewRegistry()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Registerer: registry}))
	const rooms = 1200 // more than one SUBSCRIBE and one pipeline
	var subscribed sync.WaitGroup
	for n := range rooms {
		subscribed.Add(2)
		done := func(_ pubsub.Position, err error) {
			if err != nil {
				t.Errorf("subscribe: %v", err)
			}
			subscribed.Done()
		}
		i.Broker.Subscribe(pubsub.Room(fmt.Sprint(n)), done)
		i.Broker.Subscribe(pubsub.User(fmt.Sprint(n)), done)
	}
	subscribed.Wait()
	i.Text("7", "x")
	i.Forget()
	if n := raw.ClientKillByFilter(ctx, "TYPE", "pubsub").Val(); n != 1 {
		t.Fatalf("killed %d connections", n)
	}
	at := i.Text("7", "perhaps missed").Position // publishing is not cut off
	i.Wait(t, "the tops of all rooms after the reconnect", func(r *pubsubtest.Recorded) bool {
		told := make(map[string]pubsub.Position)
		for _, top := range r.Tops {
			told[top.Room] = top.Top
		}
		return len(told) == rooms && told["7"] == at && told["8"].Epoch != 0 && r.IsUp()
	})
	i.Publish(pubsub.Message{Target: pubsub.User("8"), Payload: []byte("x")})
	i.Messages(t, pubsub.User("8"), 1)
	i.Text("8", "x")
	i.Messages(t, pubsub.Room("8"), 1)
	if got := metric(t, registry, "fanfare_broker_reconnects_total"); got != 1 {
		t.Errorf("%v reconnects", got)
	}
}

// answers publishes and checks how long the answer took.
func unavailableWithin(t *testing.T, i *pubsubtest.Instance, limit time.Duration) {
	t.Helper()
	for _, room := range []string{"plain", "r"} {
		began := time.Now()
		_, err := i.TryPublish(pubsub.Message{Target: pubsub.Room(room)})
		if d := time.Since(began); !errors.Is(err, pubsub.ErrUnavailable) || d > limit {
			t.Errorf("publishing to %s: %v after %v, want ErrUnavailable within %v", room, err, d, limit)
		}
	}
}

func TestAStoppedServerIsNoticedAndARestartedOneHeals(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	i.Subscribe(pubsub.Room("r"))
	i.Subscribe(pubsub.Room("plain"))
	old := i.Text("r", "1").Position
	s.Stop(t)
	unavailableWithin(t, i, 2*time.Second)
	got := i.Wait(t, "Up with an error", func(r *pubsubtest.Recorded) bool { return !r.IsUp() })
	if err := got.Ups[len(got.Ups)-1]; !errors.Is(err, pubsub.ErrUnavailable) {
		t.Errorf("Up(%v)", err)
	}
	for range 20 {
		unavailableWithin(t, i, 500*time.Millisecond)
	}
	late := make(chan error, 1)
	i.Broker.Subscribe(pubsub.Room("late"), func(_ pubsub.Position, err error) { late <- err })
	i.Forget()
	s.Restart(t)
	i.Wait(t, "Up without an error, and the new epoch", func(r *pubsubtest.Recorded) bool {
		for _, top := range r.Tops {
			if top.Room == "r" && top.Top.Epoch != old.Epoch && top.Top.Offset == 0 {
				return r.IsUp()
			}
		}
		return false
	})
	select {
	case err := <-late:
		if err != nil {
			t.Errorf("subscribed while it was away: %v", err)
		}
	case <-time.After(pubsubtest.Patience):
		t.Error("a subscription made while the server was away is not answered")
	}
	for _, room := range []string{"r", "plain", "late"} {
		i.Text(room, "x")
		i.Messages(t, pubsub.Room(room), 1)
	}
	for n, err := range i.Now().Ups[1:] {
		if (err == nil) == (i.Now().Ups[n] == nil) {
			t.Errorf("Up was called without a change: %v", i.Now().Ups)
		}
	}
}

func TestAServerThatHangsIsNoticed(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	i.Subscribe(pubsub.Room("r"))
	s.Pause(t)
	var all sync.WaitGroup
	for n := range 50 { // also those that come while others wait
		all.Go(func() {
			time.Sleep(time.Duration(n) * 20 * time.Millisecond)
			began := time.Now()
			_, err := i.TryPublish(pubsub.Message{Target: pubsub.Room("r")})
			if d := time.Since(began); !errors.Is(err, pubsub.ErrUnavailable) || d > 2*time.Second {
				t.Errorf("answered %v after %v", err, d)
			}
		})
	}
	all.Wait()
	i.Wait(t, "Up with an error", func(r *pubsubtest.Recorded) bool { return !r.IsUp() })
	s.Resume(t)
	i.Wait(t, "Up without an error", func(r *pubsubtest.Recorded) bool { return r.IsUp() })
	i.Text("r", "after")
	i.Wait(t, "the message", func(r *pubsubtest.Recorded) bool {
		ms := r.Of(pubsub.Room("r"))
		return len(ms) > 0 && string(ms[len(ms)-1].Payload) == "after"
	})
}

func TestAServerThatIsAwayAtTheStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	s.Stop(t)
	i := pubsubtest.StartDown(t, broker(t, redis.Config{URL: s.URL}))
	i.Wait(t, "Up with an error", func(r *pubsubtest.Recorded) bool { return len(r.Ups) == 1 && r.Ups[0] != nil })
	unavailableWithin(t, i, 2*time.Second)
	s.Restart(t)
	i.Wait(t, "Up without an error", func(r *pubsubtest.Recorded) bool { return r.IsUp() })
	i.Subscribe(pubsub.Room("r"))
	i.Text("r", "x")
	i.Messages(t, pubsub.Room("r"), 1)
}

func TestAWrongPasswordEndsRun(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	raw := s.Client(t)
	raw.ConfigSet(ctx, "requirepass", "right")
	for _, userinfo := range []string{":wrong@", "", "nobody:x@"} {
		b := broker(t, redis.Config{URL: "redis://" + userinfo + s.Addr})
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx, pubsubtest.NewRecorder()) }()
		select {
		case err := <-ended:
			if err == nil || strings.Contains(err.Error(), "wrong@") {
				t.Errorf("%q: Run ended with %v", userinfo, err)
			}
		case <-time.After(pubsubtest.Patience):
			t.Fatalf("%q: Run goes on", userinfo)
		}
	}
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: "redis://:right@" + s.Addr}))
	i.Text("r", "x")
}

func TestALostLastMessageIsNoticedInAQuietRoom(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	b := broker(t, redis.Config{URL: s.URL, Prefix: prefix()})
	b.SetTopsEvery(100 * time.Millisecond)
	i := pubsubtest.Start(t, b)
	i.Subscribe(pubsub.Room("plain"))
	i.Subscribe(pubsub.Room("r"))
	at := i.Text("r", "x").Position
	got := i.Wait(t, "the top, twice", func(r *pubsubtest.Recorded) bool {
		n := 0
		for _, top := range r.Tops {
			if top == (pubsubtest.Top{Room: "r", Top: at, Interrupted: false}) {
				n++
			}
		}
		return n >= 2
	})
	for _, top := range got.Tops {
		if top.Room != "r" {
			t.Errorf("told the top of %q", top.Room)
		}
	}
}

// slowHandler waits in its first Deliver.
type slowHandler struct {
	*pubsubtest.Recorder
	once    sync.Once
	release chan struct{}
}

func (h *slowHandler) Deliver(m pubsub.Message) {
	h.once.Do(func() { <-h.release })
	h.Recorder.Deliver(m)
}

func TestADeliverThatWaitsIsNoDeadConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	registry := prometheus.NewRegistry()
	b := broker(t, redis.Config{URL: s.URL, Prefix: prefix(), Registerer: registry})
	h := &slowHandler{Recorder: pubsubtest.NewRecorder(), release: make(chan struct{})}
	i := pubsubtest.StartWith(t, b, h, h.Recorder)
	i.Subscribe(pubsub.Room("r"))
	i.Text("r", "1")
	time.AfterFunc(4*time.Second, func() { close(h.release) }) // longer than silence is borne
	began := time.Now()
	for time.Since(began) < 3900*time.Millisecond {
		if r := i.Text("r", "x"); r.Instances != 1 {
			t.Fatalf("after %v the instance has unsubscribed: %+v", time.Since(began), r)
		}
		time.Sleep(50 * time.Millisecond)
	}
	top := i.Read("r", pubsub.Query{}).Top
	i.Messages(t, pubsub.Room("r"), int(top.Offset))
	if got := metric(t, registry, "fanfare_broker_reconnects_total"); got != 0 {
		t.Errorf("%v reconnects", got)
	}
}
