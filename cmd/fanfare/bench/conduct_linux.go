package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// conduct takes the run through its phases up to the last delivery.
func (r *run) conduct(ctx context.Context, before sample) (Report, error) {
	rep := Report{Config: r.describe(), pids: r.PIDs}
	if err := r.gather(ctx, opening, "opening"); err != nil {
		return rep, err
	}
	opened, err := r.sample()
	if err != nil {
		return rep, err
	}
	rep.OpenSeconds = opened.at.Sub(before.at).Seconds()
	rep.account(before, opened).perAccept(r.total().opened)
	if r.Rooms > 0 {
		if err := r.gather(ctx, joining, "joining"); err != nil {
			return rep, err
		}
		joined, err := r.sample()
		if err != nil {
			return rep, err
		}
		rep.account(opened, joined).perJoin(r.total().joined)
	}
	r.enter(idling)
	if err := r.wait(ctx, r.Settle, "idle"); err != nil {
		return rep, err
	}
	idle, err := r.sample()
	if err != nil {
		return rep, err
	}
	alive := r.total().alive()
	rep.account(before, idle).idleMemory(alive)
	if alive == 0 {
		return rep, nil
	}
	if r.Idle {
		err = r.holdIdle(ctx, &rep)
	} else {
		err = r.publish(ctx, &rep)
	}
	if err == nil && r.Resume > 0 {
		err = r.resume(ctx, &rep)
	}
	if err == nil {
		err = r.wait(ctx, r.CoolDown, "cooling")
	}
	if end, sampleErr := r.sample(); sampleErr == nil {
		rep.account(before, end).endMemory(r.total().alive())
	}
	return rep, err
}

// holdIdle looks at what open sockets cost that do nothing.
func (r *run) holdIdle(ctx context.Context, rep *Report) error {
	from, err := r.sample()
	if err != nil {
		return err
	}
	stopped := r.wait(ctx, r.For, "idle")
	to, err := r.sample()
	if err != nil {
		return err
	}
	rep.Seconds = to.at.Sub(from.at).Seconds()
	rep.account(from, to).rate(rep.Seconds, 0)
	return stopped
}

// publish measures; then it waits for what is on its way.
func (r *run) publish(ctx context.Context, rep *Report) error {
	r.enter(warming)
	stopped := r.wait(ctx, r.WarmUp, "warming up")
	r.enter(measuring)
	from, err := r.sample()
	if err != nil {
		return err
	}
	before := r.total()
	if stopped == nil {
		stopped = r.wait(ctx, r.For, "measuring")
	}
	to, err := r.sample()
	if err != nil {
		return err
	}
	after := r.total()
	if r.Storm > 0 && stopped == nil {
		var arrived *run
		if arrived, stopped = r.storm(ctx, rep); arrived != nil {
			defer arrived.end()
		}
	}
	r.enter(draining)
	rep.Seconds = to.at.Sub(from.at).Seconds()
	rep.Published = after.published - before.published
	rep.Deliveries = after.delivered - before.delivered
	rep.PublishedPerSecond = float64(rep.Published) / rep.Seconds
	rep.DeliveriesPerSecond = float64(rep.Deliveries) / rep.Seconds
	rep.account(from, to).rate(rep.Seconds, rep.Deliveries)
	if r.Ingest > 0 {
		acked := after.acked - before.acked
		rep.Ingest = &Ingest{Acked: acked, AckedPerSecond: float64(acked) / rep.Seconds, CPUPerMessage: per(to.cpu-from.cpu, acked)}
	}
	r.drain()
	return stopped
}

// drain waits until all that was published has been delivered or missed, or nothing has come for
// two seconds (and if the servers go on delivering, for Config.Timeout).
func (r *run) drain() {
	const quiet = 2 * time.Second
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.Now().Add(r.Timeout)
	last, since := r.total(), time.Now()
	for now := range tick.C {
		c := r.total()
		if c.delivered != last.delivered || c.acked != last.acked {
			last, since = c, now
		}
		complete := c.closed == 0 && c.delivered+c.acked+c.lost >= r.expected()
		if complete || now.Sub(since) > quiet || now.After(limit) {
			return
		}
	}
}

// expected is the number of deliveries if all members get all messages, or of acks. Exact
// once the loops have stopped publishing, and while no member has gone.
func (r *run) expected() int64 {
	var sum int64
	for p := range r.published {
		each := int64(1) // the ack
		if r.checked() {
			each = int64(r.live[r.pubRoom[p]].Load())
		}
		sum += int64(r.published[p].Load()) * each
	}
	return sum
}

// gather begins a phase and waits until all loops have done what it is for. A loop
// gives each socket its deadline, so that this ends by itself.
func (r *run) gather(ctx context.Context, p phase, what string) error {
	r.enter(p)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for left := len(r.loops); left > 0; {
		select {
		case <-r.arrived:
			left--
		case err := <-r.failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			r.tell(what, counts{})
		}
	}
	if r.total().alive() == 0 {
		return fmt.Errorf("%s: %w: %s", what, errNoSocket, r.faultList())
	}
	return nil
}

// wait lets the loops work for a time.
func (r *run) wait(ctx context.Context, d time.Duration, what string) error {
	done := time.NewTimer(d)
	defer done.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := r.total()
	for {
		select {
		case <-done.C:
			return nil
		case err := <-r.failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			r.tell(what, last)
			last = r.total()
		}
	}
}

// tell writes one line of progress: totals, and what came since last, a second ago.
func (r *run) tell(what string, last counts) {
	c := r.total()
	var b strings.Builder
	fmt.Fprintf(&b, "%3.0fs  %-10s  %s sockets", time.Since(r.start).Seconds(), what, grouped(c.alive()))
	if c.published > 0 {
		fmt.Fprintf(&b, "  %s published/s  %s deliveries/s", grouped(c.published-last.published), grouped(c.delivered-last.delivered))
	}
	for _, n := range []struct {
		name  string
		count int64
	}{{"failed", c.failed}, {"closed", c.closed}, {"lost", c.lost}, {"duplicates", c.duplicates}, {"out of order", c.outOfOrder}} {
		if n.count > 0 {
			fmt.Fprintf(&b, "  %s %s", grouped(n.count), n.name)
		}
	}
	fmt.Fprintln(r.progress, b.String())
}
