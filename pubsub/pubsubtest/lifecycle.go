package pubsubtest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
)

func beforeRun(t *testing.T, c Cluster) {
	b := c.New(t, retentions, 0)
	errs := make(chan error, 3)
	b.Subscribe(pubsub.Room("kept"), func(_ pubsub.Position, err error) { errs <- err })
	b.Publish(pubsub.Message{Target: pubsub.Room("kept")}, func(_ pubsub.Receipt, err error) { errs <- err })
	b.Read("kept", pubsub.Query{}, func(_ pubsub.History, err error) { errs <- err })
	Start(t, b)
	for range 3 {
		select {
		case err := <-errs:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(Patience):
			t.Fatal("not answered")
		}
	}
}

func afterRun(t *testing.T, c Cluster) {
	i := Start(t, c.New(t, retentions, 0))
	i.Subscribe(pubsub.Room("kept"))
	i.Stop()
	if _, err := i.TryPublish(pubsub.Message{Target: pubsub.Room("kept")}); !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("publish: %v, want ErrClosed", err)
	}
	_, err := call(t, "subscribe", func(done func(pubsub.Position, error)) { i.Broker.Subscribe(pubsub.Room("x"), done) })
	if !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("subscribe: %v, want ErrClosed", err)
	}
	_, err = call(t, "read", func(done func(pubsub.History, error)) { i.Broker.Read("x", pubsub.Query{}, done) })
	if !errors.Is(err, pubsub.ErrClosed) {
		t.Errorf("read: %v, want ErrClosed", err)
	}
	i.Broker.Unsubscribe(pubsub.Room("kept"))
}

// everyCallback ends Run while calls come in: each is answered once, and none while it is made.
func everyCallback(t *testing.T, c Cluster) {
	i := Start(t, c.New(t, retentions, 0))
	const callers, each = 4, 400
	var answers atomic.Int64
	var open, callersDone sync.WaitGroup
	half := make(chan struct{})
	for caller := range callers {
		callersDone.Go(func() {
			for n := range each {
				if caller == 0 && n == each/2 {
					close(half)
				}
				open.Add(1)
				var once atomic.Bool
				var lock sync.Mutex // held by the caller: a callback inside the call would hang
				done := func(err error) {
					lock.Lock()
					defer lock.Unlock()
					if err != nil && !errors.Is(err, pubsub.ErrClosed) && !errors.Is(err, pubsub.ErrUnavailable) {
						t.Errorf("answered with %v", err)
					}
					if once.Swap(true) {
						t.Error("answered twice")
						return
					}
					answers.Add(1)
					open.Done()
				}
				lock.Lock()
				switch n % 4 {
				case 0:
					i.Broker.Subscribe(pubsub.User("u"), func(_ pubsub.Position, err error) { done(err) })
				case 1:
					i.Broker.Read("kept", pubsub.Query{Last: 3}, func(_ pubsub.History, err error) { done(err) })
				case 2:
					i.Broker.Unsubscribe(pubsub.User("u"))
					fallthrough
				default:
					i.Broker.Publish(pubsub.Message{Target: pubsub.Room("kept")}, func(_ pubsub.Receipt, err error) { done(err) })
				}
				lock.Unlock()
			}
		})
	}
	<-half
	i.Stop()
	callersDone.Wait()
	all := make(chan struct{})
	go func() { open.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(Patience):
		t.Fatalf("%d of %d callbacks were answered", answers.Load(), callers*each)
	}
}

func fullQueue(t *testing.T, c Cluster) {
	const queue, calls = 10, 100
	b := c.New(t, retentions, queue) // not running: nothing leaves the queue
	errs := make(chan error, 3*calls)
	began := time.Now()
	for range calls {
		b.Publish(pubsub.Message{Target: pubsub.Room("kept")}, func(_ pubsub.Receipt, err error) { errs <- err })
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("publishing took %v", d)
	}
	i := Start(t, b)
	refused := 0
	for range calls {
		select {
		case err := <-errs:
			if errors.Is(err, pubsub.ErrUnavailable) {
				refused++
			} else if err != nil {
				t.Error(err)
			}
		case <-time.After(Patience):
			t.Fatal("not answered")
		}
	}
	if refused != calls-queue {
		t.Errorf("%d of %d were refused, want %d", refused, calls, calls-queue)
	}
	i.Text("kept", "there is room again")
}

func reentrant(t *testing.T, c Cluster) {
	i := Start(t, c.New(t, retentions, 0))
	end := make(chan error, 1)
	i.Broker.Subscribe(pubsub.Room("kept"), func(_ pubsub.Position, err error) {
		i.Broker.Publish(pubsub.Message{Target: pubsub.Room("kept")}, func(_ pubsub.Receipt, err error) {
			i.Broker.Read("kept", pubsub.Query{}, func(_ pubsub.History, err error) {
				i.Broker.Unsubscribe(pubsub.Room("kept"))
				end <- err
			})
		})
	})
	select {
	case err := <-end:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(Patience):
		t.Fatal("not answered")
	}
}
