package loop

import "time"

// event is what a poller reports.
type event struct {
	ref                          Ref
	listener, readable, writable bool
}

// poller is where a loop waits. All but wake are called on the loop's goroutine.
type poller interface {
	// poll fills events without waiting and says how many.
	poll(events []event) int
	// wait is poll that parks the goroutine until there is something or wake was called.
	wait(events []event) int
	// waitUntil is wait that ends at t, or sooner.
	waitUntil(events []event, t time.Time) int
	// wake ends a wait, the present one or the next.
	wake()
	// add, modify and remove keep the set of descriptors.
	add(fd int32, r Ref) error
	modify(fd int32, r Ref, writable bool) error
	remove(fd int32)
	// listen reports connections that wait on a listening descriptor; ignore stops that.
	listen(fd int32) error
	ignore(fd int32)
	close()
}

// chanPoller serves loops that have no descriptors: all comes through the inbox.
type chanPoller chan struct{}

func newChanPoller() chanPoller { return make(chanPoller, 1) }

func (p chanPoller) poll([]event) int { return 0 }
func (p chanPoller) wait([]event) int { <-p; return 0 }
func (p chanPoller) waitUntil(_ []event, t time.Time) int {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-p:
	case <-timer.C:
	}
	return 0
}
func (p chanPoller) wake() {
	select {
	case p <- struct{}{}:
	default:
	}
}
func (p chanPoller) add(int32, Ref) error          { panic("loop: no descriptors here") }
func (p chanPoller) modify(int32, Ref, bool) error { panic("loop: no descriptors here") }
func (p chanPoller) listen(int32) error            { panic("loop: no descriptors here") }
func (p chanPoller) remove(int32)                  {}
func (p chanPoller) ignore(int32)                  {}
func (p chanPoller) close()                        {}
