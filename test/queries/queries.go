// Package queries reads the PromQL out of what is deployed: Grafana's dashboards and Prometheus'
// rules. Tests hold it against running instances.
package queries

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Query is an expression and where it is from.
type Query struct {
	Where string // such as `panel "CPU", A`
	Expr  string
}

// Dashboard returns the queries of a dashboard's panels and annotations, with its variables and
// Grafana's own replaced: all instances of a job, rates over a window such as `30s`.
func Dashboard(path, job, window string) ([]Query, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var d struct {
		Panels      []panel
		Annotations struct {
			List []struct{ Name, Expr string }
		}
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	fill := strings.NewReplacer("$job", job, "$instance", ".*", "$__rate_interval", window, "$__interval", window).Replace
	var all []Query
	var walk func([]panel)
	walk = func(panels []panel) {
		for _, p := range panels {
			for _, t := range p.Targets {
				all = append(all, Query{fmt.Sprintf("panel %q, %s", p.Title, t.RefID), fill(t.Expr)})
			}
			walk(p.Panels)
		}
	}
	walk(d.Panels)
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			all = append(all, Query{fmt.Sprintf("annotation %q", a.Name), fill(a.Expr)})
		}
	}
	for _, q := range all {
		if strings.Contains(q.Expr, "$") {
			return nil, fmt.Errorf("%s: %s has a variable that nothing is known of: %s", path, q.Where, q.Expr)
		}
	}
	return all, nil
}

type panel struct {
	Title   string
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string
	}
	Panels []panel
}

// Rule is one rule of Prometheus: an alert, or a recording.
type Rule struct {
	Alert, Record, Expr string
	Annotations         map[string]string
	Labels              map[string]string
}

// Rules returns those of a file.
func Rules(path string) ([]Rule, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Groups []struct{ Rules []Rule }
	}
	if err := yaml.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var all []Rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}
