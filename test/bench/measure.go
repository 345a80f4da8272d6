//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// measure runs the groups. Faults in any run are an error, but no reason to stop.
func measure(ctx context.Context, o options, groups []group) (results, error) {
	res := newResults(o)
	help := serveHelp(ctx, o)
	var errs []error
	for _, g := range groups {
		got := groupResult{Name: g.name}
		var loads []load
		for _, l := range g.loads {
			if !o.only.MatchString(g.name + ": " + l.name()) {
				continue
			}
			r := loadResult{Name: l.name(), Server: l.on.serve(), Load: l.command(), Missing: missing(l, help, o)}
			got.Loads = append(got.Loads, r)
			loads = append(loads, l)
		}
		for round := range o.rounds {
			for i, l := range loads {
				r := &got.Loads[i]
				if r.Missing != "" || ctx.Err() != nil {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s: %s, round %d of %d\n", g.name, l.name(), round+1, o.rounds)
				err := r.run(ctx, o, l, g.bars)
				if err != nil {
					err = fmt.Errorf("%s: %s, round %d: %w", g.name, l.name(), round+1, err)
					res.Faults = append(res.Faults, err.Error())
				}
				errs = append(errs, err)
			}
		}
		if len(got.Loads) > 0 {
			res.Groups = append(res.Groups, got)
			g.print(os.Stdout, got)
		}
		if ctx.Err() != nil {
			break
		}
	}
	res.Seconds = time.Since(res.When).Round(time.Second).Seconds()
	return res, errors.Join(append(errs, context.Cause(ctx))...)
}

// missing says why a load cannot be measured with this code, or nothing.
func missing(l load, help string, o options) string {
	if o.baselineOnly && l.on.name != baseline.name {
		return "only the baseline is measured"
	}
	if need := l.on.needs; need != "" && !strings.Contains(help, need) {
		return "fanfare serve has no " + need
	}
	if _, _, err := bench.Parse(strings.Fields(l.flags), io.Discard); err != nil {
		return "fanfare bench: " + err.Error()
	}
	return ""
}

// run adds one round. Each has its place, so that the loads' rounds belong together: a round that
// went wrong has no figures.
func (r *loadResult) run(ctx context.Context, o options, l load, bars bool) error {
	rep, more, err := l.once(ctx, o)
	if err != nil {
		r.Rounds = append(r.Rounds, figures{})
		return err
	}
	f := read(rep)
	maps.Copy(f, more)
	for name, v := range f {
		f[name], _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64) // more digits mean nothing
	}
	r.Rounds = append(r.Rounds, f)
	if bars {
		r.merge(rep.Latencies)
	}
	return rep.Faults()
}

// once starts servers, gives them the load and ends them. more are figures beside the report.
func (l load) once(ctx context.Context, o options) (rep bench.Report, more figures, err error) {
	cfg, _, err := bench.Parse(strings.Fields(l.flags), io.Discard)
	if err != nil {
		return rep, nil, err
	}
	s, err := l.on.start(ctx, o, l.on.args)
	if err != nil {
		return rep, nil, err
	}
	defer s.stop()
	cfg.URLs, cfg.PIDs = s.urls, s.pids
	if !strings.Contains(" "+l.flags, " --for ") {
		cfg.For = o.duration
	}
	if o.brief {
		cfg.Settle, cfg.WarmUp, cfg.CoolDown = -1, -1, -1
		cfg.For = min(cfg.For, o.duration)
	}
	stop := func() error { return nil }
	if l.beside != "" {
		if stop, err = startBeside(ctx, l.beside, s.urls); err != nil {
			return rep, nil, err
		}
	}
	var p *prober
	if l.probe {
		if p, err = startProber(s.redis); err != nil {
			return rep, nil, errors.Join(err, stop())
		}
	}
	began := readUse(s)
	rep, err = bench.Run(ctx, cfg, nil)
	more = figures{"others": readUse(s).others(began)}
	if p != nil {
		var probeErr error
		more["round trip"], probeErr = p.stop()
		err = errors.Join(err, probeErr)
	}
	if err == nil && cfg.Compression && rep.Compressed == 0 {
		err = errors.New("nothing came compressed")
	}
	return rep, more, errors.Join(err, stop())
}

// startBeside runs a second load until stop is called, which tells what was wrong with it.
func startBeside(ctx context.Context, flags string, urls []string) (stop func() error, err error) {
	cfg, _, err := bench.Parse(strings.Fields(flags), io.Discard)
	if err != nil {
		return nil, err
	}
	cfg.URLs, cfg.For, cfg.Settle, cfg.WarmUp = urls, time.Hour, -1, -1
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		rep, err := bench.Run(ctx, cfg, nil)
		if errors.Is(err, context.Canceled) {
			err = rep.Faults()
		}
		if err == nil && rep.Deliveries == 0 {
			err = errors.New("nothing was delivered")
		}
		if err != nil {
			err = fmt.Errorf("the load beside it: %w", err)
		}
		ended <- err
	}()
	return func() error {
		cancel()
		return <-ended
	}, nil
}
