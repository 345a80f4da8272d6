package redistest_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestAServerAnswers(t *testing.T) {
	t.Parallel()
	if err := redistest.Start(t).Client(t).Ping(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessCanBeStoppedPausedAndRestarted(t *testing.T) {
	t.Parallel()
	s := redistest.StartProcess(t)
	c := s.Client(t).WithTimeout(200 * time.Millisecond)
	ping := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return c.Ping(ctx).Err()
	}
	if err := ping(); err != nil {
		t.Fatalf("started: %v", err)
	}
	s.Pause(t)
	if ping() == nil {
		t.Error("a paused server answers")
	}
	s.Resume(t)
	if err := ping(); err != nil {
		t.Errorf("resumed: %v", err)
	}
	s.Stop(t)
	if ping() == nil {
		t.Error("a stopped server answers")
	}
	s.Restart(t)
	if err := ping(); err != nil {
		t.Errorf("restarted: %v", err)
	}
}

func TestASentinelReplacesAMasterThatIsGone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	master := redistest.StartProcess(t)
	replica := redistest.StartReplica(t, master)
	sentinel := redistest.StartSentinel(t, "mymaster", master, 1).Client(t)
	master.Stop(t)
	want := strings.Split(replica.Addr, ":")
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		at, err := sentinel.Do(ctx, "sentinel", "get-master-addr-by-name", "mymaster").StringSlice()
		if err == nil && slices.Equal(at, want) {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the master is still %v (%v)", at, err)
		}
	}
}

func TestASlotOfAClusterCanBeMoved(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := redistest.StartCluster(t, 3, 1)
	slot := c.Slot(t, 5)
	from := c.Owner(t, slot)
	if err := from.Client(t).Set(ctx, "a{5}", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	to := c.Masters[0]
	if to == from {
		to = c.Masters[1]
	}
	c.Move(t, slot, to, nil)
	if got := to.Client(t).Get(ctx, "a{5}").Val(); got != "x" || c.Owner(t, slot) != to {
		t.Errorf("the new owner has %q", got)
	}
}
