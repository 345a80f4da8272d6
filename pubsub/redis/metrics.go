package redis

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of a broker. Safe for concurrent use.
type metrics struct {
	reconnects prometheus.Counter
	bad        prometheus.Counter
	publish    prometheus.Histogram
	batch      prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanfare_broker_reconnects_total", Help: "Listening connections to the broker that were lost and made again."}),
		bad: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fanfare_broker_bad_messages_total", Help: "Malformed messages from the broker, dropped."}),
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fanfare_broker_publish_seconds", Help: "From the call to publish to the broker's acknowledgement.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15)}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fanfare_broker_batch_messages", Help: "Messages sent to the broker together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9)}),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.reconnects, m.bad, m.publish, m.batch} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// occasional says when something frequent may be logged again.
type occasional struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// now reports whether to log, at most once in 10 seconds, and how many were not since the last.
func (o *occasional) now() (ok bool, skipped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); now.Sub(o.last) >= 10*time.Second {
		skipped, o.skipped, o.last = o.skipped, 0, now
		return true, skipped
	}
	o.skipped++
	return false, 0
}
