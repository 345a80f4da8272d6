package redis_test

import (
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestConformanceOverTLS(t *testing.T) {
	t.Parallel()
	sec := redistest.NewTLS(t)
	s := sec.StartProcess(t)
	pubsubtest.Run(t, backend(redis.Config{URL: s.URL, TLS: sec.Config}, s))
}

func TestAServerWithTLSIsNoticedWhenItHangsAndWhenItIsBack(t *testing.T) {
	t.Parallel()
	sec := redistest.NewTLS(t)
	s := sec.StartProcess(t)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, TLS: sec.Config}))
	i.Subscribe(pubsub.Room("r"))
	before := i.Text("r", "1").Position
	s.Pause(t)
	unavailableWithin(t, i, 2*time.Second)
	waitDown(t, i, "")
	s.Resume(t)
	waitUp(t, i)
	if at := i.Text("r", "2").Position; at.Epoch != before.Epoch {
		t.Errorf("the epoch is another one: %+v, %+v", before, at)
	}
	s.Restart(t)
	waitUp(t, i)
	i.Wait(t, "the top after the interruption", func(r *pubsubtest.Recorded) bool {
		top, ok := r.Interrupted("r")
		return ok && top.Epoch != before.Epoch
	})
}

func TestSentinelsOverTLSLeadToTheNewMaster(t *testing.T) {
	t.Parallel()
	sec := redistest.NewTLS(t)
	master := sec.StartProcess(t)
	replica := redistest.StartReplica(t, master)
	sentinel := redistest.StartSentinel(t, "mymaster", master, 1)
	url := fmt.Sprintf("rediss+sentinel://%s/0?master=mymaster", sentinel.Addr)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: url, TLS: sec.Config, Name: "tls"}))
	i.Subscribe(pubsub.Room("r"))
	i.Text("r", "1")
	i.Messages(t, pubsub.Room("r"), 1)
	master.Stop(t)
	listensAt(t, replica, "tls", 1)
	i.WaitFor(t, failover, "the top after the interruption", func(r *pubsubtest.Recorded) bool {
		_, ok := r.Interrupted("r")
		return ok
	})
	waitUp(t, i)
	i.Text("r", "2")
	if got := i.Messages(t, pubsub.Room("r"), 2); string(got[1].Payload) != "2" {
		t.Errorf("got %q", got[1].Payload)
	}
}

func TestAClusterOverTLS(t *testing.T) {
	t.Parallel()
	sec := redistest.NewTLS(t)
	c := sec.StartCluster(t, 3, 0)
	a, b := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, TLS: sec.Config})), pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, TLS: sec.Config}))
	for n := range 12 { // on all of the servers, as good as certainly
		room := fmt.Sprintf("room-%d", n)
		a.Subscribe(pubsub.Room(room))
		at := b.Text(room, room).Position
		if got := a.Messages(t, pubsub.Room(room), 1)[0]; string(got.Payload) != room || got.Position != at {
			t.Errorf("%s: got %q at %+v, published at %+v", room, got.Payload, got.Position, at)
		}
	}
}

func TestACertificateThatIsNotTrustedIsToldAndNotUsed(t *testing.T) {
	t.Parallel()
	sec, other := redistest.NewTLS(t), redistest.NewTLS(t)
	s := sec.StartProcess(t)
	for what, c := range map[string]redis.Config{
		"of an unknown authority": {URL: s.URL, TLS: other.Config},
		"by default":              {URL: s.URL},
		"of another host":         {URL: s.URL, TLS: &tls.Config{RootCAs: sec.Config.RootCAs, ServerName: "elsewhere"}},
	} {
		t.Run(what, func(t *testing.T) {
			i := pubsubtest.StartDown(t, broker(t, c))
			waitDown(t, i, "certificate")
			unavailableWithin(t, i, 2*time.Second)
		})
	}
}
