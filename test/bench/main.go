//go:build linux

// Command bench measures Fanfare against the bare baseline of test/bench/baseline: the same load,
// from the same generator (fanfare bench), one after the other and again, on loopback. What counts
// is the ratio of the two in one run: machines differ, and so does one machine from minute to minute.
// A full run writes docs/performance.md, with plots, from the raw results that it keeps beside them.
//
// It starts all servers itself, on free ports, and ends each of them, also when interrupted.
// Started by test/bench/run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options is the command line.
type options struct {
	work         string         // directory for what is built and what servers keep; removed at the end
	rounds       int            // of each row; medians are shown
	duration     time.Duration  // that each run measures
	only         *regexp.Regexp // loads to run, as "group: load: subject"
	page         bool           // write docs/performance.md
	from         string         // make the page of these results, measure nothing
	brief        bool           // for tests: no time to settle, warm up and cool down
	threads      int            // of the baseline
	args         []string       // more for fanfare serve
	baselineOnly bool
}

func main() {
	runtime.LockOSThread() // processes die with the thread that started them (Pdeathsig)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	o, err := parse(os.Args[1:])
	if o.work != "" {
		defer os.RemoveAll(o.work)
	}
	if err != nil {
		return err
	}
	if o.work == "" {
		if o.work, err = os.MkdirTemp("", "fanfare-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.work)
	}
	if o.from != "" {
		res, err := readResults(o.from)
		if err != nil {
			return err
		}
		return publish(ctx, o, res)
	}
	if err := build(ctx, o); err != nil {
		return err
	}
	res, err := measure(ctx, o, groups())
	if o.page && ctx.Err() == nil {
		err = errors.Join(err, publish(ctx, o, res))
	}
	return err
}

// publish writes the results, and what is made of them: page and plots. The working directory is
// the root of the repository.
func publish(ctx context.Context, o options, res results) error {
	if err := os.MkdirAll(resultsDir, 0o755); err != nil {
		return err
	}
	if err := res.save(resultsDir + "/results.json"); err != nil {
		return err
	}
	plots := filepath.Join(o.work, "plots.json")
	if err := savePlots(plots, res); err != nil {
		return err
	}
	to, err := filepath.Abs(resultsDir)
	if err != nil {
		return err
	}
	draw := exec.CommandContext(ctx, "go", "run", ".", plots, to)
	draw.Dir = "test/bench/plot"
	draw.Stdout, draw.Stderr = os.Stderr, os.Stderr
	if err := draw.Run(); err != nil {
		return fmt.Errorf("drawing the plots: %w", err)
	}
	return writePage("docs/performance.md", res, groups())
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("test/bench/run", flag.ContinueOnError)
	fs.StringVar(&o.work, "work", "", "`directory` to build in, removed at the end (default a new one)")
	fs.IntVar(&o.rounds, "rounds", 3, "runs of each load and server; medians are shown")
	fs.DurationVar(&o.duration, "for", 3*time.Second, "time that each run measures")
	only := fs.String("only", "", "run only the loads whose name, such as \"Fan-out: 50/s: epoll\", matches this regular `expression`, and write no page")
	fs.StringVar(&o.from, "from", "", "measure nothing: make docs/performance.md and the plots of the results in this `file`")
	fs.IntVar(&o.threads, "baseline-threads", 1, "event loops of the baseline")
	more := fs.String("fanfare-args", "", "more `flags` for fanfare serve, separated by spaces")
	fs.BoolVar(&o.baselineOnly, "baseline-only", false, "measure the baseline alone")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 || o.rounds < 1 {
		return o, errors.New("want flags only, and at least one round")
	}
	o.args = strings.Fields(*more)
	o.page = *only == "" && !o.baselineOnly
	var err error
	o.only, err = regexp.Compile(*only)
	return o, err
}

// build compiles what is measured; the working directory is the root of the repository.
func build(ctx context.Context, o options) error {
	commands := [][]string{{"gcc", "-O2", "-Wall", "-Wextra", "-pthread", "-o", o.baseline(), "test/bench/baseline/baseline.c"}}
	if !o.baselineOnly {
		commands = append(commands, []string{"go", "build", "-o", o.fanfare(), "./cmd/fanfare"})
	}
	for _, c := range commands {
		cmd := exec.CommandContext(ctx, c[0], c[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	return nil
}

func (o options) baseline() string { return filepath.Join(o.work, "baseline") }
func (o options) fanfare() string  { return filepath.Join(o.work, "fanfare") }

// serveHelp is what fanfare serve --help says: which flags there are.
func serveHelp(ctx context.Context, o options) string {
	out, _ := exec.CommandContext(ctx, o.fanfare(), "serve", "--help").CombinedOutput() // without the program there is none
	return string(out)
}
