package redis_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

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

// BenchmarkAgainstRedisBenchmark drives the script that publishes with history through the broker
// and, on the same server and in the same run, through redis-benchmark with one connection and as
// many commands in flight, in one room, and gives the ratio of their rates.
func BenchmarkAgainstRedisBenchmark(b *testing.B) {
	s := redistest.StartProcess(b)
	raw := s.Client(b)
	sha := raw.ScriptLoad(ctx, redis.PublishSource).Val()
	const inFlight = 256
	payload := bytes.Repeat([]byte("x"), 200)
	for _, with := range []string{"history", "plain"} {
		b.Run(with, func(b *testing.B) {
			raw.FlushDB(ctx)
			i := pubsubtest.Start(b, broker(b, redis.Config{URL: s.URL}))
			ours := func(n int) float64 {
				window := make(chan struct{}, 4*inFlight) // one pipeline collects while another is under way
				began := time.Now()
				for range n {
					window <- struct{}{}
					m := pubsub.Message{Target: pubsub.Room(with), Kind: pubsub.Binary, Payload: payload}
					i.Broker.Publish(m, func(_ pubsub.Receipt, err error) {
						if err != nil {
							b.Error(err)
						}
						<-window
					})
				}
				for range cap(window) {
					window <- struct{}{}
				}
				return float64(n) / time.Since(began).Seconds()
			}
			theirs := func(n int) float64 {
				host, port, _ := strings.Cut(s.Addr, ":")
				args := []string{"-h", host, "-p", port, "-n", fmt.Sprint(n), "-c", "1", "-P", fmt.Sprint(inFlight), "--csv"}
				envelope := "\x01\x02" + string(payload) // as text: a command line has no zero bytes
				if with == "history" {
					args = append(args, "evalsha", sha, "2", "bench:{0}:m:room", "bench:{0}:h:room",
						"bench:{0}:c:room", "123456789", "256", "60000", "3720000", envelope, "publish")
				} else {
					args = append(args, "publish", "bench:{0}:c:room", envelope)
				}
				out, err := exec.Command("redis-benchmark", args...).CombinedOutput()
				if err != nil {
					b.Fatalf("redis-benchmark: %v: %.500q", err, out)
				}
				lines := strings.Split(strings.TrimSpace(string(out)), "\n")
				fields := strings.Split(lines[len(lines)-1], "\",\"")
				rate, err := strconv.ParseFloat(fields[1], 64)
				if err != nil {
					b.Fatalf("%s: %v", out, err)
				}
				return rate
			}
			// redis-benchmark sends whole pipelines only: with a part of one left over it would do
			// more than it counts.
			n := max(b.N, 50_000) / (10 * inFlight) * 10 * inFlight
			ours(n / 10)
			theirs(n / 10)
			b.ResetTimer()
			var us, them float64
			for range 3 { // in turn, since the machine may not always be as fast
				us += ours(n) / 3
				them += theirs(n) / 3
			}
			if with == "history" { // it does not say so when the script fails
				done, _ := raw.HGet(ctx, "bench:{0}:m:room", "offset").Int()
				if want := 3*n + n/10; done != want {
					b.Fatalf("redis-benchmark has published %d messages, not %d", done, want)
				}
			}
			b.ReportMetric(us, "msg/s")
			b.ReportMetric(them, "redis-benchmark/s")
			b.ReportMetric(us/them, "ratio")
		})
	}
}
