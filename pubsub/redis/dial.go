package redis

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// unanswered is how long data may stay unacknowledged before the kernel gives a connection up.
const unanswered = 5 * time.Second

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// newDialer does what go-redis' own would, and has the kernel give up dead connections early.
func newDialer(o *goredis.Options) dialer {
	plain := &net.Dialer{
		Timeout:         dialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         control,
	}
	if o.TLSConfig == nil {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := plain.DialContext(ctx, network, addr)
			if tcp, ok := c.(*net.TCPConn); ok {
				return unscheduled(tcp)
			}
			return c, err
		}
	}
	return (&tls.Dialer{NetDialer: plain, Config: o.TLSConfig}).DialContext
}

// go-redis prints every failed dial on stderr, through one logger for the whole process. What there
// is to say about it the broker says itself.
func init() { goredis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// prepare gives the connections a dialer, and a name that CLIENT LIST shows.
func (p *place) prepare(name string) {
	p.options.Dialer = newDialer(p.options)
	name = "fanfare-" + strings.Map(func(r rune) rune {
		if r < '!' || r > '~' {
			return '-'
		}
		return r
	}, name)
	p.options.OnConnect = func(ctx context.Context, c *goredis.Conn) error {
		if err := c.ClientSetName(ctx, name).Err(); err != nil && !said(err) {
			return err
		}
		return nil // a server that does not want to hear it serves as well
	}
	if p.asking != nil {
		p.asking.Dialer = newDialer(p.asking)
	}
	if p.cluster {
		// As many links as partitions share a node's connections.
		p.options.PoolSize, p.options.PipelinePoolSize = 16, 16
	}
}
