//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/cmd/fanfare/bench"
)

func TestTheBaselineServesTheGeneratorWithoutFaults(t *testing.T) {
	t.Chdir("../..") // where build expects to be
	o := options{work: t.TempDir(), baselineOnly: true}
	if err := build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		for _, load := range []bench.Config{
			{Sockets: 50, Rate: 500},
			{Sockets: 50, Rate: -1, InFlight: 64},
			{Sockets: 60, Rooms: 7, RoomsPerSocket: 3, Rate: -1, Threads: 2},
			{Sockets: 10, Rate: 50, Size: 30_000},
			{Sockets: 300, Rooms: 200, Idle: true},
		} {
			t.Run(fmt.Sprintf("%d threads, %+v", threads, load), func(t *testing.T) {
				o := o
				o.threads = threads
				load.WarmUp, load.Settle = -1, -1
				o.duration = 200 * time.Millisecond
				rep, err := row{load: load}.once(t.Context(), o, startBaseline)
				if err != nil {
					t.Fatal(err)
				}
				if err := rep.Faults(); err != nil || !load.Idle && rep.Deliveries == 0 {
					t.Errorf("%d deliveries, faults: %v", rep.Deliveries, err)
				}
			})
		}
	}
}

func TestMediansAreShownWithThreeDigits(t *testing.T) {
	for want, v := range map[string][]float64{
		"–": nil, "2": {3, 1, 2}, "1.5": {1, 2}, "0.062": {0.0617}, "12,345": {12345.4}, "123": {123.4}, "0": {0},
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}
