package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func waitDown(t testing.TB, i *pubsubtest.Instance, why string) {
	t.Helper()
	got := i.Wait(t, "Up with an error", func(r *pubsubtest.Recorded) bool { return len(r.Ups) > 0 && !r.IsUp() })
	if err := got.Ups[len(got.Ups)-1]; !errors.Is(err, pubsub.ErrUnavailable) || !strings.Contains(err.Error(), why) {
		t.Errorf("Up(%v), want %q in it", err, why)
	}
}

func waitUp(t testing.TB, i *pubsubtest.Instance) {
	t.Helper()
	i.WaitFor(t, failover, "Up without an error", func(r *pubsubtest.Recorded) bool { return r.IsUp() })
}

func TestAServerThatCannotBeReachedIsNoticed(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	p := startProxy(t, s.Addr)
	registry := prometheus.NewRegistry()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: "redis://" + p.addr, Registerer: registry}))
	other := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	i.Subscribe(pubsub.Room("r"))
	p.pass(false)
	unavailableWithin(t, i, 2*time.Second)
	waitDown(t, i, "")
	unavailableWithin(t, i, 500*time.Millisecond)
	began := time.Now()
	for metric(t, registry, "fanfare_broker_reconnects_total") == 0 {
		if time.Since(began) > pubsubtest.Patience {
			t.Fatal("a listening connection on which nothing comes is not given up")
		}
		time.Sleep(10 * time.Millisecond)
	}
	missed := other.Text("r", "while nobody listened").Position
	p.pass(true)
	waitUp(t, i)
	got := i.Wait(t, "the top after the interruption", func(r *pubsubtest.Recorded) bool {
		_, ok := r.Interrupted("r")
		return ok
	})
	// What was in flight may have been published after all.
	if top, _ := got.Interrupted("r"); top.Epoch != missed.Epoch || top.Offset < missed.Offset {
		t.Errorf("the top is %+v, want at least %+v", top, missed)
	}
	after := other.Text("r", "after").Position
	i.Wait(t, "the message after", func(r *pubsubtest.Recorded) bool {
		ms := r.Of(pubsub.Room("r"))
		return len(ms) > 0 && ms[len(ms)-1].Position == after
	})
}

func TestAFullRedisRefusesAndSubscriptionsStay(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	raw := s.Client(t)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	i.Subscribe(pubsub.Room("r"))
	i.Subscribe(pubsub.Room("plain"))
	i.Text("r", "1")
	raw.ConfigSet(ctx, "maxmemory", "1")
	refused := func() {
		t.Helper()
		began := time.Now()
		_, err := i.TryPublish(pubsub.Message{Target: pubsub.Room("r")})
		if d := time.Since(began); !errors.Is(err, pubsub.ErrUnavailable) || !strings.Contains(err.Error(), "OOM") || d > time.Second {
			t.Errorf("published to a full Redis: %v after %v", err, d)
		}
	}
	refused()
	waitDown(t, i, "OOM")
	refused()
	i.Text("plain", "needs no memory")
	i.Messages(t, pubsub.Room("plain"), 1)
	raw.ConfigSet(ctx, "maxmemory", "0")
	waitUp(t, i)
	if at := i.Text("r", "2").Position; at.Offset != 2 {
		t.Errorf("the next message is at %+v, want offset 2: a refused one leaves no hole", at)
	}
	i.Messages(t, pubsub.Room("r"), 2)
	if top, ok := i.Now().Interrupted("r"); ok {
		t.Errorf("the subscription was interrupted: %+v", top)
	}
}

func TestAFullRedisIsNoMatterWithoutHistory(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	s.Client(t).ConfigSet(ctx, "maxmemory", "1")
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Retentions: pubsub.Retentions{{Match: "*"}}}))
	i.Subscribe(pubsub.Room("r"))
	i.Text("r", "x")
	i.Messages(t, pubsub.Room("r"), 1)
}

func TestAServerThatBecomesAReplicaIsLeftAndTakenBack(t *testing.T) {
	t.Parallel()
	s, other := redistest.StartProcess(t), redistest.StartProcess(t)
	raw := s.Client(t)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL}))
	i.Subscribe(pubsub.Room("r"))
	i.Subscribe(pubsub.Room("plain"))
	old := i.Text("r", "1").Position
	host, port, _ := strings.Cut(other.Addr, ":")
	raw.ReplicaOf(ctx, host, port)
	waitDown(t, i, "")
	unavailableWithin(t, i, 2*time.Second)
	s.AwaitReplication(t) // what it held is gone
	raw.ReplicaOf(ctx, "no", "one")
	waitUp(t, i)
	got := i.Wait(t, "the top after the interruption", func(r *pubsubtest.Recorded) bool {
		_, ok := r.Interrupted("r")
		return ok
	})
	if top, _ := got.Interrupted("r"); top.Epoch == old.Epoch || top.Offset != 0 {
		t.Errorf("the top is %+v after %+v, want a new epoch", top, old)
	}
	i.Text("r", "2")
	i.Messages(t, pubsub.Room("r"), 2)
	i.Subscribe(pubsub.Room("plain"))
	i.Text("plain", "x")
	i.Messages(t, pubsub.Room("plain"), 1)
}

func TestAURLOfASingleServerThatIsInAClusterIsAnError(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	s := redistest.StartProcess(t)
	for url, want := range map[string]string{
		"redis://" + c.Masters[0].Addr:                                       "redis+cluster://",
		"redis+cluster://" + s.Addr:                                          "cluster support disabled",
		"redis+sentinel://" + s.Addr:                                         "sentinel",
		"redis+sentinel://" + s.Addr + "," + c.Masters[1].Addr + "?master=m": "sentinel",
	} {
		b := broker(t, redis.Config{URL: url})
		ended := make(chan error, 1)
		go func() { ended <- b.Run(t.Context(), pubsubtest.NewRecorder()) }()
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: Run ended with %v, want %q in it", url, err, want)
			}
		case <-time.After(pubsubtest.Patience):
			t.Errorf("%s: Run goes on", url)
		}
	}
}
