package redis_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

var withHistory = pubsub.Retentions{{Match: "plain*"}, {Match: "*", History: 256, TTL: time.Minute}}

// long is history in which nothing is trimmed.
var long = pubsub.Retentions{{Match: "*", History: 100_000, TTL: time.Minute}}

// prefix is one that no other test uses.
func prefix() string { return fmt.Sprintf("test-%x", rand.Uint64()) }

// broker makes one with history for all rooms but plain*.
func broker(t testing.TB, c redis.Config) *redis.Broker {
	t.Helper()
	if c.Retentions == nil {
		c.Retentions = withHistory
	}
	b, err := redis.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	for _, partitions := range []int{1, 7} {
		t.Run(fmt.Sprintf("%d partitions", partitions), func(t *testing.T) {
			t.Parallel()
			pubsubtest.Run(t, backend(redis.Config{URL: s.URL, Partitions: partitions}, s))
		})
	}
}

// backend gives every test names of its own on the same servers.
func backend(c redis.Config, servers ...*redistest.Server) func(testing.TB) pubsubtest.Cluster {
	partitions := cmp.Or(c.Partitions, 64) // by default 64 on a cluster, and 1 elsewhere, where to tell 64 apart does no harm
	return func(testing.TB) pubsubtest.Cluster {
		c := c
		c.Prefix = prefix()
		c.Name = c.Prefix
		return pubsubtest.Cluster{
			New: func(t testing.TB, rs pubsub.Retentions, queue int) pubsub.Broker {
				c.Retentions, c.Queue = rs, queue
				return broker(t, c)
			},
			Partition: func(name string) int { return redis.Partition(name, partitions) },
			Interrupt: func(t testing.TB) { cut(t, c.Name, servers...) },
		}
	}
}

// cut kills the listening connections of the instances of a name.
func cut(t testing.TB, name string, servers ...*redistest.Server) {
	t.Helper()
	cut := 0
	for _, s := range servers {
		raw := s.Client(t)
		for line := range strings.Lines(raw.Do(ctx, "client", "list", "type", "pubsub").Val().(string)) {
			fields := strings.Fields(line)
			if slices.Contains(fields, "name=fanfare-"+name) {
				cut += int(raw.ClientKillByFilter(ctx, "id", strings.TrimPrefix(fields[0], "id=")).Val())
			}
		}
	}
	if cut == 0 {
		t.Fatalf("%s listens nowhere", name)
	}
}
