package observability

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/queries"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// series are an instance's, by name; each is its labels.
type series map[string][]labels.Labels

// scrape reads an instance's metrics as Prometheus would name them.
func scrape(t *testing.T, url string) series {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := make(series)
	for name, f := range families {
		suffixes := []string{""}
		if f.GetMetric()[0].GetHistogram() != nil {
			suffixes = []string{"_bucket", "_sum", "_count"}
		}
		for _, m := range f.GetMetric() {
			b := labels.NewScratchBuilder(4)
			for _, l := range m.GetLabel() {
				b.Add(l.GetName(), l.GetValue())
			}
			b.Sort()
			for _, s := range suffixes {
				all[name+s] = append(all[name+s], b.Labels())
			}
		}
	}
	return all
}

// What Prometheus itself adds, and what rules record.
var (
	ofPrometheus = map[string]bool{"up": true}
	targetLabels = map[string]bool{"job": true, "instance": true, "__name__": true, "le": true}
)

// missing tells of an expression what no instance has: a metric, or one with such labels.
func missing(expr string, have series, recorded map[string]bool) (missing []string, err error) {
	tree, err := parser.ParseExpr(expr)
	if err != nil {
		return nil, err
	}
	selectors := 0
	parser.Inspect(tree, func(n parser.Node, path []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			selectors++
			if !ofPrometheus[n.Name] && !recorded[n.Name] && !matches(n.LabelMatchers, have[n.Name]) {
				missing = append(missing, n.String())
			}
		case *parser.AggregateExpr:
			for _, l := range n.Grouping {
				if !targetLabels[l] && !labelled(n, l, have) {
					missing = append(missing, fmt.Sprintf("label %s in %s", l, n))
				}
			}
		}
		return nil
	})
	if selectors == 0 {
		return nil, fmt.Errorf("asks for no metric")
	}
	return missing, nil
}

// matches reports whether there is a series with all that is asked for but what Prometheus adds.
func matches(want []*labels.Matcher, have []labels.Labels) bool {
	for _, l := range have {
		ok := true
		for _, m := range want {
			ok = ok && (targetLabels[m.Name] || m.Matches(l.Get(m.Name)))
		}
		if ok {
			return true
		}
	}
	return false
}

// labelled reports whether the metrics below an aggregation have a label.
func labelled(n parser.Node, label string, have series) bool {
	found := false
	parser.Inspect(n, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			for _, l := range have[v.Name] {
				found = found || l.Has(label)
			}
		}
		return nil
	})
	return found
}

func TestEveryMetricNamedIsThatOfARunningInstance(t *testing.T) {
	instance := fanfaretest.Start(t, "--redis", redistest.Start(t).URL)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn, err := client.Dial(ctx, instance.SocketURL, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for {
		if _, err = conn.Join(ctx, "room"); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Publish(ctx, "room", "x"); err != nil {
		t.Fatal(err)
	}
	have := scrape(t, instance.OpsURL+"metrics")

	recorded := make(map[string]bool)
	var all []queries.Query
	for _, r := range rules(t) {
		if r.Record != "" {
			recorded[r.Record] = true
		}
		all = append(all, queries.Query{Where: "rule " + r.Alert + r.Record, Expr: r.Expr})
	}
	for _, path := range dashboards(t) {
		of, err := queries.Dashboard(path, "fanfare", "30s")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, of...)
	}
	for _, q := range all {
		m, err := missing(q.Expr, have, recorded)
		if err != nil {
			t.Errorf("%s: %v", q.Where, err)
		}
		if len(m) > 0 {
			t.Errorf("%s asks for what no instance has: %s", q.Where, strings.Join(m, ", "))
		}
	}
	if len(all) < 50 {
		t.Errorf("only %d expressions were found", len(all))
	}
	// The check itself can fail.
	for _, bad := range []string{`rate(fanfare_nothing_total[1m])`, `fanfare_sockets_closed_total{outcome="no"}`, `sum by (room) (fanfare_sockets_open)`} {
		if m, err := missing(bad, have, recorded); err != nil || len(m) == 0 {
			t.Errorf("%s passes: %v", bad, err)
		}
	}
}

var metricName = regexp.MustCompile(`\bfanfare_[a-z_]+[a-z]\b`)

// Pages name metrics too.
func TestDocumentsNameMetricsThatThereAre(t *testing.T) {
	have := scrape(t, fanfaretest.Start(t, "--redis", redistest.Start(t).URL).OpsURL+"metrics")
	for _, path := range []string{"../../README.md", "../../docs/operations.md", "../../docs/reliability.md"} {
		for _, name := range metricName.FindAllString(read(t, path), -1) {
			if have[name] == nil && have[name+"_bucket"] == nil {
				t.Errorf("%s names %s, which no instance has", path, name)
			}
		}
	}
}
