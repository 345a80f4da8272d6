package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// askTimeout is how long a server that is asked may take to be connected to, and to answer.
const askTimeout = 500 * time.Millisecond

// knowledge is what one server says about where the links' servers are. Of two that differ the one
// of the higher epoch is newer.
type knowledge struct {
	addrs []string
	epoch uint64
	err   error
}

// peers are servers that are asked. Owned by servers.run.
type peers struct {
	options *goredis.Options
	clients map[string]*goredis.Client
}

func newPeers(o *goredis.Options) *peers {
	o = clone(o)
	limit(o)
	o.MaxRetries = -1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = askTimeout, askTimeout, askTimeout
	o.PoolSize, o.PipelinePoolSize = 1, -1
	return &peers{options: o, clients: make(map[string]*goredis.Client)}
}

// ask asks all of them at once and returns the newest that they know. Connections to others than
// these are given up.
func (p *peers) ask(ctx context.Context, addrs []string, question func(context.Context, *goredis.Client) knowledge) ([]string, error) {
	for addr, c := range p.clients {
		if !slices.Contains(addrs, addr) {
			_ = c.Close()
			delete(p.clients, addr)
		}
	}
	answers := make([]knowledge, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		c := p.clients[addr]
		if c == nil {
			o := clone(p.options)
			o.Addr = addr
			c = goredis.NewClient(o)
			p.clients[addr] = c
		}
		wg.Go(func() { answers[i] = question(ctx, c) })
	}
	wg.Wait()
	best := knowledge{err: errNoServer}
	for _, a := range answers {
		switch {
		case a.err != nil && (best.err == errNoServer || hopeless(best.err)): // hopeless only if all are
			best.err = a.err
		case a.err == nil && (best.err != nil || a.epoch > best.epoch):
			best = a
		}
	}
	return best.addrs, best.err
}

func (p *peers) close() {
	for _, c := range p.clients {
		_ = c.Close()
	}
}

// sentinels know the master by a name.
type sentinels struct {
	*peers
	addrs  []string
	master string
}

func (s *sentinels) locate(ctx context.Context, _ []string) ([]string, error) {
	addrs, err := s.ask(ctx, s.addrs, s.question)
	if err != nil {
		err = fmt.Errorf("asking sentinels for %q: %w", s.master, err)
	}
	return addrs, err
}

func (s *sentinels) question(ctx context.Context, c *goredis.Client) (k knowledge) {
	pipe := c.Pipeline()
	// During a failover the first has the new address already, and the second its epoch.
	addr := goredis.NewStringSliceCmd(ctx, "sentinel", "get-master-addr-by-name", s.master)
	master := goredis.NewMapStringStringCmd(ctx, "sentinel", "master", s.master)
	_, _ = pipe.Process(ctx, addr), pipe.Process(ctx, master)
	_, _ = pipe.Exec(ctx)
	if k.err = errors.Join(master.Err(), addr.Err()); k.err != nil {
		return k
	}
	at := addr.Val()
	if len(at) != 2 {
		k.err = errAnswer
		return k
	}
	k.epoch, _ = strconv.ParseUint(master.Val()["config-epoch"], 10, 64)
	k.addrs = []string{net.JoinHostPort(at[0], at[1])}
	return k
}

// nodes of a cluster know which of them have the partitions' slots.
type nodes struct {
	*peers
	seeds      []string
	partitions int
}

func (n *nodes) locate(ctx context.Context, known []string) ([]string, error) {
	all := slices.Concat(known, n.seeds)
	slices.Sort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(addr string) bool { return addr == "" })
	addrs, err := n.ask(ctx, all, n.question)
	if err != nil {
		err = fmt.Errorf("asking the cluster for its slots: %w", err)
	}
	return addrs, err
}

func (n *nodes) question(ctx context.Context, c *goredis.Client) (k knowledge) {
	pipe := c.Pipeline()
	info, slots := pipe.ClusterInfo(ctx), goredis.NewClusterSlotsCmd(ctx, "cluster", "slots")
	_ = pipe.Process(ctx, slots)
	_, _ = pipe.Exec(ctx)
	if k.err = errors.Join(slots.Err(), info.Err()); k.err != nil {
		return k
	}
	k.epoch = currentEpoch(info.Val())
	host, _, _ := net.SplitHostPort(c.Options().Addr)
	k.addrs = masters(slots.Val(), n.partitions, host)
	return k
}

// currentEpoch reads it from CLUSTER INFO.
func currentEpoch(info string) uint64 {
	_, after, _ := strings.Cut(info, "cluster_current_epoch:")
	digits, _, _ := strings.Cut(after, "\r\n")
	epoch, _ := strconv.ParseUint(digits, 10, 64)
	return epoch
}

// masters are the addresses of each partition's. A node that does not know its own host is at the
// one it was reached at.
func masters(slots []goredis.ClusterSlot, partitions int, host string) []string {
	addrs := make([]string, partitions)
	for p := range addrs {
		n := slot(p)
		i := slices.IndexFunc(slots, func(s goredis.ClusterSlot) bool {
			return s.Start <= n && n <= s.End && len(s.Nodes) > 0
		})
		if i < 0 {
			continue
		}
		h, port, err := net.SplitHostPort(slots[i].Nodes[0].Addr)
		if err != nil {
			continue
		}
		if h == "" {
			h = host
		}
		addrs[p] = net.JoinHostPort(h, port)
	}
	return addrs
}
