//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// built is options with all programs built, for short runs.
func built(t *testing.T, baselineOnly bool) options {
	t.Helper()
	t.Chdir("../..") // where build expects to be
	o := options{work: t.TempDir(), baselineOnly: baselineOnly, brief: true, rounds: 1, threads: 1, duration: 200 * time.Millisecond, only: regexp.MustCompile("")}
	if err := build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheBaselineServesTheGeneratorWithoutFaults(t *testing.T) {
	o := built(t, true)
	for _, threads := range []int{1, 2} {
		for _, flags := range []string{
			"--sockets 50 --rate 500",
			"--sockets 50 --saturate --in-flight 64",
			"--sockets 60 --rooms 7 --rooms-per-socket 3 --saturate --threads 2",
			"--sockets 10 --rate 50 --size 30000",
			"--sockets 300 --rooms 200 --idle",
		} {
			t.Run(fmt.Sprintf("%d threads, %s", threads, flags), func(t *testing.T) {
				o := o
				o.threads = threads
				rep, _, err := load{on: baseline, flags: flags}.once(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if err := rep.Faults(); err != nil || !rep.Config.Idle && rep.Deliveries == 0 {
					t.Errorf("%d deliveries, faults: %v", rep.Deliveries, err)
				}
			})
		}
	}
}

// smaller makes a load of the table small enough for a test.
func smaller(flags string) string {
	for _, r := range [][2]string{
		{`--sockets (18000|10000)`, "--sockets 300"}, {`--sockets 1000`, "--sockets 60"}, {`--sockets 1001`, "--sockets 61"}, {`--sockets 4000`, "--sockets 200"},
		{`--rooms (10000|1000|500|100)\b`, "--rooms 30"}, {`--publishers 18000`, "--publishers 300"}, {`--storm 10000`, "--storm 200"},
		{`--in-flight \d+`, "--in-flight 16"}, {`--ingest 1000`, "--ingest 20"}, {`--rate \S+`, "--rate 50"},
	} {
		flags = regexp.MustCompile(r[0]).ReplaceAllString(flags, r[1])
	}
	return flags
}

// TestEveryLoadOfTheTableRuns runs the whole table in small, on real servers. What these do not
// have yet is reported as missing, and all that is measured has its line.
func TestEveryLoadOfTheTableRuns(t *testing.T) {
	o := built(t, false)
	table := groups()
	for i := range table {
		for j := range table[i].loads {
			l := &table[i].loads[j]
			l.flags, l.beside = smaller(l.flags), strings.Replace(l.beside, "--rate 2 --size 1048000", "--rate 20 --size 200000", 1)
		}
	}
	res, err := measure(t.Context(), o, table)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Groups) != len(table) {
		t.Fatalf("%d groups measured of %d", len(res.Groups), len(table))
	}
	for i, g := range table {
		got := res.Groups[i]
		missing := false
		for _, l := range got.Loads {
			missing = missing || l.Missing != ""
			if l.Missing == "" && (len(l.Rounds) != 1 || len(l.Rounds[0]) == 0) {
				t.Errorf("%s: %s: no figures", g.name, l.Name)
			}
			if l.Missing != "" && !strings.Contains(l.Name, "io_uring") && g.name != "Compression" {
				t.Errorf("%s: %s is missing: %s", g.name, l.Name, l.Missing)
			}
		}
		for _, out := range g.outcomes(got) {
			if !missing && math.IsNaN(out.value) {
				t.Errorf("%s: %s: not measured", g.name, out.text)
			}
		}
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := writePage(page, res, table); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"### Fan-out", "| 1 | CPU µs a delivery, 50/s, epoll | ", "| 10 | acked messages/s, --history 0 | – | ", "![CPU a delivery against load"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, p := range plots(res) {
		for _, s := range p.Series {
			if len(s.Points) == 0 && s.Name != "io_uring" {
				t.Errorf("plot %s: %s has no points", p.File, s.Name)
			}
		}
	}
}

// Names in lines and plots that no load has would show as dashes only.
func TestLinesNameLoadsThatThereAre(t *testing.T) {
	for _, g := range groups() {
		got := groupResult{Name: g.name}
		seen := map[string]bool{}
		for _, l := range g.loads {
			if seen[l.name()] {
				t.Errorf("%s: two loads are called %s", g.name, l.name())
			}
			seen[l.name()] = true
			all := figures{}
			for _, name := range []string{"CPU", "CPU accept", "deliveries/s", "acked/s", "bytes idle", "bytes end", "p50", "p99", "storm p99",
				"storm served", "storm seconds", "resume messages/s", "resume CPU", "round trip"} {
				all[name] = 2
			}
			got.Loads = append(got.Loads, loadResult{Name: l.name(), Rounds: []figures{all}})
		}
		for _, o := range g.outcomes(got) {
			if math.IsNaN(o.value) || o.against != nil && math.IsNaN(o.base) || o.aim.kind != noAim && o.reached() == "" {
				t.Errorf("%s: %s names something that is not there", g.name, o.text)
			}
		}
	}
}

func TestAimsAndRatiosAreThoseOfTheRounds(t *testing.T) {
	got := groupResult{Loads: []loadResult{
		{Name: "a", Rounds: []figures{{"CPU": 10}, {"CPU": 20}, {}, {"CPU": 40}}},
		{Name: "b", Rounds: []figures{{"CPU": 11}, {"CPU": 30}, {"CPU": 5}, {"CPU": 80}}},
	}}
	first := [2]source{f("b", "CPU"), f("b", "CPU")}
	for _, tc := range []struct {
		aim     aim
		first   *[2]source
		reached string
	}{
		{ratioAtMost(1.5), nil, "yes"}, {ratioAtMost(1.49), nil, "no"}, {valueAtMost(20.5), nil, "yes"}, {valueAtLeast(21), nil, "no"}, {aim{}, nil, ""},
		{growthAtMost(1.5), &first, "yes"}, {growthAtMost(1.4), &first, "no"}, {growthAtMost(9), nil, ""},
	} {
		o := group{lines: []line{{1, "x", f("a", "CPU"), f("b", "CPU"), tc.first, tc.aim}}}.outcomes(got)[0]
		if o.ratio != 1.5 || o.base != 20 || o.value != 20.5 || o.reached() != tc.reached {
			t.Errorf("%s: %+v, reached %q", tc.aim, o, o.reached())
		}
	}
	o := group{lines: []line{{1, "x", f("a", "CPU"), f("none", "CPU"), nil, ratioAtMost(2)}}}.outcomes(got)[0]
	if o.reached() != "" || o.shown() != "–" {
		t.Errorf("a figure that was not measured: %+v", o)
	}
}

func TestResultsAreReadAsTheyWereSaved(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results.json")
	res := results{Rounds: 2, Groups: []groupResult{{Name: "g", Loads: []loadResult{{Name: "l", Rounds: []figures{{"CPU": 1.5}}, Latencies: []bench.Bucket{{UpTo: 2, Count: 3}}}}}}}
	res.Groups[0].Loads[0].merge([]bench.Bucket{{UpTo: 1, Count: 1}, {UpTo: 2, Count: 4}, {UpTo: 9, Count: 1}})
	if err := res.save(name); err != nil {
		t.Fatal(err)
	}
	got, err := readResults(name)
	if err != nil || got.group("g").medianOf("l", "CPU") != 1.5 {
		t.Fatalf("%+v: %v", got, err)
	}
	if want := fmt.Sprint([]bench.Bucket{{UpTo: 1, Count: 1}, {UpTo: 2, Count: 7}, {UpTo: 9, Count: 1}}); fmt.Sprint(got.Groups[0].Loads[0].Latencies) != want {
		t.Errorf("histogram %v, want %s", got.Groups[0].Loads[0].Latencies, want)
	}
}

func TestWhatOtherProgramsUseIsTold(t *testing.T) {
	s := &servers{}
	p, err := startProcess("sh", "-c", "while :; do :; done")
	if err != nil {
		t.Fatal(err)
	}
	s.add(p, false)
	t.Cleanup(s.stop)
	before, beforeAlone := readUse(s), readUse(&servers{})
	var after use
	for after = readUse(s); after.ours-before.ours < 300*time.Millisecond; after = readUse(s) {
		select {
		case <-p.ended:
			t.Fatal("the shell has ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
	mine, others := after.others(before), readUse(&servers{}).others(beforeAlone)
	if others <= mine || others > 1000 {
		t.Errorf("others had %.2f cores, and %.2f without the shell", others, mine)
	}
}

func TestNumbersAreShownWithThreeDigits(t *testing.T) {
	for want, v := range map[string]float64{
		"–": math.NaN(), "2": 2, "1.5": 1.5, "0.062": 0.0617, "12,345": 12345.4, "123": 123.4, "0": 0, "17.3": 17.31,
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}
