// Package redistest gives tests a real Redis.
//
// [Start] uses the server that FANFARE_TEST_REDIS names, else a container if a Docker engine
// answers, else a redis-server of its own. The server may be shared with other tests and other
// test programs: keep to names nobody else has, and do not disturb it.
//
// [StartProcess] always starts a redis-server of its own, for tests that stop, pause or disturb it;
// [StartReplica], [StartSentinel] and [StartCluster] start several that belong together, and the
// methods of [TLS] the same with TLS.
//
// Without any Redis a test fails; it is never skipped.
package redistest

import (
	"context"
	"os"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Env is the environment variable that may hold the URL of a Redis for tests.
const Env = "FANFARE_TEST_REDIS"

// go-redis prints every failed dial, and servers are awaited here by dialing them.
func init() { goredis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Server is a running Redis.
type Server struct {
	// URL of the server, redis://host:port.
	URL string
	// Addr is its host:port.
	Addr string

	process *process // nil: not ours
	tls     *TLS     // nil: plain TCP
}

// Start returns a Redis for this test, which ends with the test if it was started for it.
func Start(t testing.TB) *Server {
	t.Helper()
	if url := os.Getenv(Env); url != "" {
		o, err := goredis.ParseURL(url)
		if err != nil {
			t.Fatalf("%s: %v", Env, err)
		}
		s := &Server{URL: url, Addr: o.Addr}
		if err := s.answers(); err != nil {
			t.Fatalf("%s: the server at %s does not answer: %v", Env, o.Addr, err)
		}
		return s
	}
	if dockerAnswers() {
		s, err := startContainer(t)
		if err == nil {
			return s
		}
		t.Logf("no Redis in a container, trying a redis-server: %v", err)
	}
	return StartProcess(t)
}

// Client returns a client of the server that is closed when the test ends.
func (s *Server) Client(t testing.TB) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	o.TLSConfig = s.tls.config()
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// answers pings the server once.
func (s *Server) answers() error {
	o, err := goredis.ParseURL(s.URL)
	if err != nil {
		return err
	}
	o.MaxRetries, o.DialerRetries, o.DialTimeout = -1, 1, time.Second
	o.TLSConfig = s.tls.config()
	c := goredis.NewClient(o)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return c.Ping(ctx).Err()
}

// await pings the server until it answers.
func (s *Server) await(within time.Duration) error { return until(within, s.answers) }

// until calls f until it returns nil.
func until(within time.Duration, f func() error) error {
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
