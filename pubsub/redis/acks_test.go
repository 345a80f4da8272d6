package redis_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestAnAckWaitsForReplicas(t *testing.T) {
	t.Parallel()
	master := redistest.StartProcess(t)
	replica := redistest.StartReplica(t, master)
	raw := replica.Client(t)
	prefix := prefix()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: master.URL, Prefix: prefix, AckReplicas: 1}))
	i.Subscribe(pubsub.Room("r"))
	i.Subscribe(pubsub.Room("plain"))
	for n := 1; n <= 20; n++ {
		at := i.Text("r", fmt.Sprint(n)).Position
		if top := raw.HGet(ctx, prefix+":{0}:m:r", "offset").Val(); top != fmt.Sprint(at.Offset) {
			t.Errorf("%d was acknowledged when the replica had %s", at.Offset, top)
		}
	}
	replica.Pause(t)
	began := time.Now()
	m := pubsub.Message{Target: pubsub.Room("r"), Key: "k", Payload: []byte("21")}
	_, err := i.TryPublish(m)
	if d := time.Since(began); !errors.Is(err, pubsub.ErrUnavailable) || d > 2*time.Second {
		t.Errorf("published without a replica: %v after %v", err, d)
	}
	waitDown(t, i, "0 of 1 replicas")
	i.Text("plain", "nothing is kept, and nothing waited for")
	replica.Resume(t)
	waitUp(t, i)
	if at := i.Publish(m).Position; at.Offset != 21 {
		t.Errorf("published again with the same key, it is at %+v", at)
	}
	i.Text("r", "22")
	if got := i.Messages(t, pubsub.Room("r"), 22); len(got) != 22 || string(got[20].Payload) != "21" {
		t.Errorf("%d messages were delivered", len(got))
	}
}

func TestAnAckOfMoreReplicasThanThereAreIsNeverGiven(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	i := pubsubtest.StartDown(t, broker(t, redis.Config{URL: s.URL, AckReplicas: 2}))
	waitDown(t, i, "0 of 2 replicas")
	began := time.Now()
	_, err := i.TryPublish(pubsub.Message{Target: pubsub.Room("r")})
	if d := time.Since(began); !errors.Is(err, pubsub.ErrUnavailable) || d > 2*time.Second {
		t.Errorf("published: %v after %v", err, d)
	}
}
