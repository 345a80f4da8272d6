package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// Config says how the broker works. Only URL is required.
type Config struct {
	// URL of Redis, see the package comment: redis://, redis+sentinel:// or redis+cluster://, and
	// rediss… for TLS.
	URL string
	// TLS is used for rediss…. Default: the system's root certificates, the host name of each server.
	TLS *tls.Config
	// Prefix of all keys and channels. Default "fanfare".
	Prefix string
	// Partitions over which rooms are spread; the same on all instances. Default 1, or 64 on a
	// cluster; at most 16384.
	Partitions int
	// AckReplicas is how many replicas must have a message before its publish is acknowledged.
	// Default 0: none. Only rooms with history are held to it.
	AckReplicas int
	// Name of this instance. Default the host name.
	Name string
	// Retentions say how much history rooms keep. A TTL of 0 is 10 minutes. The same on all instances.
	Retentions pubsub.Retentions
	// Queue is how many publishes may wait to be sent, and how many calls of each other kind, on a
	// cluster in each partition; further ones are refused with pubsub.ErrUnavailable. Default 65,536.
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

	defaultPartitions        = 1
	defaultClusterPartitions = 64
	maxPartitions            = 16384 // a cluster has so many slots

	// A publish is answered within two seconds; what waits for the network is given less.
	answerWithin = 1800 * time.Millisecond
	ioTimeout    = 1500 * time.Millisecond
	dialTimeout  = time.Second
	ackTimeout   = time.Second // of the replicas
)

// check fills in the defaults and returns all that is wrong.
func (c *Config) check() (*place, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	where, err := parseURL(c.URL)
	if err != nil {
		errs = append(errs, err)
		where = &place{}
	} else if o := where.options; o.TLSConfig != nil && c.TLS != nil {
		own := c.TLS.Clone()
		if own.ServerName == "" {
			own.ServerName = o.TLSConfig.ServerName
		}
		o.TLSConfig = own
		if where.asking != nil {
			where.asking.TLSConfig = own
		}
	}
	if c.Prefix == "" {
		c.Prefix = "fanfare"
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		bad("the Redis prefix %q contains a brace, which would decide where a cluster keeps the keys: choose one without", c.Prefix)
	}
	switch {
	case c.Partitions == 0 && where.cluster:
		c.Partitions = defaultClusterPartitions
	case c.Partitions == 0:
		c.Partitions = defaultPartitions
	case c.Partitions < 0 || c.Partitions > maxPartitions:
		bad("%d Redis partitions: give a number from 1 to %d", c.Partitions, maxPartitions)
	}
	if c.AckReplicas < 0 {
		bad("an ack of %d replicas: give their number, or 0 for none", c.AckReplicas)
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
	return where, errors.Join(errs...)
}
