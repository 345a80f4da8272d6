//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"slices"
	"time"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// results is all that a run of the table found, as it is kept in a file.
type results struct {
	When    time.Time     `json:"when"`
	Seconds float64       `json:"seconds"` // that the whole run took
	Rounds  int           `json:"rounds"`
	For     float64       `json:"for_seconds"` // that each load was measured
	Code    string        `json:"code"`        // commit
	Machine []string      `json:"machine"`
	Args    []string      `json:"serve_args,omitempty"` // more for fanfare serve
	Groups  []groupResult `json:"groups"`
	Faults  []string      `json:"faults,omitempty"`
}

type groupResult struct {
	Name  string       `json:"name"`
	Loads []loadResult `json:"loads"`
}

// loadResult is a load's rounds.
type loadResult struct {
	Name      string         `json:"name"`
	Server    string         `json:"server"`
	Load      string         `json:"load"`
	Missing   string         `json:"missing,omitempty"` // why it was not measured
	Rounds    []figures      `json:"rounds,omitempty"`
	Latencies []bench.Bucket `json:"latency_histogram,omitempty"` // of all rounds
}

func newResults(o options) results {
	return results{When: time.Now().UTC().Truncate(time.Second), Rounds: o.rounds, For: o.duration.Seconds(),
		Code: commit(), Machine: machine(), Args: o.args}
}

// merge adds a round's histogram.
func (r *loadResult) merge(more []bench.Bucket) {
	for _, b := range more {
		i, found := slices.BinarySearchFunc(r.Latencies, b, func(a, b bench.Bucket) int {
			switch {
			case a.UpTo < b.UpTo:
				return -1
			case a.UpTo > b.UpTo:
				return 1
			}
			return 0
		})
		if found {
			r.Latencies[i].Count += b.Count
		} else {
			r.Latencies = slices.Insert(r.Latencies, i, b)
		}
	}
}

// get is one figure of a load in one round, or NaN.
func (g groupResult) get(load, figure string, round int) float64 {
	for _, l := range g.Loads {
		if l.Name == load && round < len(l.Rounds) {
			if v, ok := l.Rounds[round][figure]; ok {
				return v
			}
		}
	}
	return math.NaN()
}

// rounds is how many rounds the group has.
func (g groupResult) rounds() (n int) {
	for _, l := range g.Loads {
		n = max(n, len(l.Rounds))
	}
	return n
}

// median is the median of the numbers that are some, or NaN.
func median(v []float64) float64 {
	v = slices.DeleteFunc(slices.Clone(v), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + m) / 2
	}
	return m
}

// medianOf is the median of a load's figure over the rounds.
func (g groupResult) medianOf(load, figure string) float64 {
	var v []float64
	for i := range g.rounds() {
		v = append(v, g.get(load, figure, i))
	}
	return median(v)
}

// others is what other programs had of the machine, in cores: in the median load and in the worst.
func (r results) others() (middle, most float64) {
	var v []float64
	for _, g := range r.Groups {
		for _, l := range g.Loads {
			v = append(v, g.medianOf(l.Name, "others"))
		}
	}
	for _, x := range v {
		if x > most { // which NaN is not
			most = x
		}
	}
	return median(v), most
}

// group is the group with a name, empty if it was not measured.
func (r results) group(name string) groupResult {
	for _, g := range r.Groups {
		if g.Name == name {
			return g
		}
	}
	return groupResult{}
}

// save writes the results as JSON, a line for each load.
func (r results) save(name string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(b, []byte(`{"name":`), []byte("\n"+`{"name":`))
	return os.WriteFile(name, append(b, '\n'), 0o644)
}

// readResults reads what save wrote.
func readResults(name string) (results, error) {
	var r results
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}
