package faults

import "time"

// More waits until n more messages are acknowledged.
func (w *World) More(n int) {
	w.t.Helper()
	n += w.Ledger.Count()
	w.Until("more messages are acknowledged", func() bool { return w.Ledger.Count() >= n })
}

// Sleep is a duration that belongs to the scenario.
func (w *World) Sleep(d time.Duration) { wait(w.ctx, d) }

// Healed waits until all is as before a fault that has just ended: every publisher has been
// acknowledged a message that it began since, and every subscriber has all that was acknowledged by
// then.
func (w *World) Healed() {
	w.t.Helper()
	w.fault = time.Now()
	for _, p := range w.publishers {
		w.Until("every publisher is acknowledged again", func() bool { return p.Begun().After(w.fault) || p.Err() != nil })
	}
	mark := w.Ledger.Mark()
	w.Until("every subscriber has all that was acknowledged", func() bool { return w.Ledger.Has(mark) })
	w.heal = time.Since(w.fault)
}

// Away is how many answers were `unavailable`, and how long the slowest of them took.
func (w *World) Away() (answers int64, slowest time.Duration) {
	for _, p := range w.publishers {
		answers += p.away.Load()
		slowest = max(slowest, time.Duration(p.slowest.Load()))
	}
	return answers, slowest
}

// Lost is how many connections the subscribers have lost.
func (w *World) Lost() (n int64) {
	for _, s := range w.Subscribers {
		n += s.Lost()
	}
	return n
}

// End stops the load, waits until everything has arrived and judges. Gaps told are a failure
// unless they may be.
func (w *World) End(gapsMayBe bool) Row {
	w.t.Helper()
	w.More(50)
	for _, p := range w.publishers {
		p.Stop()
	}
	w.publishing.Wait()
	mark := w.Ledger.Mark()
	w.Until("every subscriber has all that was acknowledged in the end", func() bool { return w.Ledger.Has(mark) })
	tally, complaints := w.Ledger.Tally()
	row := Row{Scenario: w.t.Name(), Seed: w.plan.Seed, Subscribers: len(w.Subscribers), Tally: tally, Heal: w.heal}
	_, row.Refused = w.Away()
	var again int64
	for _, p := range w.publishers {
		again += p.again.Load()
		if err := p.Err(); err != nil {
			w.t.Error(err)
		}
	}
	away, slowest := w.Away()
	w.t.Logf("%s\n%d connections lost, %d messages sent again, %d answers unavailable, the slowest after %v",
		row, w.Lost(), again, away, slowest)
	if tally.Wrong() > 0 || tally.Gaps > 0 && !gapsMayBe {
		w.t.Errorf("what must not be (gaps may be told: %v):", gapsMayBe)
		for _, c := range complaints {
			w.t.Log(c)
		}
	}
	return row
}
