package redis_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// watchedPair is a master and a replica, watched by sentinels of whom the first two count.
func watchedPair(t testing.TB) (url string, master, replica *redistest.Server, sentinels []*redistest.Server) {
	t.Helper()
	master = redistest.StartProcess(t)
	replica = redistest.StartReplica(t, master)
	var addrs []string
	for range 3 {
		s := redistest.StartSentinel(t, "mymaster", master, 2)
		sentinels = append(sentinels, s)
		addrs = append(addrs, s.Addr)
	}
	for _, s := range sentinels {
		s.AwaitSentinels(t, "mymaster", 2)
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/0?master=mymaster", master, replica, sentinels
}

func TestConformanceWithSentinels(t *testing.T) {
	t.Parallel()
	url, master, _, sentinels := watchedPair(t)
	for _, s := range sentinels { // a master that is only slow is to stay
		if err := s.Client(t).Do(ctx, "sentinel", "set", "mymaster", "down-after-milliseconds", 60_000).Err(); err != nil {
			t.Fatal(err)
		}
	}
	sentinels[0].Stop(t) // one may be away
	pubsubtest.Run(t, backend(redis.Config{URL: url}, master))
}

// listensAt waits until so many instances of a name listen on a server.
func listensAt(t testing.TB, s *redistest.Server, name string, instances int) {
	t.Helper()
	raw := s.Client(t)
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		list := raw.Do(ctx, "client", "list", "type", "pubsub").Val().(string)
		n := strings.Count(list, " name=fanfare-"+name+" ")
		if n == instances {
			return
		}
		if time.Since(began) > failover {
			t.Fatalf("%d instances listen at %s", n, s.Addr)
		}
	}
}

// A replica that lacks the newest messages is promoted: every instance is told of the interruption
// with the top that the replica has, and who renews the epoch keeps two contents from getting one
// position.
func TestAReplicaThatLacksTheNewestMessagesIsPromoted(t *testing.T) {
	t.Parallel()
	url, master, replica, _ := watchedPair(t)
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: url}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: url}))
	b.Subscribe(pubsub.Room("r"))
	b.Subscribe(pubsub.Room("quiet"))
	quiet := a.Text("quiet", "x").Position
	var kept pubsub.Position
	for n := 1; n <= 5; n++ {
		kept = a.Text("r", fmt.Sprint(n)).Position
	}
	master.Client(t).Wait(ctx, 1, failover)
	// The replica follows somebody who is not there; it keeps what it has.
	_, nobody, _ := net.SplitHostPort(startProxy(t, "127.0.0.1:1").addr)
	replica.Client(t).ReplicaOf(ctx, "127.0.0.1", nobody)
	lost := pubsub.Message{Target: pubsub.Room("r"), Key: "k", Payload: []byte("lost")}
	for range 5 {
		a.Text("r", "lost")
	}
	was := a.Publish(lost).Position
	b.Messages(t, pubsub.Room("r"), 11)
	master.Stop(t)
	for _, i := range []*pubsubtest.Instance{a, b} {
		i.WaitFor(t, failover, "Up with an error, and without one again", func(r *pubsubtest.Recorded) bool {
			return len(r.Ups) >= 3 && r.IsUp()
		})
	}
	got := b.Wait(t, "the tops after the interruption", func(r *pubsubtest.Recorded) bool {
		_, r1 := r.Interrupted("r")
		_, r2 := r.Interrupted("quiet")
		return r1 && r2
	})
	if top, _ := got.Interrupted("r"); top != kept {
		t.Errorf("the top is %+v, want %+v: the replica has no more", top, kept)
	}
	if top, _ := got.Interrupted("quiet"); top != quiet {
		t.Errorf("the top of a room that lost nothing is %+v, want %+v", top, quiet)
	}
	renewed := b.Renew("r", was.Epoch)
	if renewed.Epoch == was.Epoch || renewed.Offset != 0 {
		t.Errorf("renewed to %+v", renewed)
	}
	if at := a.Publish(lost).Position; at != (pubsub.Position{Epoch: renewed.Epoch, Offset: 1}) {
		t.Errorf("what was lost is published again at %+v, the new epoch is %d", at, renewed.Epoch)
	}
	ms := b.Messages(t, pubsub.Room("r"), 12)
	if ms[11].Position.Epoch != renewed.Epoch {
		t.Errorf("delivered at %+v", ms[11].Position)
	}
	// The old master comes back, and is talked to no more.
	master.Restart(t)
	master.AwaitReplication(t)
	a.Text("r", "after")
	b.Messages(t, pubsub.Room("r"), 13)
}

func TestAPlannedFailoverUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	url, master, replica, sentinels := watchedPair(t)
	name := prefix()
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: url, AckReplicas: 1, Retentions: long, Name: name}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: url, AckReplicas: 1, Retentions: long, Name: name}))
	rooms := []string{"r1", "r2", "r3"}
	for _, r := range rooms {
		b.Subscribe(pubsub.Room(r))
	}
	l := startLoad(t, rooms, a, b)
	l.more(t, 50)
	raw := sentinels[0].Client(t)
	if err := raw.Do(ctx, "sentinel", "failover", "mymaster").Err(); err != nil {
		t.Fatal(err)
	}
	b.WaitFor(t, failover, "the interruption is told", func(r *pubsubtest.Recorded) bool {
		_, ok := r.Interrupted("r1")
		return ok
	})
	l.more(t, 50)
	listensAt(t, replica, name, 2)
	master.AwaitReplication(t)
	l.more(t, 50)
	l.finish()
	l.check(t, a, b)
}

func TestWhatReplicasHaveAcknowledgedSurvivesTheMaster(t *testing.T) {
	t.Parallel()
	url, master, _, _ := watchedPair(t)
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: url, AckReplicas: 1, Retentions: long}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: url, Retentions: long}))
	rooms := []string{"r1", "r2", "r3"}
	for _, r := range rooms {
		b.Subscribe(pubsub.Room(r))
	}
	l := startLoad(t, rooms, a)
	l.more(t, 100)
	master.Stop(t)
	waitDown(t, a, "")
	// There is no second replica: until the old master is back as one, nothing is acknowledged.
	b.WaitFor(t, failover, "the interruption is told", func(r *pubsubtest.Recorded) bool {
		_, ok := r.Interrupted("r1")
		return ok
	})
	master.Restart(t)
	l.more(t, 20)
	l.finish()
	l.check(t, b)
}
