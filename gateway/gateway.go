// Package gateway is Fanfare itself: the door that lets connections in, the hub between broker and
// loops, sessions, and the ops endpoints.
//
// A message's way: loop → protocol → session → broker; broker → hub → loops. See ARCHITECTURE.md.
//
// # Concurrency
//
// Sockets and sessions belong to their loop. The hub and users have locks of their own, held for the
// time of a look-up or of encoding one message. Everything else is static after [New], or atomic.
package gateway

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// Gateway is one instance.
type Gateway struct {
	cfg      Config
	log      *slog.Logger
	proxies  proxies
	serves   [secureRoute + 1]bool
	page     bool
	instance uint64 // random: names this run of this instance
	began    time.Time
	registry *prometheus.Registry
	metrics  *metrics
	loops    *loop.Group
	users    *users
	hub      *hub
	web      *web

	draining atomic.Bool           // no longer ready
	stopping atomic.Bool           // and no longer accepting
	inFlight atomic.Int64          // publishes that the broker has not answered
	broker   atomic.Pointer[error] // why the broker is away; nil before the first word of it
}

// New checks the configuration and makes an instance. The registry gets its metrics; more may be
// registered on it.
func New(cfg Config, registry *prometheus.Registry) (*Gateway, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	gw := &Gateway{
		cfg: cfg, log: cfg.Logger, proxies: cfg.TrustedProxies, registry: registry,
		instance: binary.BigEndian.Uint64(random[:]) | 1, began: time.Now(),
	}
	for r, name := range map[route]string{fanfareRoute: "fanfare", chatRoute: "chat", echoRoute: "echo", secureRoute: "secure"} {
		gw.serves[r] = slices.Contains(cfg.Serve, name)
	}
	gw.page = slices.Contains(cfg.Serve, "page")
	gw.metrics = newMetrics(registry)
	lc := cfg.Loop
	lc.Now, lc.Logger = gw.now, cfg.Logger
	lc.Latency, lc.TickSeconds = gw.metrics.delivery, gw.metrics.tick
	if gw.loops, err = loop.New(lc, door{gw}); err != nil {
		return nil, err
	}
	gw.users = &users{gw: gw, byName: make(map[string]*user)}
	registry.MustRegister(&loopCollector{gw})
	gw.hub = &hub{gw: gw, broker: cfg.Broker, interest: make(map[pubsub.Target]*interest)}
	gw.web = newWeb(gw)
	return gw, nil
}

// now is the instance's clock, in nanoseconds.
func (gw *Gateway) now() int64 { return int64(time.Since(gw.began)) }

func itoa(n int) string { return strconv.Itoa(n) }

func (gw *Gateway) authenticate(ctx context.Context, c auth.Credential) (auth.Identity, error) {
	if c.Token == "" {
		return auth.Identity{}, auth.ErrNoCredential
	}
	if gw.cfg.Auth == nil {
		return auth.None{}.Authenticate(ctx, c)
	}
	return gw.cfg.Auth.Authenticate(ctx, c)
}

// publish hands a message to the broker and counts it.
func (gw *Gateway) publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	began := gw.now()
	gw.inFlight.Add(1)
	gw.cfg.Broker.Publish(m, func(r pubsub.Receipt, err error) {
		defer gw.inFlight.Add(-1)
		if err != nil {
			gw.metrics.publishFailed.Inc()
		} else {
			gw.metrics.published.Inc()
			gw.metrics.publish.Observe(float64(gw.now()-began) / 1e9)
		}
		done(r, err)
	})
}

// brokerUp notes what the broker says of itself; it logs that too.
func (gw *Gateway) brokerUp(err error) {
	gw.broker.Store(&err)
	if err != nil {
		gw.metrics.brokerUp.Set(0)
		return
	}
	gw.metrics.brokerUp.Set(1)
}

// ready is why this instance should get no new sockets, nil if it should.
func (gw *Gateway) ready() error {
	if gw.draining.Load() {
		return errors.New("draining")
	}
	switch err := gw.broker.Load(); {
	case err == nil:
		return errors.New("the broker is not up yet")
	case *err != nil:
		return fmt.Errorf("the broker is away: %w", *err)
	}
	return nil
}

// Run serves until ctx ends, then stops: no new sockets, then all are closed, then the rest. An
// error is one that no waiting would mend.
func (gw *Gateway) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	// The broker outlives the sockets: what they publish as they end still goes out.
	brokerCtx, stopBroker := context.WithCancel(context.Background())
	defer stopBroker()
	failed := make(chan error, 3)
	tasks.Go(func() {
		if err := gw.cfg.Broker.Run(brokerCtx, gw.hub); err != nil && brokerCtx.Err() == nil {
			failed <- fmt.Errorf("broker: %w", err)
		}
	})
	tasks.Go(gw.loops.Run)
	transport := gw.loops.Transport()
	if _, plain := gw.cfg.Public.(*net.TCPListener); !plain { // TLS
		transport = loop.Goroutine
	}
	gw.log.Info("serving sockets", "transport", string(transport), "loops", len(gw.loops.Loops()), "max", gw.loops.MaxSockets())
	if err := gw.loops.Serve(gw.cfg.Public); err != nil {
		failed <- err
	}
	stopWeb := gw.web.run(&tasks, failed)
	ended := make(chan struct{})
	tasks.Go(func() { gw.sweep(ended) })

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	if err != nil {
		gw.cfg.DrainDelay = 0
	}
	gw.stop()
	close(ended)
	stopBroker()
	gw.loops.Close()
	stopWeb()
	tasks.Wait()
	return err
}

// sweep does what is to be done now and then, until done is closed.
func (gw *Gateway) sweep(done <-chan struct{}) {
	tick := time.NewTicker(linger / 2)
	defer tick.Stop()
	trim := newTrimmer()
	for {
		select {
		case now := <-tick.C:
			gw.hub.sweep(now)
			gw.users.sweep(now)
			trim.look(gw.loops.Open())
		case <-done:
			return
		}
	}
}

// spreadFor is the time over which the closes of so many sockets are spread: what a drain leaves
// when the last closing handshakes are done, and no more than makes 20 closes a second.
func spreadFor(sockets int, drain time.Duration) time.Duration {
	return min(drain-min(drain/4, 3*time.Second), time.Duration(sockets)*50*time.Millisecond)
}

// stop takes this instance out of service: not ready, but serving, for DrainDelay, so that load
// balancers notice; then no new sockets, and the open ones are closed, spread over Drain. It
// waits until they are gone, and what they published is.
func (gw *Gateway) stop() {
	gw.draining.Store(true)
	gw.log.Info("draining", "sockets", gw.loops.Open(), "delay", gw.cfg.DrainDelay, "drain", gw.cfg.Drain)
	time.Sleep(gw.cfg.DrainDelay)
	gw.stopping.Store(true)
	gw.loops.StopAccepting()
	deadline := time.Now().Add(gw.cfg.Drain)
	gw.loops.Drain(spreadFor(gw.loops.Open(), gw.cfg.Drain), deadline.Add(-gw.cfg.Drain/8))
	end := time.NewTimer(time.Until(deadline))
	defer end.Stop()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for gw.loops.Held() > 0 || gw.inFlight.Load() > 0 {
		select {
		case <-poll.C:
		case <-end.C:
			gw.log.Warn("sockets left at the end of --drain", "sockets", gw.loops.Held())
			return
		}
	}
}
