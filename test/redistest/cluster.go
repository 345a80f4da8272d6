package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// slots of a cluster.
const slots = 16384

// Cluster is a Redis Cluster of servers of its own.
type Cluster struct {
	// URL of the cluster, redis+cluster://host:port,host:port.
	URL string
	// Masters have an equal share of the slots each, in this order.
	Masters []*Server
	// Replicas are of the masters in turn.
	Replicas []*Server
}

// StartCluster starts a cluster, in which each server gives another up after two seconds, and which
// serves the slots that it can serve when it has not all.
func StartCluster(t testing.TB, masters, replicas int) *Cluster {
	t.Helper()
	return (*TLS)(nil).StartCluster(t, masters, replicas)
}

// StartCluster is as that of the package.
func (sec *TLS) StartCluster(t testing.TB, masters, replicas int) *Cluster {
	t.Helper()
	c := &Cluster{}
	var addrs []string
	for range masters {
		s := sec.startNode(t)
		c.Masters = append(c.Masters, s)
		addrs = append(addrs, s.Addr)
	}
	for range replicas {
		c.Replicas = append(c.Replicas, sec.startNode(t))
	}
	c.URL = sec.scheme() + "+cluster://" + strings.Join(addrs, ",")

	ctx := context.Background()
	first := c.Masters[0].process
	share := (slots + masters - 1) / masters
	for i, s := range c.all() {
		raw := s.Client(t)
		check(t, raw.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if i < masters {
			check(t, raw.ClusterAddSlotsRange(ctx, i*share, min((i+1)*share, slots)-1).Err())
		}
		if i > 0 {
			check(t, raw.Do(ctx, "cluster", "meet", "127.0.0.1", first.port, first.cluster).Err())
		}
	}
	for i, s := range c.Replicas {
		raw, id := s.Client(t), c.ID(t, c.Masters[i%masters])
		check(t, until(patience, func() error { return raw.ClusterReplicate(ctx, id).Err() }))
		s.AwaitReplication(t)
	}
	for _, s := range c.all() {
		raw := s.Client(t)
		check(t, until(patience, func() error { return c.agrees(ctx, raw) }))
	}
	return c
}

func (sec *TLS) startNode(t testing.TB) *Server {
	t.Helper()
	return sec.startProcess(t, func(p *process) []string {
		p.cluster, _ = freePort()
		args := append(sec.listen(p.port), "--dir", p.dir, "--save", "", "--appendonly", "no",
			"--cluster-enabled", "yes", "--cluster-port", p.cluster, "--cluster-announce-ip", "127.0.0.1",
			"--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
		if sec != nil {
			args = append(args, "--tls-cluster", "yes")
		}
		return args
	})
}

func (c *Cluster) all() []*Server { return append(append([]*Server(nil), c.Masters...), c.Replicas...) }

// agrees is nil when a node knows all nodes and is content.
func (c *Cluster) agrees(ctx context.Context, raw *goredis.Client) error {
	info, err := raw.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	shards, err := slotsOf(ctx, raw)
	if err != nil {
		return err
	}
	nodes := 0
	for _, s := range shards {
		nodes += len(s.Nodes)
	}
	if !strings.Contains(info, "cluster_state:ok") || len(shards) != len(c.Masters) || nodes != len(c.all()) {
		return fmt.Errorf("the cluster is not complete: %v\n%s", shards, info)
	}
	return nil
}

func slotsOf(ctx context.Context, raw *goredis.Client) ([]goredis.ClusterSlot, error) {
	cmd := goredis.NewClusterSlotsCmd(ctx, "cluster", "slots")
	_ = raw.Process(ctx, cmd)
	return cmd.Result()
}

// ID is a server's name in the cluster.
func (c *Cluster) ID(t testing.TB, s *Server) string {
	t.Helper()
	id, err := s.Client(t).Do(context.Background(), "cluster", "myid").Text()
	check(t, err)
	return id
}

// Owner is the master that has a slot, as a server of the cluster that is running sees it.
func (c *Cluster) Owner(t testing.TB, slot int) *Server {
	t.Helper()
	for _, s := range c.all() {
		if s.process.cmd == nil {
			continue
		}
		shards, err := slotsOf(context.Background(), s.Client(t))
		check(t, err)
		for _, shard := range shards {
			if slot < shard.Start || slot > shard.End {
				continue
			}
			for _, owner := range c.all() {
				if owner.Addr == shard.Nodes[0].Addr {
					return owner
				}
			}
		}
	}
	t.Fatalf("nobody has slot %d", slot)
	return nil
}

// Move moves a slot with its keys to another master, a key at a time, while it is used. between is
// called after each key; it may be nil.
func (c *Cluster) Move(t testing.TB, slot int, to *Server, between func()) {
	t.Helper()
	ctx := context.Background()
	from := c.Owner(t, slot)
	source, target, id := from.Client(t), to.Client(t), c.ID(t, to)
	check(t, target.Do(ctx, "cluster", "setslot", slot, "importing", c.ID(t, from)).Err())
	check(t, source.Do(ctx, "cluster", "setslot", slot, "migrating", id).Err())
	host, port, err := net.SplitHostPort(to.Addr)
	check(t, err)
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, slot, 1).Result()
		check(t, err)
		if len(keys) == 0 {
			break
		}
		// One that expired in between is not there.
		if err := source.Do(ctx, "migrate", host, port, keys[0], 0, 5000).Err(); err != nil {
			t.Fatalf("moving a key of slot %d: %v", slot, err)
		}
		if between != nil {
			between()
		}
	}
	for _, s := range []*Server{to, from} { // in this order, so that somebody has it all the time
		check(t, s.Client(t).Do(ctx, "cluster", "setslot", slot, "node", id).Err())
	}
	for _, s := range c.Masters {
		if s.process.cmd != nil {
			check(t, s.Client(t).Do(ctx, "cluster", "setslot", slot, "node", id).Err())
		}
	}
}

// Slot is the one of a partition, {p}.
func (c *Cluster) Slot(t testing.TB, partition int) int {
	t.Helper()
	slot, err := c.Masters[0].Client(t).ClusterKeySlot(context.Background(), "{"+strconv.Itoa(partition)+"}").Result()
	check(t, err)
	return int(slot)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, goredis.Nil) {
		t.Fatal(err)
	}
}
