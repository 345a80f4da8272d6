package gateway

import (
	"runtime"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// metrics are those that the gateway counts itself; what the loops count is collected by
// loopCollector. Never a label with a room, a user or an address.
type metrics struct {
	rejected                 map[string]*atomic.Uint64 // by reason; the map is static
	published, publishFailed prometheus.Counter
	gaps, recovered          prometheus.Counter
	deflated                 prometheus.Counter
	publish, delivery, tick  prometheus.Histogram
	brokerUp                 prometheus.Gauge
}

func newMetrics(r *prometheus.Registry) *metrics {
	m := &metrics{rejected: make(map[string]*atomic.Uint64)}
	for _, reason := range rejectReasons {
		m.rejected[reason] = new(atomic.Uint64)
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		r.MustRegister(h)
		return h
	}
	latency := prometheus.ExponentialBucketsRange(50e-6, 10, 20)
	m.published = counter("fanfare_messages_published_total", "Messages that the broker has acknowledged.")
	m.publishFailed = counter("fanfare_publish_failed_total", "Messages that the broker has not taken.")
	m.gaps = counter("fanfare_gaps_total", "Gaps in rooms' histories that members here were told of.")
	m.recovered = counter("fanfare_messages_recovered_total", "Messages from the history: of filled holes, and to sockets that came back.")
	m.deflated = counter("fanfare_sockets_compressed_total", "Sockets that were opened with compression (--compression).")
	m.publish = histogram("fanfare_publish_seconds", "From a message's arrival to the broker's acknowledgement.", latency)
	m.delivery = histogram("fanfare_delivery_seconds", "From a message's arrival to its sending to members on the same instance.", latency)
	m.tick = histogram("fanfare_loop_tick_seconds", "Length of an event loop's ticks.", prometheus.ExponentialBucketsRange(10e-6, 1, 16))
	m.brokerUp = prometheus.NewGauge(prometheus.GaugeOpts{Name: "fanfare_broker_up", Help: "1 if the broker can be reached."})
	r.MustRegister(m.brokerUp, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	socketsOpen   = desc("fanfare_sockets_open", "Sockets that are open.")
	socketsMax    = desc("fanfare_sockets_max", "Sockets that may be open at a time (--max-sockets).")
	socketsOpened = desc("fanfare_sockets_opened_total", "Sockets that were opened.")
	socketsClosed = desc("fanfare_sockets_closed_total", "Sockets that ended, by outcome.", "outcome")
	rejected      = desc("fanfare_handshakes_rejected_total", "Connections not let in, by reason.", "reason")
	received      = desc("fanfare_messages_received_total", "Messages from clients.")
	delivered     = desc("fanfare_messages_delivered_total", "Messages sent to members of rooms.")
	bytesIn       = desc("fanfare_received_bytes_total", "Bytes from clients, framing included.")
	bytesOut      = desc("fanfare_sent_bytes_total", "Bytes to clients, framing included.")
	slowMembers   = desc("fanfare_slow_members_total", "Members that took their messages too slowly, by what was done.", "action")
	rooms         = desc("fanfare_rooms", "Rooms with members here, counted a loop.")
	members       = desc("fanfare_members", "Memberships of sockets here in rooms.")
	inboxDepth    = desc("fanfare_loop_inbox_depth", "Items that wait for an event loop.", "loop")
	buildInfo     = desc("fanfare_build_info", "Always 1.", "version", "goversion")
)

// loopCollector adds up what the loops count.
type loopCollector struct{ gw *Gateway }

// Describe lists nothing: the collector is unchecked, its metrics depend on nothing.
func (c *loopCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads the loops' counters.
func (c *loopCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	var open, opened, in, out, got, gave, slow, skipped, nRooms, nMembers float64
	var closed [loop.Outcomes]float64
	for i, l := range c.gw.loops.Loops() {
		s := l.Stats()
		open += float64(s.Open.Load())
		opened += float64(s.Opened.Load())
		in += float64(s.BytesIn.Load())
		out += float64(s.BytesOut.Load())
		got += float64(s.Received.Load())
		gave += float64(s.Delivered.Load())
		slow += float64(s.Slow.Load())
		skipped += float64(s.Skipped.Load())
		nRooms += float64(s.Rooms.Load())
		nMembers += float64(s.Members.Load())
		for o := range closed {
			closed[o] += float64(s.Closed[o].Load())
		}
		send(inboxDepth, gauge, float64(l.InboxDepth()), strconv.Itoa(i))
	}
	send(socketsOpen, gauge, open)
	send(socketsMax, gauge, float64(c.gw.loops.MaxSockets()))
	send(socketsOpened, counter, opened)
	for o, n := range closed {
		send(socketsClosed, counter, n, loop.Outcome(o).String())
	}
	for reason, n := range c.gw.metrics.rejected {
		send(rejected, counter, float64(n.Load()), reason)
	}
	send(received, counter, got)
	send(delivered, counter, gave)
	send(bytesIn, counter, in)
	send(bytesOut, counter, out)
	send(slowMembers, counter, slow, "closed")
	send(slowMembers, counter, skipped, "skipped")
	send(rooms, gauge, nRooms)
	send(members, gauge, nMembers)
	send(buildInfo, gauge, 1, c.gw.cfg.Version, runtime.Version())
}
