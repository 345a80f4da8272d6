package faults_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// unavailableWithin is how long a publisher waits for `unavailable` at most: two seconds, and what
// a busy machine adds.
const unavailableWithin = 2*time.Second + 3*time.Second

// refused holds that publishers were told, and told in time, that the broker is away.
func refused(t *testing.T, w *faults.World) {
	t.Helper()
	w.Until("publishers are told that the broker is away", func() bool { n, _ := w.Away(); return n > 0 })
	if _, slowest := w.Away(); slowest > unavailableWithin {
		t.Errorf("a publisher waited %v for `unavailable`", slowest)
	}
}

// sick holds that all instances say that they are not ready, but alive.
func sick(t *testing.T, w *faults.World, instances int) {
	t.Helper()
	for i := range instances {
		w.Until("an instance is not ready", func() bool { return w.Status(i, "readyz") == http.StatusServiceUnavailable })
		if got := w.Status(i, "healthz"); got != http.StatusOK {
			t.Errorf("healthz of instance %d: %d", i, got)
		}
	}
}

// stayed holds that no socket was lost.
func stayed(t *testing.T, w *faults.World) {
	t.Helper()
	if n := w.Lost(); n > 0 {
		t.Errorf("%d sockets were lost", n)
	}
}

func TestRedisRestartedEmpty(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL)})
	w.More(200)
	redis.Stop(t)
	sick(t, w, 2)
	refused(t, w)
	redis.Restart(t)
	w.Healed()
	stayed(t, w)
	if row := end(t, w, gaps); row.Tally.Gaps < row.Tally.Streams {
		t.Errorf("%d gaps told to %d streams", row.Tally.Gaps, row.Tally.Streams)
	}
}

// FLUSHALL interrupts nothing: no connection is lost, and only the next message shows it.
func TestRedisEmptiedUnderLoad(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL)})
	w.More(200)
	if err := redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.Healed()
	stayed(t, w)
	if row := end(t, w, gaps); row.Tally.Gaps < row.Tally.Streams {
		t.Errorf("%d gaps told to %d streams", row.Tally.Gaps, row.Tally.Streams)
	}
}

func TestRedisPausedFor3s(t *testing.T) {
	t.Parallel()
	paused(t, 3*time.Second)
}

func TestRedisPausedFor10s(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	paused(t, 10*time.Second)
}

func paused(t *testing.T, d time.Duration) {
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL)})
	w.More(200)
	redis.Pause(t)
	began := time.Now()
	refused(t, w)
	sick(t, w, 2)
	w.Sleep(d - time.Since(began))
	redis.Resume(t)
	w.Healed()
	stayed(t, w)
	end(t, w, noGaps)
}

func TestPubsubConnectionsKilled(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	c := redis.Client(t)
	w := begin(t, faults.Plan{Redis: urls(3, redis.URL)})
	for range 8 {
		w.More(20 + w.Rand.IntN(60))
		if err := c.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
	}
	w.Healed()
	stayed(t, w)
	end(t, w, noGaps)
}
