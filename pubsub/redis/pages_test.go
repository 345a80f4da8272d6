package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// wantDense checks that a history has the messages after an offset, as they were published.
func wantDense(t *testing.T, h pubsub.History, after, to uint64) {
	t.Helper()
	if h.Top.Offset < to || uint64(len(h.Messages)) != h.Top.Offset-after {
		t.Fatalf("%d messages up to %d, want those after %d up to at least %d", len(h.Messages), h.Top.Offset, after, to)
	}
	for n, m := range h.Messages {
		at := after + uint64(n) + 1
		if m.Position.Offset != at || m.Position.Epoch != h.Top.Epoch || !strings.HasPrefix(string(m.Payload), fmt.Sprintf("%d ", at)) {
			t.Fatalf("message %d is %.10q at %+v", at, m.Payload, m.Position)
		}
	}
}

// big publishes numbered messages of a size.
func big(i *pubsubtest.Instance, room string, from, to, size int) {
	for n := from; n <= to; n++ {
		i.Text(room, fmt.Sprintf("%d %s", n, strings.Repeat("x", size)))
	}
}

// The whole would not be here within the time that an answer of Redis may take.
func TestAHistoryThatIsLargeIsReadOverASlowNetwork(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	p := startProxy(t, s.Addr)
	fast := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Retentions: long}))
	slow := pubsubtest.Start(t, broker(t, redis.Config{URL: "redis://" + p.addr, Retentions: long}))
	const all = 400
	big(fast, "r", 1, all, 20_000)
	p.slow(20 * time.Millisecond) // 3 MB/s
	began := time.Now()
	h := slow.Read("r", pubsub.Query{Since: true})
	wantDense(t, h, 0, all)
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("read within %v: the network is not slow", took)
	}
	wantDense(t, slow.Read("r", pubsub.Query{Since: true, After: 399}), 399, all)
}

func TestAHistoryIsReadWhileMoreIsPublished(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	i := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Retentions: long}))
	const before, all = 300, 600
	big(i, "r", 1, before, 20_000)
	published := make(chan struct{})
	go func() {
		defer close(published)
		big(i, "r", before+1, all, 20_000)
	}()
	for after := uint64(0); after < before; after += 50 {
		wantDense(t, i.Read("r", pubsub.Query{Since: true, After: after}), after, before)
	}
	<-published
	wantDense(t, i.Read("r", pubsub.Query{Since: true, After: 1}), 1, all)
}

func TestAHistoryThatIsTrimmedOrRenewedBetweenTwoPagesHasNoHole(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	p := startProxy(t, s.Addr)
	fast := pubsubtest.Start(t, broker(t, redis.Config{URL: s.URL, Retentions: long}))
	slow := pubsubtest.Start(t, broker(t, redis.Config{URL: "redis://" + p.addr, Retentions: long}))
	raw := s.Client(t)
	for what, change := range map[string]func(room string, epoch uint64){
		"trimmed":       func(room string, _ uint64) { raw.XTrimMaxLen(ctx, "fanfare:{0}:h:"+room, 20) },
		"in the middle": func(room string, _ uint64) { raw.XDel(ctx, "fanfare:{0}:h:"+room, "250-0") },
		"renewed": func(room string, epoch uint64) {
			fast.Renew(room, epoch)
			big(fast, room, 1, 300, 20_000)
		},
	} {
		t.Run(what, func(t *testing.T) {
			big(fast, what, 1, 300, 20_000)
			p.slow(40 * time.Millisecond) // about a second for a page
			defer p.slow(0)
			got := make(chan pubsub.History, 1)
			slow.Broker.Read(what, pubsub.Query{Since: true}, func(h pubsub.History, err error) {
				if err != nil {
					t.Error(err)
				}
				got <- h
			})
			began := raw.XLen(ctx, "fanfare:{0}:h:"+what).Val()
			change(what, fast.Read(what, pubsub.Query{}).Top.Epoch)
			h := <-got
			if began != 300 {
				t.Fatalf("%d messages were published", began)
			}
			if what == "renewed" { // all of the old, or as many of the new as there were by then
				wantDense(t, h, 0, 0)
				return
			}
			if len(h.Messages) == 0 {
				t.Fatal("no messages")
			}
			first := h.Messages[0].Position.Offset
			wantDense(t, h, first-1, 300)
			if first == 1 {
				t.Error("nothing is missing: it was changed too late")
			}
		})
	}
}
