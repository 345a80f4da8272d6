//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"
)

// get is the body of what a URL answers, which must be 200.
func get(url string) ([]byte, error) {
	c := &http.Client{Timeout: 10 * time.Second}
	res, err := c.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, body)
	}
	return body, err
}

// sample is one value that a query returned.
type sample struct {
	labels map[string]string
	value  float64
}

// query asks Prometheus for the newest values.
func (p *project) query(expr string) ([]sample, error) {
	body, err := get("http://" + p.address("prometheus", 9090) + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	var all []sample
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, sample{r.Metric, v})
	}
	return all, nil
}

// target is something that Prometheus scrapes.
type target struct {
	Labels    map[string]string
	Health    string
	LastError string
}

func (p *project) targets(t *testing.T, job string) (of []target) {
	t.Helper()
	body, err := get("http://" + p.address("prometheus", 9090) + "/api/v1/targets?state=active")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data struct{ ActiveTargets []target }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Data.ActiveTargets {
		if a.Labels["job"] == job {
			of = append(of, a)
		}
	}
	return of
}

// firing lists the alerts that fire.
func (p *project) firing(t *testing.T) []string {
	t.Helper()
	all, err := p.query(`ALERTS{alertstate="firing"}`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.labels["alertname"])
	}
	return names
}
