//go:build cluster

package cluster

import (
	"strings"
	"testing"
)

// With --ack-replicas 1 an acknowledged message is on a replica, and a failover loses none.
func TestComposeWithSentinelFailsOverWithoutLoss(t *testing.T) {
	t.Parallel()
	p := up(t, "fanfare-test-sentinel", 2, "compose.sentinel.yml", "gateway", "haproxy")
	p.balanced(2)
	l := subscribe(t, p.address("haproxy", 8080), 60)
	before := l.lost()
	master := func(of string) string {
		out, err := p.try("docker", p.args("exec", "--no-TTY", of, "redis-cli", "-p", "26379", "sentinel", "get-master-addr-by-name", "fanfare")...)
		if err != nil {
			return ""
		}
		return strings.Fields(out)[0]
	}
	first := master("sentinel-1")
	if !strings.HasSuffix(first, ".11") {
		t.Fatalf("the master is %q at first", first)
	}
	l.during(t, func() {
		p.compose("kill", "--signal", "KILL", "redis")
		until(t, "the Sentinels have another master", func() bool {
			now := master("sentinel-2")
			return now != "" && now != first
		})
		until(t, "every instance is ready", func() bool {
			for _, i := range p.instances() {
				if !p.ready(i) {
					return false
				}
			}
			return true
		})
	})
	if n := l.lost() - before; n != 0 {
		t.Errorf("%d connections were lost: sockets are to stay in a failover", n)
	}
	// The old master comes back as a replica.
	p.compose("start", "redis")
	until(t, "the old master is a replica", func() bool {
		out, err := p.try("docker", p.args("exec", "--no-TTY", "redis", "redis-cli", "role")...)
		return err == nil && strings.HasPrefix(out, "slave")
	})
	l.during(t, func() { l.acked(t, 20) })
}
