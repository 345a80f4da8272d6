package redis_test

import (
	"fmt"
	"testing"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/pubsubtest"
	"github.com/fanfare-ws/fanfare/pubsub/redis"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// nobody throws everything away.
type nobody struct{ *pubsubtest.Recorder }

func (nobody) Deliver(pubsub.Message) {}

func BenchmarkPublish(b *testing.B) {
	s := redistest.Start(b)
	for _, subscribed := range []bool{false, true} {
		for _, room := range []string{"plain", "history"} {
			for _, inFlight := range []int{1, 4096} {
				b.Run(fmt.Sprintf("%s/subscribed=%v/inflight=%d", room, subscribed, inFlight), func(b *testing.B) {
					r := pubsubtest.NewRecorder()
					i := pubsubtest.StartWith(b, broker(b, redis.Config{URL: s.URL, Prefix: prefix()}), nobody{r}, r)
					rooms := make([]pubsub.Target, 16)
					for n := range rooms {
						rooms[n] = pubsub.Room(fmt.Sprint(room, n))
						if subscribed {
							i.Subscribe(rooms[n])
						}
					}
					payload := make([]byte, 200)
					window := make(chan struct{}, inFlight)
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
						i.Broker.Publish(pubsub.Message{Target: rooms[n%16], Kind: pubsub.Binary, Payload: payload}, done)
					}
					for range inFlight {
						window <- struct{}{}
					}
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
				})
			}
		}
	}
}
