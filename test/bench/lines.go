//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// line is one row of the table: a figure of Fanfare, what it is compared with, and what was aimed at.
type line struct {
	target  int    // of the issue that asks for it; 0: for information
	text    string // with unit
	against source // nil: nothing
	of      source
	first   *[2]source // growth: against and of at the smallest size
	aim     aim
}

// source is a figure of one round, NaN if it was not measured.
type source func(round) float64

// round is one round of a group.
type round struct {
	g groupResult
	n int
}

// f is a figure of a load.
func f(load, figure string) source {
	return func(r round) float64 { return r.g.get(load, figure, r.n) }
}

// less is the difference of two figures.
func less(a, b source) source {
	return func(r round) float64 { return a(r) - b(r) }
}

// aim is a bound on a line's value, its ratio, or the growth of its ratio; without kind there is none.
type aim struct {
	kind    aimKind
	atLeast bool
	limit   float64
}

type aimKind int

const (
	noAim aimKind = iota
	ofValue
	ofRatio
	ofGrowth // of the ratio, against the ratio at the smallest size
)

func valueAtMost(v float64) aim  { return aim{ofValue, false, v} }
func valueAtLeast(v float64) aim { return aim{ofValue, true, v} }
func ratioAtMost(v float64) aim  { return aim{ofRatio, false, v} }
func growthAtMost(v float64) aim { return aim{ofGrowth, false, v} }

func (a aim) String() string {
	if a.kind == noAim {
		return ""
	}
	sign := "≤"
	if a.atLeast {
		sign = "≥"
	}
	switch a.kind {
	case ofValue:
		return sign + " " + number(a.limit)
	case ofRatio:
		return sign + " " + number(a.limit) + " ×"
	}
	return sign + " " + number(a.limit) + " × the first ratio"
}

// outcome is a line's medians over the rounds.
type outcome struct {
	line
	base, value   float64
	ratio, growth float64 // medians of the rounds' own
	low, high     float64 // the rounds' range of what the aim is about, else of the value
}

// outcomes works out a group's lines.
func (g group) outcomes(got groupResult) []outcome {
	var all []outcome
	for _, l := range g.lines {
		var base, value, ratio, growth []float64
		for n := range got.rounds() {
			r := round{got, n}
			v, b, first := l.of(r), math.NaN(), math.NaN()
			if l.against != nil {
				b = l.against(r)
			}
			if l.first != nil {
				first = l.first[1](r) / l.first[0](r)
			}
			base, value, ratio, growth = append(base, b), append(value, v), append(ratio, v/b), append(growth, v/b/first)
		}
		o := outcome{line: l, base: median(base), value: median(value), ratio: median(ratio), growth: median(growth)}
		about := map[aimKind][]float64{noAim: value, ofValue: value, ofRatio: ratio, ofGrowth: growth}[l.aim.kind]
		about = slices.DeleteFunc(about, math.IsNaN)
		o.low, o.high = math.NaN(), math.NaN()
		if len(about) > 0 {
			o.low, o.high = slices.Min(about), slices.Max(about)
		}
		all = append(all, o)
	}
	return all
}

// reached says whether the aim was: yes, no, or nothing if there is none or it was not measured.
func (o outcome) reached() string {
	v := map[aimKind]float64{noAim: math.NaN(), ofValue: o.value, ofRatio: o.ratio, ofGrowth: o.growth}[o.aim.kind]
	switch {
	case math.IsNaN(v):
		return ""
	case o.aim.atLeast && v >= o.aim.limit, !o.aim.atLeast && v <= o.aim.limit:
		return "yes"
	}
	return "no"
}

// shown is the ratio as the table has it.
func (o outcome) shown() string {
	s := number(o.ratio)
	if o.first != nil && !math.IsNaN(o.growth) {
		s += fmt.Sprintf(" (%s × the first)", number(o.growth))
	}
	return s
}

// layout of the table on a terminal.
const layout = "  %-66s %10s %10s %8s  %-12s %s\n"

// print writes a group's table for a terminal.
func (g group) print(w io.Writer, got groupResult) {
	fmt.Fprintf(w, layout, "", "against", "fanfare", "ratio", "aim", "reached")
	fmt.Fprintln(w, g.name)
	for _, o := range g.outcomes(got) {
		if math.IsNaN(o.value) && math.IsNaN(o.base) {
			continue
		}
		ratio := o.ratio
		if o.first != nil {
			ratio = o.growth
		}
		fmt.Fprintf(w, layout, o.text, number(o.base), number(o.value), number(ratio), o.aim, o.reached())
	}
	for _, l := range got.Loads {
		if l.Missing != "" {
			fmt.Fprintf(w, "  not measured: %s: %s\n", l.Name, l.Missing)
		}
	}
}

// number is v with three digits or more, or a dash if it is none.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case v == math.Trunc(v) || a >= 1000:
		return grouped(fmt.Sprintf("%.0f", v))
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return strings.TrimRight(fmt.Sprintf("%.3f", v), "0")
}

// grouped puts a comma after each three digits.
func grouped(s string) string {
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
