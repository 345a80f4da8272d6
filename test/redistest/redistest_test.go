package redistest_test

import (
	"context"
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
