package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestConformanceOnACluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	pubsubtest.Run(t, backend(redis.Config{URL: c.URL}, c.Masters...))
}

// roomsOf are rooms of a partition.
func roomsOf(partition, n int) (rooms []string) {
	for i := 0; len(rooms) < n; i++ {
		if room := fmt.Sprintf("room-%d", i); redis.Partition(room, 64) == partition {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// partitionOf is one that a server has, and that no instance uses unasked.
func partitionOf(t testing.TB, c *redistest.Cluster, s *redistest.Server) int {
	t.Helper()
	for p := 1; p < 64; p++ {
		if c.Owner(t, c.Slot(t, p)) == s {
			return p
		}
	}
	t.Fatalf("%s has no partition", s.Addr)
	return 0
}

func TestASlotIsMovedUnderLoad(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, Retentions: long}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, Retentions: long}))
	const partition = 7
	rooms := roomsOf(partition, 5)
	elsewhere := roomsOf(partition+1, 1)[0]
	for _, i := range []*pubsubtest.Instance{a, b} {
		for _, r := range rooms {
			i.Subscribe(pubsub.Room(r))
		}
		i.Subscribe(pubsub.Room(elsewhere))
	}
	l := startLoad(t, append(rooms, elsewhere), a, b)
	l.more(t, 20)
	slot := c.Slot(t, partition)
	for round := range 3 {
		owner := c.Owner(t, slot)
		to := c.Masters[0]
		if to == owner {
			to = c.Masters[1]
		}
		for _, i := range []*pubsubtest.Instance{a, b} {
			i.ForgetTops()
		}
		keys := 0
		c.Move(t, slot, to, func() {
			if keys++; keys%20 == 1 { // while some of the slot's keys are here and some there
				l.more(t, 2, elsewhere)
			}
		})
		for _, i := range []*pubsubtest.Instance{a, b} {
			i.WaitFor(t, failover, fmt.Sprintf("the interruption by move %d is told", round+1), func(r *pubsubtest.Recorded) bool {
				_, ok := r.Interrupted(rooms[0])
				return ok
			})
		}
		l.more(t, 20)
	}
	l.finish()
	l.check(t, a, a, b)
	for _, i := range []*pubsubtest.Instance{a, b} {
		if top, ok := i.Now().Interrupted(elsewhere); ok {
			t.Errorf("another partition was interrupted: %+v", top)
		}
		// The partition may be away for as long as it takes to find its new server.
		i.WaitFor(t, failover, "all partitions are reached", func(r *pubsubtest.Recorded) bool {
			return r.Ups[len(r.Ups)-1] == nil
		})
	}
}

func TestAMasterOfAClusterIsReplaced(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 1)
	lost := c.Masters[0] // which has the replica
	rooms := roomsOf(partitionOf(t, c, lost), 2)
	there := roomsOf(partitionOf(t, c, c.Masters[1]), 1)[0]
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, Retentions: long}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, Retentions: long}))
	for _, room := range append(rooms, there) {
		b.Subscribe(pubsub.Room(room))
		a.Text(room, "1")
	}
	lost.Client(t).Wait(ctx, 1, failover)
	lost.Stop(t)
	waitDown(t, a, "partition")
	waitDown(t, b, lost.Addr)
	for range 10 {
		a.Text(there, "the other partitions go on")
	}
	b.Messages(t, pubsub.Room(there), 11)
	waitUp(t, a)
	waitUp(t, b)
	for _, room := range rooms {
		b.Wait(t, "the interruption is told", func(r *pubsubtest.Recorded) bool {
			_, ok := r.Interrupted(room)
			return ok
		})
		a.Text(room, "2")
		b.Messages(t, pubsub.Room(room), 2)
	}
	if top, ok := b.Now().Interrupted(there); ok {
		t.Errorf("another partition was interrupted: %+v", top)
	}
	lost.Restart(t)
	lost.AwaitReplication(t)
	for _, room := range rooms {
		a.Text(room, "3")
		b.Messages(t, pubsub.Room(room), 3)
	}
}

func TestAMasterOfAClusterIsAskedToStepDown(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 1)
	room := roomsOf(partitionOf(t, c, c.Masters[0]), 1)[0]
	a := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, Retentions: long}))
	b := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL, Retentions: long}))
	b.Subscribe(pubsub.Room(room))
	l := startLoad(t, []string{room}, a)
	l.more(t, 20)
	if err := c.Replicas[0].Client(t).ClusterFailover(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	b.WaitFor(t, failover, "the interruption is told", func(r *pubsubtest.Recorded) bool {
		_, ok := r.Interrupted(room)
		return ok
	})
	l.more(t, 20)
	l.finish()
	l.check(t, a, b)
}

func TestAPartitionThatIsAwayIsNamedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: c.URL}))
	gone := c.Masters[1]
	partition := partitionOf(t, c, gone)
	away, here := roomsOf(partition, 1)[0], roomsOf(partitionOf(t, c, c.Masters[2]), 1)[0]
	i.Subscribe(pubsub.Room(away))
	i.Subscribe(pubsub.Room(here))
	old := i.Text(away, "1").Position
	gone.Pause(t)
	began := time.Now()
	_, err := i.TryPublish(pubsub.Message{Target: pubsub.Room(away)})
	if d := time.Since(began); !errors.Is(err, pubsub.ErrUnavailable) || d > 2*time.Second {
		t.Errorf("published to a partition that is away: %v after %v", err, d)
	}
	waitDown(t, i, fmt.Sprintf("partition %d at %s", partition, gone.Addr))
	for n := range 10 {
		began := time.Now()
		i.Text(here, "x")
		if d := time.Since(began); d > time.Second {
			t.Errorf("a publish to another partition took %v", d)
		}
		i.Messages(t, pubsub.Room(here), n+1)
	}
	gone.Resume(t)
	waitUp(t, i)
	if at := i.Text(away, "2").Position; at.Epoch != old.Epoch {
		t.Errorf("published at %+v after %+v", at, old)
	}
	// Restarted empty: it knows its slots, but not what was in them.
	gone.Restart(t)
	i.WaitFor(t, failover, "the new epoch", func(r *pubsubtest.Recorded) bool {
		for _, top := range r.Tops {
			if top.Room == away && top.Interrupted && top.Top.Epoch != old.Epoch && r.IsUp() {
				return true
			}
		}
		return false
	})
	i.Text(away, "3")
}

func TestAClusterIsFoundByOneNodeThatAnswers(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	url := "redis+cluster://127.0.0.1:1," + strings.TrimPrefix(c.Masters[2].URL, "redis://")
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: url}))
	for p := range 64 {
		room := roomsOf(p, 1)[0]
		i.Subscribe(pubsub.Room(room))
		i.Text(room, "x")
		i.Messages(t, pubsub.Room(room), 1)
	}
}
