package bench

import (
	"context"
	"strconv"
	"time"
)

// resume lets every member join its first room again and ask for history, as clients do that
// all come back at once.
func (r *run) resume(ctx context.Context, rep *Report) error {
	from, err := r.sample()
	if err != nil {
		return err
	}
	if err := r.gather(ctx, resuming, "resuming"); err != nil {
		return err
	}
	last := r.untilQuiet(func(c counts) int64 { return c.replayed })
	to, err := r.sample()
	if err != nil {
		return err
	}
	c := r.total()
	rep.Resume = &Resume{Members: c.rejoined, Messages: c.replayed, Seconds: last.Sub(from.at).Seconds(),
		CPUPerMessage: per(to.cpu-from.cpu, c.replayed)}
	return nil
}

// untilQuiet waits until a count has not grown for half a second, at most for Config.Timeout, and
// returns when it last grew.
func (r *run) untilQuiet(of func(counts) int64) time.Time {
	const quiet = 500 * time.Millisecond
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	last, since := of(r.total()), began
	for now := range tick.C {
		if n := of(r.total()); n != last {
			last, since = n, now
		}
		if now.Sub(since) > quiet || now.Sub(began) > r.Timeout {
			break
		}
	}
	return since
}

// rejoinAll asks for the first room of all members again.
func (l *loop) rejoinAll() {
	for i := range l.sockets {
		s := &l.sockets[i]
		if s.state != open || !s.member {
			continue
		}
		l.waiting++
		s.since = l.now
		s.joins = 1
		l.queue(s, opText, []byte(`{"type":"join","room":"`+l.r.rooms[s.room]+`","id":1,"last":`+strconv.Itoa(l.r.Resume)+`}`))
	}
}

// rejoined: a member's room has answered.
func (l *loop) rejoined(s *socket) {
	s.joins = 0
	l.counts.rejoined++
	l.settled()
}

// replay counts a message of the history. What was live is checked; this is only looked at.
func (l *loop) replay(st stamp) {
	if st.run != l.r.id {
		l.counts.strays++
		return
	}
	l.counts.replayed++
}
