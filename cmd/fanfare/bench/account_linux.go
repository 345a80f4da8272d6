package bench

import "time"

// account is what was used between two samples.
type account struct {
	rep      *Report
	cpu, own time.Duration
	memory   int64
}

func (rep *Report) account(from, to sample) account {
	return account{rep, to.cpu - from.cpu, to.own - from.own, to.memory - from.memory}
}

// server is the servers' part of the report, or nil if no process was named.
func (a account) server() *Server {
	if a.rep.Server == nil && len(a.rep.pids) > 0 {
		a.rep.Server = &Server{PIDs: a.rep.pids}
	}
	return a.rep.Server
}

// per is a time shared out, in µs.
func per(d time.Duration, n int64) float64 {
	if n == 0 {
		return 0
	}
	return us(d) / float64(n)
}

func (a account) perAccept(sockets int64) {
	if s := a.server(); s != nil {
		s.CPUPerAccept = per(a.cpu, sockets)
	}
	a.rep.Generator.CPUPerOpen = per(a.own, sockets)
}

func (a account) perJoin(sockets int64) {
	if s := a.server(); s != nil {
		s.CPUPerJoin = per(a.cpu, sockets)
	}
}

func (a account) idleMemory(sockets int64) {
	if s := a.server(); s != nil && sockets > 0 {
		s.BytesPerIdleSocket = float64(a.memory) / float64(sockets)
	}
}

func (a account) endMemory(sockets int64) {
	if s := a.server(); s != nil && sockets > 0 {
		s.BytesPerSocketAtEnd = float64(a.memory) / float64(sockets)
	}
}

// rate accounts the time that was measured.
func (a account) rate(seconds float64, deliveries int64) {
	if s := a.server(); s != nil {
		s.CPUPerDelivery = per(a.cpu, deliveries)
		s.Cores = a.cpu.Seconds() / seconds
	}
	a.rep.Generator.CPUPerDelivery = per(a.own, deliveries)
	a.rep.Generator.Cores = a.own.Seconds() / seconds
}
