package bench

import (
	"context"
	"runtime"

	"golang.org/x/sys/unix"
)

// storm opens Config.Storm more sockets at once while publishing goes on. They come from a loop
// of their own and stay open; the caller ends the run that is returned.
func (r *run) storm(ctx context.Context, rep *Report) (*run, error) {
	cfg := Config{URLs: r.URLs, Token: r.Token, Users: r.Users, Key: r.Key, Sockets: r.Storm, Rooms: -1, Idle: true,
		Connects: r.Storm, Timeout: r.Timeout}
	s, err := newRun(cfg.withDefaults(), r.progress)
	if err != nil {
		return nil, err
	}
	s.elsewhere = true
	s.begin()
	r.enter(storming)
	from, err := r.sample()
	before := r.total()
	if err == nil {
		err = s.gather(ctx, opening, "storm")
	}
	to, sampleErr := r.sample()
	if err == nil {
		err = sampleErr
	}
	c := s.total()
	rep.Storm = &Storm{Sockets: c.opened, Failed: c.failed, Seconds: to.at.Sub(from.at).Seconds(),
		Deliveries: r.total().delivered - before.delivered, CPUPerAccept: per(to.cpu-from.cpu, c.opened)}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for reason, n := range s.faults {
		r.faults["storm: "+reason] += n
	}
	return s, err
}

// hurry lets the loop's thread go before others, where that is permitted (it takes CAP_SYS_NICE):
// what is seen during the storm is to be the server's delay and not that of the sockets which this
// process opens meanwhile. The thread ends with the goroutine.
func (l *loop) hurry() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -10)
}

// stepBack has the loop's thread run only while nobody else wants its core (sched(7), SCHED_IDLE): it stands for
// other machines, whose CPU is not the server's. The thread ends with the goroutine.
func (l *loop) stepBack() {
	runtime.LockOSThread()
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
}
