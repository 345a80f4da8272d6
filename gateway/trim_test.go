package gateway

import (
	"runtime"
	"testing"
)

func TestTheCollectorsPace(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, 2 << 20: 800, 5 << 20: 300, 16 << 20: 100, 1 << 30: 100} {
		if got := pace(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}

func TestMemoryGoesBackAfterABurst(t *testing.T) {
	trim := newTrimmer()
	trim.tuned = false
	burst := make([][]byte, 64)
	for i := range burst {
		burst[i] = make([]byte, 1<<20)
		burst[i][0] = 1
	}
	runtime.KeepAlive(burst)
	burst = nil
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapReleased
	trim.look(0) // busy
	for range patience - 1 {
		trim.look(0) // it waits
	}
	if trim.again != 0 {
		t.Error("it did not wait")
	}
	trim.look(0) // and acts
	runtime.ReadMemStats(&m)
	if freed := m.HeapReleased - before; int64(freed) < 32<<20 {
		t.Errorf("%d bytes went back, want most of 64 MiB", int64(freed))
	}
}
