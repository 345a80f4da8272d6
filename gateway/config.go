package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// Config of a [Gateway]. The zero value of a field is its default; where that is a number, a
// negative one is off.
type Config struct {
	// Name of this instance, for people; default: the host name.
	Name string
	// Version, for the metrics and the log.
	Version string
	// Public is where sockets, pages and /healthz are served; Ops is for metrics, readiness, the
	// API and profiles. Both are needed; the gateway closes them. TLS on Public is the caller's.
	Public, Ops net.Listener
	// Broker carries the messages. Needed; the gateway runs it.
	Broker pubsub.Broker
	// Auth turns credentials into identities; nil: nothing is checked, see [auth.None].
	Auth auth.Authenticator
	// Credentials says where they are looked for.
	Credentials auth.Finder
	// Origins that may open sockets.
	Origins auth.Origins
	// RejectHTTP answers a missing or invalid credential with 401; default: accept, close with 1008.
	RejectHTTP bool
	// APIKey that POST /api/… needs as a bearer; empty: only from loopback.
	APIKey string
	// TrustedProxies are believed when they say who their client is.
	TrustedProxies []netip.Prefix
	// Serve lists the protocols and pages that are on, of [Serves]; default: all.
	Serve []string
	// MaxRooms that a socket may be in; default 64.
	MaxRooms int
	// Rate is the messages a second that a socket may send, default 100, and Burst how many at
	// once, default 200.
	Rate, Burst int
	// DrainDelay is for how long a stopping instance goes on serving, not ready any more; default 0.
	DrainDelay time.Duration
	// Deflate has sockets compress messages if the client offers it (permessage-deflate, RFC 7692).
	Deflate bool
	// Drain is the time that closing the sockets may take after that; default 20 s.
	Drain time.Duration
	// Loop configures the engine. The gateway fills in its clock, observers and logger.
	Loop loop.Config
	// Logger; default slog.Default().
	Logger *slog.Logger
}

// Serves is all that [Config].Serve may name.
var Serves = []string{"fanfare", "chat", "echo", "secure", "page"}

// withDefaults checks the configuration and reports all that is wrong with it.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Public == nil || c.Ops == nil {
		errs = append(errs, errors.New("a listener is missing: set Public and Ops"))
	}
	if c.Broker == nil {
		errs = append(errs, errors.New("a broker is missing"))
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	if c.MaxRooms == 0 {
		c.MaxRooms = 64
	}
	if c.Rate == 0 {
		c.Rate = 100
	}
	if c.Burst == 0 {
		c.Burst = 200
	}
	if c.Drain == 0 {
		c.Drain = 20 * time.Second
	}
	if c.Loop.MaxMessage == 0 {
		c.Loop.MaxMessage = 64 << 10
	}
	if c.Loop.MaxHeader == 0 {
		c.Loop.MaxHeader = 8 << 10
	}
	if c.Loop.Ping == 0 {
		c.Loop.Ping = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if len(c.Serve) == 0 {
		c.Serve = Serves
	}
	for _, s := range c.Serve {
		if !slices.Contains(Serves, s) {
			errs = append(errs, fmt.Errorf("cannot serve %q: want some of %v", s, Serves))
		}
	}
	if c.Burst < 1 {
		errs = append(errs, fmt.Errorf("a burst of %d lets nothing through: want at least 1", c.Burst))
	}
	return c, errors.Join(errs...)
}
