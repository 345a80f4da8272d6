package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// servers knows at which address the server of every link is now, and has a client for each.
//
// go-redis' own clients of sentinels and clusters are not used: the latter's sends a pipeline again
// whose connection broke, by which messages would be published twice.
type servers struct {
	// Static after construction.
	options *goredis.Options // of a client, but for the address
	locator locator          // nil: the address never changes
	every   time.Duration    // how often it is asked, at least
	moved   func(link int)   // called when a link's address has changed
	// Receives when the addresses may no longer be right.
	suspected chan struct{}

	// Guarded by mu.
	mu      sync.Mutex
	addrs   []string // of each link; empty: not known
	err     error    // why asking failed the last time
	asked   chan struct{}
	clients map[string]*goredis.Client
}

// locator finds out the address of every link's server; empty where there is none. Used by one
// goroutine, then closed.
type locator interface {
	locate(ctx context.Context, known []string) ([]string, error)
	close()
}

// askPause is the least time between two times that is asked.
const askPause = 100 * time.Millisecond

var errNoServer = errors.New("no server is known for it")

func newServers(w *place, links int, moved func(link int)) *servers {
	s := &servers{
		options:   w.options,
		moved:     moved,
		suspected: make(chan struct{}, 1),
		addrs:     make([]string, links),
		asked:     make(chan struct{}),
		clients:   make(map[string]*goredis.Client),
	}
	switch {
	case w.cluster:
		s.locator, s.every = &nodes{newPeers(w.options), w.addrs, links}, 10*time.Second
	case w.master != "":
		s.locator, s.every = &sentinels{newPeers(w.asking), w.addrs, w.master}, time.Second
	default:
		s.addrs[0] = w.options.Addr
	}
	return s
}

// run keeps the addresses up to date.
func (s *servers) run(ctx context.Context) {
	if s.locator == nil {
		return
	}
	defer s.locator.close()
	for ctx.Err() == nil {
		addrs, err := s.locator.locate(ctx, s.known())
		s.take(addrs, err)
		pause(ctx, askPause)
		due := time.NewTimer(jitter(s.every))
		select {
		case <-s.suspected:
		case <-due.C:
		case <-ctx.Done():
		}
		due.Stop()
	}
}

func (s *servers) known() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.addrs)
}

// take takes in what was found out. Where nothing was, the address of before stays.
func (s *servers) take(addrs []string, err error) {
	var moved []int
	s.mu.Lock()
	s.err = err
	for i, addr := range addrs {
		if addr != "" && addr != s.addrs[i] {
			s.addrs[i] = addr
			moved = append(moved, i)
		}
	}
	unused := s.unusedLocked()
	close(s.asked)
	s.asked = make(chan struct{})
	s.mu.Unlock()
	for _, c := range unused {
		_ = c.Close()
	}
	for _, i := range moved {
		s.moved(i)
	}
}

// unusedLocked returns clients of addresses that no link has any more.
func (s *servers) unusedLocked() (unused []*goredis.Client) {
	for addr, c := range s.clients {
		if !slices.Contains(s.addrs, addr) {
			delete(s.clients, addr)
			unused = append(unused, c)
		}
	}
	return unused
}

// suspect says that a link's server, or the way to it, is not as it should be. Where err says where
// the partition is now, that is believed at once.
func (s *servers) suspect(link int, err error) {
	if s.locator == nil {
		return
	}
	if addr, ok := goredis.IsMovedError(err); ok {
		if host, _, e := net.SplitHostPort(addr); e == nil && host != "" {
			s.mu.Lock()
			changed := s.addrs[link] != addr
			s.addrs[link] = addr
			s.mu.Unlock()
			if changed {
				s.moved(link)
			}
		}
	}
	signal(s.suspected)
}

// addr is where a link's server is.
func (s *servers) addr(link int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addrs[link]
}

// await is addr, and where that is not known waits until it was asked for once.
func (s *servers) await(ctx context.Context, link int) (string, error) {
	s.mu.Lock()
	addr, asked := s.addrs[link], s.asked
	s.mu.Unlock()
	if addr != "" {
		return addr, nil
	}
	signal(s.suspected)
	select {
	case <-asked:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.addrs[link] != "":
		return s.addrs[link], nil
	case s.err != nil:
		return "", s.err
	}
	return "", errNoServer
}

// client of a link's server, which is awaited.
func (s *servers) client(ctx context.Context, link int) (*goredis.Client, error) {
	addr, err := s.await(ctx, link)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[addr]
	if c == nil {
		o := clone(s.options)
		o.Addr = addr
		c = goredis.NewClient(o) // does not connect
		s.clients[addr] = c
	}
	return c, nil
}

func (s *servers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		_ = c.Close()
	}
}
