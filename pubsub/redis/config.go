package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// Config says how the broker works. Only URL is required.
type Config struct {
	// URL of the server: redis://[user:password@]host[:port][/db] or rediss:// for TLS.
	URL string
	// TLS is used for rediss://. Default: the system's root certificates, the URL's host name.
	TLS *tls.Config
	// Prefix of all keys and channels. Default "fanfare".
	Prefix string
	// Partitions over which rooms are spread; the same on all instances. Default 1, at most 16384.
	Partitions int
	// Name of this instance. Default the host name.
	Name string
	// Retentions say how much history rooms keep. A TTL of 0 is 10 minutes. The same on all instances.
	Retentions pubsub.Retentions
	// Queue is how many publishes may wait to be sent, and how many calls of each other kind; further
	// ones are refused with pubsub.ErrUnavailable. Default 65,536.
	Queue int
	// Logger for what an operator should look at. Default: none.
	Logger *slog.Logger
	// Registerer for the metrics. Default: none.
	Registerer prometheus.Registerer
}

const (
	defaultQueue = 65536
	defaultTTL   = 10 * time.Minute
	maxHistory   = 1_000_000

	// A publish is answered within two seconds; what waits for the network is given less.
	answerWithin = 1800 * time.Millisecond
	ioTimeout    = 1500 * time.Millisecond
	dialTimeout  = time.Second
)

// check fills in the defaults and returns all that is wrong.
func (c *Config) check() (*goredis.Options, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	options, err := parseURL(c.URL)
	if err != nil {
		errs = append(errs, err)
	} else if options.TLSConfig != nil && c.TLS != nil {
		own := c.TLS.Clone()
		if own.ServerName == "" {
			own.ServerName = options.TLSConfig.ServerName
		}
		options.TLSConfig = own
	}
	if c.Prefix == "" {
		c.Prefix = "fanfare"
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		bad("the Redis prefix %q contains a brace, which would decide where a cluster keeps the keys: choose one without", c.Prefix)
	}
	if c.Partitions == 0 {
		c.Partitions = 1
	}
	if c.Partitions < 0 || c.Partitions > 16384 {
		bad("%d Redis partitions: give a number from 1 to 16384", c.Partitions)
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	if c.Queue == 0 {
		c.Queue = defaultQueue
	}
	if c.Queue < 0 {
		bad("a queue of %d: give the number of publishes that may wait, or 0 for %d", c.Queue, defaultQueue)
	}
	c.Retentions = append(pubsub.Retentions(nil), c.Retentions...)
	for i := range c.Retentions {
		r := &c.Retentions[i]
		switch {
		case r.History <= 0:
		case r.History > maxHistory:
			bad("rooms %q keep %d messages: give at most %d", r.Match, r.History, maxHistory)
		case r.TTL == 0:
			r.TTL = defaultTTL
		case r.TTL < time.Millisecond:
			bad("rooms %q keep messages for %v: give at least 1ms, or 0 for %v", r.Match, r.TTL, defaultTTL)
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return options, errors.Join(errs...)
}

// parseURL never quotes the URL in an error: it may hold a password.
func parseURL(raw string) (*goredis.Options, error) {
	if raw == "" {
		return nil, errors.New("the Redis URL is empty: give redis://host:6379")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the Redis URL cannot be read: write redis://[user:password@]host[:port][/db], " +
			"with special characters of the password as %XX")
	}
	switch u.Scheme {
	case "redis", "rediss":
	case "redis+sentinel", "redis+cluster":
		return nil, fmt.Errorf("%s:// is not supported yet: give redis:// or rediss:// with the address of one server", u.Scheme)
	default:
		return nil, fmt.Errorf("the Redis URL begins with %q: it must be redis:// or, for TLS, rediss://", u.Scheme)
	}
	o, err := goredis.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("the Redis URL is not right: %w", err)
	}
	o.Protocol = 2 // What is needed is in RESP2, and receiving costs less.
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = dialTimeout
	o.ReadTimeout = ioTimeout
	o.WriteTimeout = ioTimeout
	o.PoolTimeout = dialTimeout
	o.ContextTimeoutEnabled = true
	o.PoolSize = 4
	o.PipelinePoolSize = 4
	o.MinIdleConns = 0
	return o, nil
}
