package queue_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/pubsub/internal/queue"
)

func TestAFullQueueRefusesAndForceDoesNot(t *testing.T) {
	t.Parallel()
	q := queue.New[int](2)
	for i, want := range []error{nil, nil, queue.ErrFull} {
		if err := q.Put(i); err != want {
			t.Errorf("Put %d: %v, want %v", i, err, want)
		}
	}
	if err := q.Force(9); err != nil {
		t.Errorf("Force: %v", err)
	}
	if diff := cmp.Diff([]int{0, 1, 9}, q.Take(nil)); diff != "" {
		t.Error(diff)
	}
	if err := q.Put(3); err != nil {
		t.Errorf("Put after Take: %v", err)
	}
	if diff := cmp.Diff([]int{3}, q.Close()); diff != "" {
		t.Error(diff)
	}
	if err := q.Put(4); err != queue.ErrClosed {
		t.Errorf("Put after Close: %v", err)
	}
}

func TestNoItemIsLeftWithoutAWakeUp(t *testing.T) {
	t.Parallel()
	const producers, each = 8, 5000
	q := queue.New[int](0)
	for range producers {
		go func() {
			for i := range each {
				_ = q.Put(i)
			}
		}()
	}
	var batch []int
	for got := 0; got < producers*each; {
		<-q.Wake()
		batch = q.Take(batch)
		got += len(batch)
	}
}

func TestEveryAnswerIsGivenOnceAlsoAfterTheEnd(t *testing.T) {
	t.Parallel()
	a := queue.NewAnswers()
	stop := make(chan struct{})
	var all, run sync.WaitGroup
	all.Add(3)
	a.Add(all.Done)
	run.Go(func() { a.Run(stop) })
	a.Add(all.Done)
	close(stop)
	run.Wait()
	a.Add(all.Done)
	all.Wait()
}
