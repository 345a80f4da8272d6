package faults_test

import (
	"testing"

	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestInstanceKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(3, redis.URL)})
	for range 2 {
		w.More(100 + w.Rand.IntN(100))
		i := w.Rand.IntN(3)
		w.Instance(i).Kill()
		w.More(50 + w.Rand.IntN(100))
		w.StartInstance(i)
	}
	w.Healed()
	end(t, w, noGaps)
}

func TestRollingRestart(t *testing.T) {
	t.Parallel()
	redis := redistest.StartProcess(t)
	w := begin(t, faults.Plan{Redis: urls(3, redis.URL), Args: []string{"--drain", "2s"}})
	for _, i := range w.Rand.Perm(3) {
		w.More(100)
		w.Instance(i).Stop()
		w.StartInstance(i)
	}
	w.Healed()
	end(t, w, noGaps)
}
