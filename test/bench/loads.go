//go:build linux

package main

import (
	"context"
	"strings"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// group is loads that are compared with each other. In each round they run one right after the
// other, so that what the machine does meanwhile hits all of them.
type group struct {
	name  string
	about string // what is measured and how, for the page
	bars  bool   // keep the histograms of latency
	loads []load
	lines []line
}

// load is one run of the generator against servers that are started for it.
type load struct {
	at     string // what is sent; with on it names the load in its group
	on     subject
	flags  string // of fanfare bench
	beside string // of a second fanfare bench that runs meanwhile; empty: none
	probe  bool   // meanwhile, measure a bare PUBLISH → SUBSCRIBE round trip on the Redis
}

func (l load) name() string { return l.at + ": " + l.on.name }

// subject is what is measured.
type subject struct {
	name  string
	start func(context.Context, options, []string) (*servers, error)
	args  []string // of fanfare serve
	needs string   // what fanfare serve --help has to have; empty: nothing
}

// with is the subject with more flags of fanfare serve.
func (s subject) with(args ...string) subject {
	s.args = append(append([]string(nil), s.args...), args...)
	return s
}

// called is the subject with another name.
func (s subject) called(name string) subject {
	s.name = name
	return s
}

var (
	baseline = subject{name: "baseline", start: startBaseline}
	fanfare  = subject{name: "fanfare", start: startFanfare}
	epoll    = fanfare.called("epoll").with("--transport", "epoll")
	uring    = subject{"io_uring", startFanfare, []string{"--transport", "io_uring"}, "io_uring"}
	onRedis  = subject{name: "two on Redis", start: startTwoOnRedis}
)

// each is the same load on several subjects.
func each(at, flags string, on ...subject) (loads []load) {
	for _, s := range on {
		loads = append(loads, load{at: at, on: s, flags: flags})
	}
	return loads
}

// command is the load as one would start it by hand.
func (l load) command() string {
	s := "fanfare bench " + l.flags
	if l.beside != "" {
		s += "; beside it fanfare bench " + l.beside
	}
	return s
}

// serve is how the subject is started, for the page.
func (s subject) serve() string {
	if s.name == baseline.name {
		return "baseline"
	}
	return strings.Join(append([]string{"fanfare serve"}, s.args...), " ")
}

// figures are the numbers of one run, by name.
type figures map[string]float64

// read takes the figures that are kept out of a report.
func read(r bench.Report) figures {
	f := figures{
		"deliveries/s": r.DeliveriesPerSecond, "published/s": r.PublishedPerSecond,
		"p50": r.Latency.P50, "p99": r.Latency.P99, "open seconds": r.OpenSeconds, "opened": float64(r.Opened),
		"generator cores": r.Generator.Cores, "generator CPU": r.Generator.CPUPerDelivery,
	}
	if s := r.Server; s != nil {
		f["cores"], f["CPU"], f["CPU accept"], f["CPU join"] = s.Cores, s.CPUPerDelivery, s.CPUPerAccept, s.CPUPerJoin
		f["bytes idle"], f["bytes end"] = s.BytesPerIdleSocket, s.BytesPerSocketAtEnd
	}
	if s := r.Storm; s != nil {
		f["storm p50"], f["storm p99"], f["storm seconds"], f["storm served"] = s.Latency.P50, s.Latency.P99, s.Seconds, float64(s.Sockets)
	}
	if g := r.Ingest; g != nil {
		f["acked/s"], f["CPU"], f["ack p50"], f["ack p99"] = g.AckedPerSecond, g.CPUPerMessage, g.Latency.P50, g.Latency.P99
	}
	if s := r.Resume; s != nil {
		f["resume messages/s"], f["resume CPU"] = float64(s.Messages)/s.Seconds, s.CPUPerMessage
	}
	for name, v := range f {
		idle := r.Config.Idle || r.Config.Ingest > 0
		delivery := name == "p50" || name == "p99" || name == "deliveries/s" || name == "generator CPU"
		if v == 0 && strings.HasPrefix(name, "CPU") || idle && delivery {
			delete(f, name) // not measured
		}
	}
	return f
}
