package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long several servers may take to find one another.
const patience = 30 * time.Second

// StartReplica starts a redis-server of its own that replicates another, with TLS if that has it, and
// waits until it does.
func StartReplica(t testing.TB, of *Server, args ...string) *Server {
	t.Helper()
	host, port, err := net.SplitHostPort(of.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := of.tls.StartProcess(t, append([]string{"--replicaof", host + " " + port, "--repl-diskless-sync-delay", "0"}, args...)...)
	s.AwaitReplication(t)
	return s
}

// AwaitReplication waits until the server is a replica and connected to its master.
func (s *Server) AwaitReplication(t testing.TB) {
	t.Helper()
	c := s.Client(t)
	if err := until(patience, func() error {
		info, err := c.Info(context.Background(), "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = fmt.Errorf("it is not connected to its master:\n%s", info)
		}
		return err
	}); err != nil {
		t.Fatalf("the replica %s: %v", s.Addr, err)
	}
}

// StartSentinel starts a sentinel that watches a master, with TLS if that has it, which it gives up after a second, and
// waits until it knows all of the master's replicas. Several of them find one another.
func StartSentinel(t testing.TB, name string, master *Server, quorum int) *Server {
	t.Helper()
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := master.tls.startProcess(t, func(p *process) []string {
		// A sentinel keeps its state in its configuration file.
		file := filepath.Join(p.dir, "sentinel.conf")
		if _, err := os.Stat(file); err != nil {
			text := fmt.Sprintf("bind 127.0.0.1\nsentinel monitor %[1]s %[2]s %[3]s %[4]d\n"+
				"sentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 10000\n", name, host, port, quorum)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Errorf("a sentinel's configuration: %v", err)
			}
		}
		return append(append([]string{file, "--sentinel"}, master.tls.listen(p.port)...), "--dir", p.dir)
	})
	ctx := context.Background()
	m, c := master.Client(t), s.Client(t)
	// In milliseconds; without it everything takes ten seconds. A sentinel before 7.0 does not know it.
	_ = c.Do(ctx, "sentinel", "debug", "info-period", 300, "ping-period", 200, "ask-period", 300, "publish-period", 300).Err()
	if err := until(patience, func() error {
		info, err := m.InfoMap(ctx, "replication").Result()
		if err != nil {
			return err
		}
		knows, err := c.Do(ctx, "sentinel", "replicas", name).Slice()
		if want := info["Replication"]["connected_slaves"]; err == nil && fmt.Sprint(len(knows)) != want {
			err = fmt.Errorf("it knows %d replicas, not %s", len(knows), want)
		}
		return err
	}); err != nil {
		t.Fatalf("the sentinel %s: %v", s.Addr, err)
	}
	return s
}

// AwaitSentinels waits until a sentinel knows so many others that watch the same master.
func (s *Server) AwaitSentinels(t testing.TB, name string, others int) {
	t.Helper()
	c := s.Client(t)
	if err := until(patience, func() error {
		knows, err := c.Do(context.Background(), "sentinel", "sentinels", name).Slice()
		if err == nil && len(knows) < others {
			err = fmt.Errorf("it knows %d others", len(knows))
		}
		return err
	}); err != nil {
		t.Fatalf("the sentinel %s: %v", s.Addr, err)
	}
}
