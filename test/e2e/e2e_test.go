// Package e2e tests the program as its users run it: two processes, one Redis, real sockets.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestMain(m *testing.M) { os.Exit(fanfaretest.Main(m)) }

// two starts two instances on one Redis, with keys of their own.
func two(t *testing.T, args ...string) (a, b *fanfaretest.Process, prefix string, redis *redistest.Server) {
	t.Helper()
	redis = redistest.Start(t)
	prefix = fmt.Sprintf("e2e-%d-%d", os.Getpid(), time.Now().UnixNano())
	args = append([]string{"--redis", redis.URL, "--redis-prefix", prefix}, args...)
	a = fanfaretest.Start(t, append(args, "--name", "a")...)
	b = fanfaretest.Start(t, append(args, "--name", "b")...)
	ready(t, a, b)
	return a, b, prefix, redis
}

func ready(t *testing.T, instances ...*fanfaretest.Process) {
	t.Helper()
	for _, p := range instances {
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			r, err := http.Get(p.OpsURL + "readyz")
			if err == nil {
				r.Body.Close()
				if r.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("not ready in time; its log:\n%s", p.Stderr())
			}
		}
	}
}

func dial(ctx context.Context, t *testing.T, p *fanfaretest.Process, token string) *client.Conn {
	t.Helper()
	c, err := client.Dial(ctx, p.SocketURL, client.Options{Token: token, Buffer: 4096})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func deadline(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestEveryMessageReachesEverySocketOnBothInstancesOnceAndInOneOrder(t *testing.T) {
	t.Parallel()
	a, b, _, _ := two(t, "--rate", "-1")
	ctx := deadline(t, time.Minute)
	const sockets, publishers, each = 40, 4, 100
	var members []*client.Conn
	for i := range sockets {
		c := dial(ctx, t, []*fanfaretest.Process{a, b}[i%2], "")
		if _, err := c.Join(ctx, "room"); err != nil {
			t.Fatal(err)
		}
		members = append(members, c)
	}
	orders := make([]string, sockets)
	var wg sync.WaitGroup
	for i, c := range members {
		wg.Go(func() {
			var order strings.Builder
			for n := range publishers * each {
				ev, err := c.Receive(ctx)
				if err != nil {
					t.Errorf("socket %d after %d messages: %v", i, n, err)
					return
				}
				m, ok := ev.(client.Message)
				if !ok || m.Offset != uint64(n+1) {
					t.Errorf("socket %d: got %+v, want offset %d", i, ev, n+1)
					return
				}
				order.WriteString(string(m.Data) + " ")
			}
			orders[i] = order.String()
		})
	}
	for p := range publishers {
		wg.Go(func() {
			for n := range each {
				if _, err := members[p].Publish(ctx, "room", fmt.Sprintf("%d-%d", p, n)); err != nil {
					t.Errorf("publishing: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i, o := range orders {
		if o != orders[0] {
			t.Errorf("socket %d saw another order than socket 0", i)
		}
	}
}

func TestSubscriptionsFollowInterest(t *testing.T) {
	t.Parallel()
	a, b, prefix, redis := two(t)
	ctx := deadline(t, time.Minute)
	raw := redis.Client(t)
	subscribers := func(want int64) {
		t.Helper()
		channel := prefix + ":{0}:c:quiet"
		for {
			n, err := raw.PubSubNumSub(ctx, channel).Result()
			if err != nil {
				t.Fatal(err)
			}
			if n[channel] == want {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	subscribers(0)
	ca := dial(ctx, t, a, "")
	if _, err := ca.Join(ctx, "quiet"); err != nil {
		t.Fatal(err)
	}
	subscribers(1)
	cb := dial(ctx, t, b, "")
	if _, err := cb.Join(ctx, "quiet"); err != nil {
		t.Fatal(err)
	}
	subscribers(2)
	if err := ca.Leave(ctx, "quiet"); err != nil {
		t.Fatal(err)
	}
	subscribers(1)
	cb.Close()
	subscribers(0)
}

func TestABackendPublishesThroughAnyInstance(t *testing.T) {
	t.Parallel()
	a, b, prefix, redis := two(t, "--api-key", "sesame")
	ctx := deadline(t, time.Minute)
	ca, cb := dial(ctx, t, a, "alice"), dial(ctx, t, b, "alice")
	for _, c := range []*client.Conn{ca, cb} {
		if _, err := c.Join(ctx, "news"); err != nil {
			t.Fatal(err)
		}
	}
	post := func(key, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.OpsURL+"api/publish", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(answer)))
	}
	both := func(want string) {
		t.Helper()
		for _, c := range []*client.Conn{ca, cb} {
			ev, err := c.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got), want) {
				t.Fatalf("got %s, want it to have %s", got, want)
			}
		}
	}
	if got := post("wrong", `{"room":"news","data":1}`); !strings.HasPrefix(got, "401 ") {
		t.Errorf("a wrong key got %s", got)
	}
	if got := post("sesame", `{"room":"news","data":{"headline":"x"}}`); got != `200 {"offset":1}` {
		t.Errorf("publishing to a room got %s", got)
	}
	both(`{"headline":"x"}`)
	if got := post("sesame", `{"user":"alice","data":"psst"}`); got != `200 {"instances":2}` {
		t.Errorf("publishing to a user got %s", got)
	}
	both(`"psst"`)
	// A program that knows nothing of Fanfare.
	if err := redis.Client(t).Publish(ctx, prefix+":{0}:c:news", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	both(`"hello"`)
}

func TestSIGTERMTellsSocketsAndExitsWith0(t *testing.T) {
	t.Parallel()
	a, b, _, _ := two(t)
	ctx := deadline(t, time.Minute)
	ca, cb := dial(ctx, t, a, ""), dial(ctx, t, b, "")
	if _, err := cb.Join(ctx, "x"); err != nil {
		t.Fatal(err)
	}
	a.Stop()
	ev, err := ca.Receive(ctx)
	if _, ok := ev.(client.Drain); err != nil || !ok {
		t.Errorf("the socket on the stopped instance got %v, %v, want a drain notice", ev, err)
	}
	if _, err := ca.Receive(ctx); err == nil || !strings.Contains(err.Error(), "1012") {
		t.Errorf("the socket on the stopped instance got %v, want close 1012", err)
	}
	if _, err := cb.Publish(ctx, "x", "still here"); err != nil {
		t.Errorf("the other instance: %v", err)
	}
}

// TestAForeignClient runs the seed's endpoints from Python's websockets, across two instances.
func TestAForeignClient(t *testing.T) {
	t.Parallel()
	a, b, _, _ := two(t)
	foreign(t, a, b)
}

// It offers compression by itself.
func TestAForeignClientCompresses(t *testing.T) {
	t.Parallel()
	a, b, _, _ := two(t, "--compression", "deflate")
	foreign(t, a, b, "deflate")
	for _, m := range []struct {
		p      *fanfaretest.Process
		metric string
	}{{a, "fanfare_received_bytes_total"}, {b, "fanfare_sent_bytes_total"}} {
		if n := metric(t, m.p, m.metric); n > 10_000 || n == 0 {
			t.Errorf("%s is %v, with a text of 20,000 bytes among all that was sent", m.metric, n)
		}
	}
}

// metric is the value of a metric without labels.
func metric(t *testing.T, p *fanfaretest.Process, name string) (value float64) {
	t.Helper()
	r, err := http.Get(p.OpsURL + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(body), "\n"+name+" ")
	if _, err := fmt.Sscan(rest, &value); err != nil {
		t.Fatalf("the metric %s: %v", name, err)
	}
	return value
}

func foreign(t *testing.T, a, b *fanfaretest.Process, args ...string) {
	t.Helper()
	python := "/usr/bin/python3" // the one that Debian's python3-websockets is for
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	base := func(p *fanfaretest.Process) string { return strings.TrimSuffix(p.SocketURL, "/ws") }
	cmd := exec.CommandContext(deadline(t, time.Minute), python, append([]string{"foreign.py", base(a), base(b)}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("foreign.py: %v (it needs Python's websockets: Debian's python3-websockets)\n%s", err, out)
	}
	t.Logf("%s", out)
}

// An authority of one's own is named as for every Go program.
func TestRedisOverTLS(t *testing.T) {
	sec := redistest.NewTLS(t)
	t.Setenv("SSL_CERT_FILE", sec.CAFile)
	redis := sec.StartProcess(t)
	a, b := fanfaretest.Start(t, "--redis", redis.URL), fanfaretest.Start(t, "--redis", redis.URL)
	ctx := deadline(t, time.Minute)
	member, publisher := dial(ctx, t, a, ""), dial(ctx, t, b, "")
	if _, err := member.Join(ctx, "room"); err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Publish(ctx, "room", "over TLS"); err != nil {
		t.Fatal(err)
	}
	ev, err := member.Receive(ctx)
	if m, ok := ev.(client.Message); !ok || err != nil || string(m.Data) != `"over TLS"` || m.Offset != 1 {
		t.Errorf("got %+v, %v", ev, err)
	}
}

// Rooms have the history that the file says; those that no pattern matches what --history says.
func TestRoomsHaveTheHistoryOfTheFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "fanfare.yaml")
	text := "history: 5\nrooms:\n  - {match: \"news.*\", history: 1000, ttl: 1h}\n  - {match: \"cursor.*\", history: 0}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, b, prefix, redis := two(t, "--config", file, "--rate", "-1")
	ctx := deadline(t, time.Minute)
	publisher, raw := dial(ctx, t, a, ""), redis.Client(t)
	const messages = 300
	for room, kept := range map[string]int64{"news.world": messages, "other": 5, "cursor.1": 0} {
		for n := range messages {
			if ack, err := publisher.Publish(ctx, room, n); err != nil || ack.Offset > 0 != (kept > 0) {
				t.Fatalf("%s: %+v, %v", room, ack, err)
			}
		}
		// Redis trims whole nodes of a stream, of 100 entries.
		if n := raw.XLen(ctx, prefix+":{0}:h:"+room).Val(); n < kept || n > kept+100 || kept == 0 && n > 0 {
			t.Errorf("%s keeps %d messages, want %d", room, n, kept)
		}
		member := dial(ctx, t, b, "")
		j, err := member.Join(ctx, room)
		if err != nil || j.Position.Offset > 0 != (kept > 0) {
			t.Fatalf("%s: joined %+v, %v", room, j, err)
		}
		if j, err = dial(ctx, t, b, "").Resume(ctx, room, client.Position{Epoch: j.Position.Epoch, Offset: 1}); kept > 0 {
			if err != nil || *j.Recovered != (kept == messages) {
				t.Errorf("%s: resumed from the first message: %+v, %v", room, j, err)
			}
		}
	}
	if ttl := raw.PTTL(ctx, prefix+":{0}:h:news.world").Val(); ttl < 50*time.Minute || ttl > time.Hour {
		t.Errorf("news live for %v, want an hour", ttl)
	}
	_, err := publisher.Do(ctx, client.Command{Type: "publish", Room: "cursor.1", Data: json.RawMessage("1"), Key: "k"})
	if refused, ok := err.(*client.Error); !ok || refused.Code != "bad_request" {
		t.Errorf("a key where nothing is kept: %v", err)
	}
}
