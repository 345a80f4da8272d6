package redis_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

var withHistory = pubsub.Retentions{{Match: "plain*"}, {Match: "*", History: 256, TTL: time.Minute}}

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
			pubsubtest.Run(t, func(testing.TB) pubsubtest.Cluster {
				prefix := prefix()
				return pubsubtest.Cluster{New: func(t testing.TB, rs pubsub.Retentions, queue int) pubsub.Broker {
					return broker(t, redis.Config{URL: s.URL, Prefix: prefix, Partitions: partitions, Retentions: rs, Queue: queue})
				}}
			})
		})
	}
}
