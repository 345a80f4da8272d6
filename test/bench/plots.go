//go:build linux

package main

import (
	"encoding/json"
	"math"
	"os"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

// plot is one picture, as test/bench/plot draws it.
type plot struct {
	File   string   `json:"file"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x,omitempty"`
	LogY   bool     `json:"log_y,omitempty"`
	Steps  bool     `json:"steps,omitempty"` // a histogram: no marks
	Series []series `json:"series"`
}

type series struct {
	Name   string       `json:"name"`
	Points [][2]float64 `json:"points"`
}

// add puts a point in, unless it was not measured.
func (s *series) add(x, y float64) {
	if !math.IsNaN(x) && !math.IsNaN(y) && x > 0 {
		s.Points = append(s.Points, [2]float64{x, y})
	}
}

func savePlots(name string, res results) error {
	b, err := json.Marshal(plots(res))
	if err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// plots is all pictures of the page.
func plots(res results) []plot {
	all := []plot{againstLoad(res)}
	for _, p := range []struct {
		plot
		group, unit string
		sizes       []int
	}{
		{plot{File: "cpu-sockets.svg", Title: "CPU a delivery against sockets", X: "sockets in one room, 50,000 deliveries/s"}, socketGrowth, "sockets", socketSizes},
		{plot{File: "cpu-rooms.svg", Title: "CPU a delivery against rooms", X: "rooms of ten members, 20,000 deliveries/s", LogX: true}, roomGrowth, "rooms", roomSizes},
	} {
		p.Y = "CPU µs a delivery"
		for _, on := range []string{"baseline", "fanfare"} {
			p.Series = append(p.Series, growthSeries(res.group(p.group), on, "CPU", p.unit, p.sizes))
		}
		all = append(all, p.plot)
	}
	return append(all, latencies(res), memories(res))
}

func growthSeries(g groupResult, on, figure, unit string, sizes []int) series {
	s := series{Name: on}
	for _, n := range sizes {
		s.add(float64(n), g.medianOf(amount(n, unit)+": "+on, figure))
	}
	return s
}

func againstLoad(res results) plot {
	p := plot{File: "cpu-load.svg", Title: "CPU a delivery against load, one room of 1,000 sockets", X: "deliveries/s", Y: "CPU µs a delivery", LogX: true, LogY: true}
	g := res.group(fanout().name)
	for _, on := range []string{"baseline", "epoll", "io_uring", "two on Redis"} {
		s := series{Name: on}
		for _, at := range []string{"5/s", "20/s", "50/s", "32 in flight", "256 in flight"} {
			s.add(g.medianOf(at+": "+on, "deliveries/s"), g.medianOf(at+": "+on, "CPU"))
		}
		p.Series = append(p.Series, s)
	}
	return p
}

// latencies is the histogram at half load, in bars of an eighth of a doubling.
func latencies(res results) plot {
	p := plot{File: "latency.svg", Title: "Publish to receive at half load", X: "µs", Y: "% of deliveries", LogX: true, Steps: true}
	for _, l := range res.group(latency().name).Loads {
		p.Series = append(p.Series, series{Name: l.Name, Points: bars(l.Latencies)})
	}
	return p
}

func bars(h []bench.Bucket) (points [][2]float64) {
	var sum float64
	for _, b := range h {
		sum += float64(b.Count)
	}
	for _, b := range h {
		points = append(points, [2]float64{b.UpTo, 100 * float64(b.Count) / sum})
	}
	return points
}

func memories(res results) plot {
	p := plot{File: "memory.svg", Title: "User memory against idle sockets, all in one room", X: "sockets", Y: "MiB"}
	for _, on := range []string{"baseline", "fanfare"} {
		s := growthSeries(res.group(socketGrowth), on, "bytes idle", "sockets", socketSizes)
		for i := range s.Points {
			s.Points[i][1] *= s.Points[i][0] / (1 << 20)
		}
		p.Series = append(p.Series, s)
	}
	return p
}
