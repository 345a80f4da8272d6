package redis_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

var ctx = context.Background()

func TestWhatOthersPublishIsDeliveredAsItIs(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	raw := s.Client(t)
	prefix := prefix()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Prefix: prefix}))
	i.Subscribe(pubsub.Room("chat"))
	i.Subscribe(pubsub.User("ann"))
	payloads := []string{"hello", "", "\x00\xff", strings.Repeat("x", 100_000)}
	for channel, target := range map[string]pubsub.Target{":{0}:c:chat": pubsub.Room("chat"), ":{0}:u:ann": pubsub.User("ann")} {
		for n, p := range payloads {
			if err := raw.Publish(ctx, prefix+channel, p).Err(); err != nil {
				t.Fatal(err)
			}
			m := i.Messages(t, target, n+1)[n]
			if m.Kind != pubsub.Foreign || string(m.Payload) != p || m.Position != (pubsub.Position{}) {
				t.Errorf("%+v: published %.20q, got %.100v", target, p, m)
			}
		}
	}
}

func TestAMalformedEnvelopeIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	raw := s.Client(t)
	prefix, registry := prefix(), prometheus.NewRegistry()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Prefix: prefix, Registerer: registry}))
	i.Subscribe(pubsub.Room("r"))
	const n = 50
	for range n {
		raw.Publish(ctx, prefix+":{0}:c:r", "\x01\x08short")
	}
	i.Text("r", "good")
	if got := i.Messages(t, pubsub.Room("r"), 1); string(got[0].Payload) != "good" {
		t.Errorf("delivered %+v", got[0])
	}
	if got := metric(t, registry, "fanfare_broker_bad_messages_total"); got != n {
		t.Errorf("counted %v, want %d", got, n)
	}
}

func TestWhatRedisHoldsIsAsDocumented(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	raw := s.Client(t)
	prefix := prefix()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Prefix: prefix}))
	at := i.Publish(pubsub.Message{Target: pubsub.Room("a:b"), Key: "k:1", From: "ann", Payload: []byte("x")}).Position
	key := func(k string) string { return prefix + ":{0}:" + k }

	meta := raw.HGetAll(ctx, key("m:a:b")).Val()
	if meta["epoch"] != fmt.Sprint(at.Epoch) || meta["offset"] != "1" || len(meta) != 2 {
		t.Errorf("meta %v, want %+v", meta, at)
	}
	entries := raw.XRange(ctx, key("h:a:b"), "-", "+").Val()
	if len(entries) != 1 || entries[0].ID != "1-0" || len(entries[0].Values) != 1 || entries[0].Values["e"] != "\x01\x20\x03annx" {
		t.Errorf("stream %v", entries)
	}
	if got := raw.Get(ctx, key("k:a%3Ab:k:1")).Val(); got != fmt.Sprintf("1:%d", at.Epoch) {
		t.Errorf("key %q", got)
	}
	for k, want := range map[string]time.Duration{"h:a:b": time.Minute, "k:a%3Ab:k:1": time.Minute, "m:a:b": time.Hour + 2*time.Minute} {
		if ttl := raw.PTTL(ctx, key(k)).Val(); ttl > want || ttl < want-20*time.Second {
			t.Errorf("%s expires in %v, want %v", k, ttl, want)
		}
	}
}

func TestAStreamWithoutItsMetaIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	raw := s.Client(t)
	prefix := prefix()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Prefix: prefix}))
	for what, lose := range map[string]func(room string){
		"meta evicted":      func(room string) { raw.Del(ctx, prefix+":{0}:m:"+room) },
		"meta is behind":    func(room string) { raw.HSet(ctx, prefix+":{0}:m:"+room, "offset", 1) },
		"meta is nonsense":  func(room string) { raw.HSet(ctx, prefix+":{0}:m:"+room, "epoch", "x", "offset", "y") },
		"stream is another": func(room string) { raw.Set(ctx, prefix+":{0}:h:"+room, "no stream", 0) },
	} {
		room := strings.ReplaceAll(what, " ", "-")
		var old pubsub.Position
		for range 3 {
			old = i.Text(room, "old").Position
		}
		lose(room)
		at := i.Text(room, "new").Position
		if at.Epoch == old.Epoch || at.Offset != 1 {
			t.Errorf("%s: published at %+v after %+v, want a new epoch", what, at, old)
		}
		h := i.Read(room, pubsub.Query{Since: true})
		if len(h.Messages) != 1 || h.Top != at || string(h.Messages[0].Payload) != "new" {
			t.Errorf("%s: history %+v", what, h)
		}
	}
}

func TestAReadOfALostMetaDoesNotShowOldMessages(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	prefix := prefix()
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Prefix: prefix}))
	old := i.Text("r", "old").Position
	s.Client(t).Del(ctx, prefix+":{0}:m:r")
	h := i.Read("r", pubsub.Query{Last: 10})
	if h.Top.Epoch == old.Epoch || h.Top.Offset != 0 || len(h.Messages) != 0 {
		t.Errorf("history %+v", h)
	}
	if at := i.Text("r", "new").Position; at.Epoch != h.Top.Epoch || at.Offset != 1 {
		t.Errorf("published at %+v, the epoch was %d", at, h.Top.Epoch)
	}
}

// metric is the value of a metric without labels.
func metric(t testing.TB, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
