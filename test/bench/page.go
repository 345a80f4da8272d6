//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// resultsDir has what the page is made of: results.json, the plots, and notes.md, which is written by hand.
const resultsDir = "docs/performance"

// limited is how many cores of the generator's are the load's limit rather than the server.
const limited = 0.95

const intro = `# Performance

Written by ` + "`test/bench/run`" + `; run it again to have the figures of your machine. Do not edit: what is to be said by hand goes into
performance/notes.md, which becomes part of this page; the raw results are in [performance/results.json](performance/results.json).

Fanfare and a bare baseline ([test/bench/baseline](../test/bench/baseline/baseline.c): C, one thread, frames a message once and calls send(2) for
every socket, nothing else) get the same load from the same generator, ` + "`fanfare bench`" + `, over loopback. What counts is the ratio: the median
of the rounds' ratios, the two runs of a round being made one right after the other. The generator runs on the same cores, and checks every
message on every socket: none lost, none twice, none out of order.

`

// writePage makes the page of results.
func writePage(name string, res results, groups []group) error {
	var b strings.Builder
	b.WriteString(intro)
	fmt.Fprintf(&b, "- **Run:** %s, commit %s, %s, each load measured for %g s; %.0f minutes in all.\n", res.When.Format("2 January 2006 15:04 MST"),
		res.Code, amount(res.Rounds, "rounds"), res.For, math.Ceil(res.Seconds/60))
	fmt.Fprintf(&b, "- **Machine:** %s.\n", strings.Join(res.Machine, "; "))
	others, most := res.others()
	fmt.Fprintf(&b, "- **Other programs** had %s cores meanwhile in the median load, %s in the worst. Where that is much, times and rates say little.\n", number(others), number(most))
	if len(res.Args) > 0 {
		fmt.Fprintf(&b, "- **More flags** of every fanfare serve: `%s`.\n", strings.Join(res.Args, " "))
	}
	b.WriteString(summary(res, groups))
	if notes, err := os.ReadFile(resultsDir + "/notes.md"); err == nil {
		b.WriteString("\n" + strings.TrimSpace(string(notes)) + "\n")
	}
	b.WriteString("\n## Plots\n\n")
	for _, p := range plots(res) {
		fmt.Fprintf(&b, "![%s](performance/%s)\n", p.Title, p.File)
	}
	b.WriteString("\n## Figures\n\nNº is the target's number in the issue that set the aims; “range” is that of the rounds, of what the aim is about. A dash: not measured.\n")
	for _, g := range groups {
		writeGroup(&b, g, res.group(g.name))
	}
	writeLoads(&b, res)
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// summary is how many aims were reached, and which not.
func summary(res results, groups []group) string {
	var yes int
	var no, unknown []string
	for _, g := range groups {
		for _, o := range g.outcomes(res.group(g.name)) {
			if o.aim.kind == noAim {
				continue
			}
			what := fmt.Sprintf("%s: %s", g.name, o.text)
			switch o.reached() {
			case "yes":
				yes++
			case "no":
				no = append(no, what)
			default:
				unknown = append(unknown, what)
			}
		}
	}
	s := fmt.Sprintf("- **Aims:** %d of %d reached.\n", yes, yes+len(no)+len(unknown))
	for _, list := range []struct {
		name  string
		lines []string
	}{{"Not reached", no}, {"Not measured", unknown}, {"Faults", res.Faults}} {
		if len(list.lines) > 0 {
			s += "- **" + list.name + ":**\n  - " + strings.Join(list.lines, "\n  - ") + "\n"
		}
	}
	return s
}

func writeGroup(b *strings.Builder, g group, got groupResult) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n\n| Nº | | against | fanfare | ratio | range | aim | reached |\n|---|---|---|---|---|---|---|---|\n", g.name, g.about)
	for _, o := range g.outcomes(got) {
		target, span := "", ""
		if o.target > 0 {
			target = fmt.Sprint(o.target)
		}
		if o.low < o.high {
			span = number(o.low) + " – " + number(o.high)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", target, o.text, number(o.base), number(o.value), o.shown(), span, o.aim, o.reached())
	}
	var missing []string
	for _, l := range got.Loads {
		if l.Missing != "" {
			missing = append(missing, l.Name+" ("+l.Missing+")")
		}
	}
	if len(missing) > 0 {
		fmt.Fprintf(b, "\nNot measured: %s.\n", strings.Join(missing, "; "))
	}
}

// writeLoads lists what was run, with what the generator spent.
func writeLoads(b *strings.Builder, res results) {
	b.WriteString("\n## Loads and commands\n\nEach load was given to servers started for it, with `--rate -1 --log-level warn` and free ports beside the flags shown. “Cores” are busy ones " +
		"while measuring, those of a Redis not counted. **Limit** marks loads in which the generator had no more of its one thread to give: there the server might do more.\n\n" +
		"| group | load | server | generator | deliveries/s | server cores | generator cores | generator CPU µs a delivery | others' cores |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, g := range res.Groups {
		for _, l := range g.Loads {
			if l.Missing != "" {
				continue
			}
			cores := g.medianOf(l.Name, "generator cores")
			mark := ""
			if cores >= limited {
				mark = " **limit**"
			}
			fmt.Fprintf(b, "| %s | %s | `%s` | `%s` | %s | %s | %s%s | %s | %s |\n", g.Name, l.Name, l.Server, strings.Join(strings.Fields(l.Load), " "),
				number(g.medianOf(l.Name, "deliveries/s")), number(g.medianOf(l.Name, "cores")), number(cores), mark, number(g.medianOf(l.Name, "generator CPU")), number(g.medianOf(l.Name, "others")))
		}
	}
}
