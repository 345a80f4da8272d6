package redis_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

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

// The numbers of BenchmarkAgainstRedisBenchmark.
const (
	inFlight = 256
	rounds   = 9
)

// BenchmarkAgainstRedisBenchmark publishes to a room with history and to one without, through the
// broker and, on the same server and in the same run, through redis-benchmark, which calls the same
// script. It gives the rates, what history costs, and the broker's share of redis-benchmark's rate:
// medians over rounds in turn, since the machine may not always be as fast.
func BenchmarkAgainstRedisBenchmark(b *testing.B) {
	s := redistest.StartProcess(b)
	raw := s.Client(b)
	i := pubsubtest.Start(b, broker(b, redis.Config{URL: s.URL}))
	sha := raw.ScriptLoad(ctx, redis.PublishSource).Val()
	// redis-benchmark sends whole pipelines only: with a part of one left over it would do more than
	// it counts.
	n := max(b.N, 51_200) / (50 * inFlight) * 50 * inFlight
	metrics := make(map[string][]float64)
	b.ResetTimer()
	for range rounds {
		history, plain := throughBroker(b, i, "history", n), throughBroker(b, i, "plain", n)
		// However it is faster.
		theirs := max(redisBenchmark(b, raw, s.Addr, n, 1, inFlight, sha), redisBenchmark(b, raw, s.Addr, n, 50, 64, sha))
		for name, v := range map[string]float64{
			"history/s": history, "plain/s": plain, "plain/history": plain / history,
			"redis-benchmark-history/s": theirs, "share-of-redis-benchmark": history / theirs,
		} {
			metrics[name] = append(metrics[name], v)
		}
	}
	for name, values := range metrics {
		slices.Sort(values)
		b.ReportMetric(values[rounds/2], name)
	}
}

// payload is 200 bytes, and text: a command line has no zero bytes.
var payload = bytes.Repeat([]byte("x"), 200)

// throughBroker publishes n messages to a room as fast as can be, and returns the rate.
func throughBroker(b *testing.B, i *pubsubtest.Instance, room string, n int) float64 {
	b.Helper()
	window := make(chan struct{}, 4*inFlight) // one pipeline is under way, one is made, and more wait
	began := time.Now()
	for range n {
		window <- struct{}{}
		i.Broker.Publish(pubsub.Message{Target: pubsub.Room(room), Kind: pubsub.Binary, Payload: payload}, func(_ pubsub.Receipt, err error) {
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

// redisBenchmark has redis-benchmark call the script with this digest, on some connections with so
// many commands in flight on each. It returns its rate.
func redisBenchmark(b *testing.B, raw *goredis.Client, addr string, n, connections, pipeline int, sha string) float64 {
	b.Helper()
	offset := func() int {
		n, _ := raw.HGet(ctx, "bench:{0}:m:room", "offset").Int()
		return n
	}
	host, port, _ := strings.Cut(addr, ":")
	args := []string{"-h", host, "-p", port, "-n", fmt.Sprint(n), "-c", fmt.Sprint(connections), "-P", fmt.Sprint(pipeline), "--csv"}
	envelope := "\x01\x02" + string(payload)
	before := offset()
	args = append(args, "evalsha", sha, "2", "bench:{0}:m:room", "bench:{0}:h:room",
		"bench:{0}:c:room", "123456789", "256", "60000", "3720000", envelope, "publish")
	out, err := exec.Command("redis-benchmark", args...).CombinedOutput()
	if err != nil {
		b.Fatalf("redis-benchmark: %v: %.500q", err, out)
	}
	if done := offset() - before; done != n { // it does not say so when the script fails
		b.Fatalf("redis-benchmark has published %d messages, not %d", done, n)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], "\",\"")
	rate, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		b.Fatalf("%s: %v", out, err)
	}
	return rate
}
