//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// row is one load, given to the baseline and to a subject in turn.
type row struct {
	name    string
	load    bench.Config
	subject func(context.Context, options) (*servers, error)
	figures []figure
}

// figure is one number of a report.
type figure struct {
	name string
	of   func(bench.Report) float64
	aim  string
}

var (
	cpuPerDelivery = func(r bench.Report) float64 { return r.Server.CPUPerDelivery }
	deliveries     = func(r bench.Report) float64 { return r.DeliveriesPerSecond }
	p99            = func(r bench.Report) float64 { return r.Latency.P99 }
	generator      = figure{"generator's own CPU µs a delivery", func(r bench.Report) float64 { return r.Generator.CPUPerDelivery }, ""}
)

// rows is the table. All loads are 128 bytes of data in one room.
var rows = []row{
	{"1,000 sockets × 50/s", bench.Config{Sockets: 1000, Rate: 50}, startFanfare, []figure{
		{"CPU µs a delivery", cpuPerDelivery, "ratio ≤ 1.15"}, {"latency p99 µs", p99, ""}, generator}},
	{"10,000 idle sockets", bench.Config{Sockets: 10_000, Idle: true}, startFanfare, []figure{
		{"user bytes a socket", func(r bench.Report) float64 { return r.Server.BytesPerIdleSocket }, "≤ 1,024"},
		{"CPU µs an accepted socket", func(r bench.Report) float64 { return r.Server.CPUPerAccept }, "ratio ≤ 2"},
		{"CPU µs a join", func(r bench.Report) float64 { return r.Server.CPUPerJoin }, ""}}},
	{"1,000 sockets saturating, 32 in flight", bench.Config{Sockets: 1000, Rate: -1, InFlight: 32}, startFanfare, []figure{
		{"deliveries/s", deliveries, ""}, {"CPU µs a delivery", cpuPerDelivery, ""}, generator}},
	{"1,000 sockets saturating, 256 in flight", bench.Config{Sockets: 1000, Rate: -1, InFlight: 256}, startFanfare, []figure{
		{"deliveries/s", deliveries, ""}, {"CPU µs a delivery", cpuPerDelivery, ""}, generator}},
	{"two instances on one Redis, 2 × 500 sockets × 50/s", bench.Config{Sockets: 1000, Rate: 50}, startTwoOnRedis, []figure{
		{"CPU µs a delivery (without Redis)", cpuPerDelivery, ""}, {"latency p99 µs", p99, ""},
		{"deliveries", func(r bench.Report) float64 { return float64(r.Deliveries) }, ""},
		{"lost", func(r bench.Report) float64 { return float64(r.Lost) }, "0"},
		{"duplicates", func(r bench.Report) float64 { return float64(r.Duplicates) }, "0"},
		{"out of order, or in another order", func(r bench.Report) float64 { return float64(r.OutOfOrder + r.Disagree) }, "0"}}},
}

// line is the layout of the table.
const line = "%-46s %12s %12s %8s%s\n"

// measure runs the rows and prints the table. Faults in any run are an error, but no reason to stop.
func measure(ctx context.Context, o options) error {
	fmt.Printf(line, "", "baseline", "fanfare", "ratio", "  aim")
	var errs []error
	for _, r := range rows {
		if !o.only.MatchString(r.name) {
			continue
		}
		base, subject, err := r.measure(ctx, o)
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
		r.print(base, subject)
	}
	return errors.Join(append(errs, context.Cause(ctx))...)
}

// measure runs the row's load on baseline and subject in turn.
func (r row) measure(ctx context.Context, o options) (base, subject []bench.Report, err error) {
	var errs []error
	for round := range o.rounds {
		for _, s := range []struct {
			name  string
			start func(context.Context, options) (*servers, error)
			into  *[]bench.Report
		}{{"baseline", startBaseline, &base}, {"fanfare", r.subject, &subject}} {
			if ctx.Err() != nil || s.name == "fanfare" && o.baselineOnly {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s: %s, round %d of %d\n", r.name, s.name, round+1, o.rounds)
			rep, err := r.once(ctx, o, s.start)
			if err == nil {
				*s.into = append(*s.into, rep)
				err = rep.Faults()
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", r.name, s.name, err))
			}
		}
	}
	return base, subject, errors.Join(errs...)
}

// once starts servers, gives them the load and ends them.
func (r row) once(ctx context.Context, o options, start func(context.Context, options) (*servers, error)) (bench.Report, error) {
	s, err := start(ctx, o)
	if err != nil {
		return bench.Report{}, err
	}
	defer s.stop()
	load := r.load
	load.URLs, load.PIDs, load.For = s.urls, s.pids, o.duration
	return bench.Run(ctx, load, nil)
}

// print writes the medians. The ratio is the median of the rounds' ratios: the two runs of a
// round were made one right after the other.
func (r row) print(base, subject []bench.Report) {
	fmt.Println(r.name)
	for _, f := range r.figures {
		a, b := values(base, f), values(subject, f)
		var ratios []float64
		for i := range min(len(a), len(b)) {
			if a[i] != 0 {
				ratios = append(ratios, b[i]/a[i])
			}
		}
		fmt.Printf(line, "  "+f.name, number(a), number(b), number(ratios), "  "+f.aim)
	}
}

func values(reports []bench.Report, f figure) []float64 {
	var v []float64
	for _, rep := range reports {
		v = append(v, f.of(rep))
	}
	return v
}

// number is the median of v with three digits or more, or a dash if there is none.
func number(v []float64) string {
	if len(v) == 0 {
		return "–"
	}
	v = slices.Sorted(slices.Values(v))
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + m) / 2
	}
	switch {
	case m == float64(int64(m)) || m >= 1000:
		return grouped(fmt.Sprintf("%.0f", m))
	case m >= 100:
		return fmt.Sprintf("%.0f", m)
	}
	return strings.TrimRight(fmt.Sprintf("%.3f", m), "0")
}

// grouped puts a comma after each three digits.
func grouped(s string) string {
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
