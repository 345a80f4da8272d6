package memory_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	pubsubtest.Run(t, func(testing.TB) pubsubtest.Cluster {
		return pubsubtest.Cluster{Alone: true, New: func(_ testing.TB, rs pubsub.Retentions, queue int) pubsub.Broker {
			return memory.New(memory.Config{Retentions: rs, Queue: queue})
		}}
	})
}

func TestARoomThatNobodyWantsIsForgottenWhenItsTimeHasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := pubsubtest.Start(t, memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: 10}}}))
		first := i.Text("r", "1").Position
		time.Sleep(9 * time.Minute)
		if second := i.Text("r", "2").Position; second.Epoch != first.Epoch || second.Offset != 2 {
			t.Errorf("after 9 minutes %+v came after %+v", second, first)
		}
		time.Sleep(11 * time.Minute)
		if third := i.Text("r", "3").Position; third.Epoch == first.Epoch || third.Offset != 1 {
			t.Errorf("after 11 quiet minutes %+v came after %+v", third, first)
		}
		i.Stop()
	})
}

func TestAKeyIsForgottenEvenInARoomThatIsNeverQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs := pubsub.Retentions{{Match: "*", History: 10, TTL: time.Minute}}
		i := pubsubtest.Start(t, memory.New(memory.Config{Retentions: rs}))
		keyed := pubsub.Message{Target: pubsub.Room("r"), Key: "k"}
		first := i.Publish(keyed).Position
		time.Sleep(40 * time.Second)
		i.Text("r", "x")
		if again := i.Publish(keyed).Position; again != first {
			t.Errorf("after 40 s: %+v, want %+v", again, first)
		}
		time.Sleep(40 * time.Second)
		if again := i.Publish(keyed).Position; again.Offset != 3 {
			t.Errorf("after 80 s: %+v, want a new offset, 3", again)
		}
		i.Stop()
	})
}

type counter struct{ n int }

func (c *counter) Deliver(pubsub.Message)            { c.n++ }
func (c *counter) Top(string, pubsub.Position, bool) {}
func (c *counter) Up(error)                          {}

func BenchmarkPublish(b *testing.B) {
	for _, bench := range []struct {
		name       string
		history    int
		subscribed bool
	}{{"plain", 0, true}, {"history", 256, true}, {"unwanted", 0, false}} {
		b.Run(bench.name, func(b *testing.B) {
			m := memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: bench.history, TTL: time.Minute}}})
			ctx, cancel := context.WithCancel(context.Background())
			var run sync.WaitGroup
			run.Go(func() { _ = m.Run(ctx, &counter{}) })
			defer run.Wait()
			defer cancel()
			if bench.subscribed {
				for r := range 16 {
					m.Subscribe(pubsub.Room(fmt.Sprint(r)), func(pubsub.Position, error) {})
				}
			}
			rooms := make([]pubsub.Target, 16)
			for r := range rooms {
				rooms[r] = pubsub.Room(fmt.Sprint(r))
			}
			payload := make([]byte, 200)
			window := make(chan struct{}, 4096) // as many as wait for an answer
			done := func(_ pubsub.Receipt, err error) {
				if err != nil {
					b.Error(err)
				}
				<-window
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				window <- struct{}{}
				m.Publish(pubsub.Message{Target: rooms[n%16], Payload: payload}, done)
			}
			for range cap(window) {
				window <- struct{}{}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// knower is a handler that knows its users.
type knower struct{ got chan pubsub.Message }

func (k knower) Deliver(m pubsub.Message)        { k.got <- m }
func (knower) Top(string, pubsub.Position, bool) {}
func (knower) Up(error)                          {}
func (knower) KnowsUser(name string) bool        { return name == "ada" }

func TestAHandlerThatKnowsItsUsersIsAsked(t *testing.T) {
	t.Parallel()
	b, k := memory.New(memory.Config{}), knower{make(chan pubsub.Message, 2)}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go b.Run(ctx, k)
	for name, want := range map[string]int{"ada": 1, "bob": 0} {
		receipts := make(chan pubsub.Receipt, 1)
		b.Subscribe(pubsub.User("bob"), func(pubsub.Position, error) {})
		b.Publish(pubsub.Message{Target: pubsub.User(name), Payload: []byte(`1`), Kind: pubsub.JSON}, func(r pubsub.Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
			receipts <- r
		})
		if r := <-receipts; r.Instances != want {
			t.Errorf("%s: %d instances, want %d", name, r.Instances, want)
		}
	}
	if m := <-k.got; m.Target.Name != "ada" || len(k.got) != 0 {
		t.Errorf("delivered %+v, and %d more", m, len(k.got))
	}
}
