//go:build unix

package faults_test

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestPacketsDroppedBetweenOneInstanceAndRedisFor20s(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	redis := redistest.StartProcess(t)
	proxy := faults.NewProxy(t, redis.Addr)
	w := begin(t, faults.Plan{Redis: []string{"redis://" + proxy.Addr, redis.URL}})
	w.More(200)
	proxy.Drop()
	began := time.Now()
	refused(t, w)
	w.Until("the instance is not ready", func() bool { return w.Status(0, "readyz") == http.StatusServiceUnavailable })
	for time.Since(began) < 20*time.Second {
		for _, got := range []struct {
			what         string
			status, want int
		}{
			{"readyz of the instance without Redis", w.Status(0, "readyz"), http.StatusServiceUnavailable},
			{"healthz of the instance without Redis", w.Status(0, "healthz"), http.StatusOK},
			{"readyz of the other instance", w.Status(1, "readyz"), http.StatusOK},
		} {
			if got.status != got.want {
				t.Errorf("%s: %d", got.what, got.status)
			}
		}
		w.Sleep(500 * time.Millisecond)
	}
	proxy.Restore()
	w.Healed()
	stayed(t, w)
	w.Until("the instance is ready", func() bool { return w.Status(0, "readyz") == http.StatusOK })
	end(t, w, noGaps)
}

// listening is the ids of the connections that instances listen on.
func listening(t *testing.T, c *goredis.Client) map[string]bool {
	t.Helper()
	list, err := c.Do(context.Background(), "CLIENT", "LIST", "TYPE", "PUBSUB").Text()
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, word := range strings.Fields(list) {
		if id, ok := strings.CutPrefix(word, "id="); ok {
			ids[id] = true
		}
	}
	return ids
}

func TestSubscriberCutOffByClientOutputBufferLimit(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	// Not so small that what is sent in a moment exceeds it.
	redis := redistest.StartProcess(t, "--client-output-buffer-limit", "pubsub", "1mb", "512kb", "1")
	c := redis.Client(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL), Stay: 4, Churn: -1, Rooms: 1, Size: 48 << 10, Pace: 60 * time.Millisecond,
		Args: []string{"--slow-limit", "64MiB"}, // so much comes at once afterwards
	})
	w.More(50)
	before := listening(t, c)
	if len(before) != 2 {
		t.Fatalf("%d connections listen", len(before))
	}
	pid := w.Instance(0).PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	w.Until("Redis has cut the stopped instance off", func() bool { return len(listening(t, c)) == 1 })
	w.More(20)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.Healed()
	stayed(t, w)
	end(t, w, noGaps)
}

func TestRedisRestartedWithAppendOnlyFile(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	redis := redistest.StartProcess(t, "--appendonly", "yes", "--appendfsync", "always")
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL)})
	for range 2 {
		w.More(300)
		redis.Stop(t)
		refused(t, w)
		redis.Restart(t)
		w.Healed()
	}
	stayed(t, w)
	end(t, w, noGaps)
}

func TestRedisOutOfMemoryAndThenReadOnly(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t, "--maxmemory-policy", "noeviction")
	c := redis.Client(t)
	w := begin(t, faults.Plan{Redis: urls(2, redis.URL)})
	for _, setting := range []struct{ name, bad, good string }{
		{"maxmemory", "1mb", "0"},
		{"min-replicas-to-write", "1", "0"},
	} {
		w.More(100)
		before, _ := w.Away()
		if err := c.ConfigSet(t.Context(), setting.name, setting.bad).Err(); err != nil {
			t.Fatal(err)
		}
		w.Until("publishers are refused", func() bool { n, _ := w.Away(); return n >= before+8 })
		sick(t, w, 2)
		if err := c.ConfigSet(t.Context(), setting.name, setting.good).Err(); err != nil {
			t.Fatal(err)
		}
		w.Healed()
	}
	refused(t, w)
	stayed(t, w)
	end(t, w, noGaps)
}
