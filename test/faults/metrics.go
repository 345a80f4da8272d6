package faults

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
)

// Metric adds up a metric, given with its labels as Prometheus writes them, over all instances.
func (w *World) Metric(name string) (sum float64) {
	for i := range w.plan.Redis {
		ctx, cancel := context.WithTimeout(w.ctx, dialTimeout)
		sum += metric(ctx, w.Instance(i).OpsURL+"metrics", name)
		cancel()
	}
	return sum
}

// metric is 0 when it cannot be had.
func metric(ctx context.Context, url, name string) float64 {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, _ := strconv.ParseFloat(value, 64)
			return v
		}
	}
	return 0
}
