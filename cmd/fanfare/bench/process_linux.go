package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sample is what the servers and this process have used up to a moment.
type sample struct {
	at     time.Time
	own    time.Duration // CPU of this process
	cpu    time.Duration // CPU of the servers, all threads, user and system
	memory int64         // anonymous resident bytes of the servers
}

func (r *run) sample() (sample, error) {
	s := sample{at: time.Now()}
	var err error
	if s.own, err = clockOf(unix.CLOCK_PROCESS_CPUTIME_ID); err != nil {
		return s, err
	}
	for _, pid := range r.PIDs {
		cpu, err := clockOf(cpuClock(pid))
		if err != nil {
			return s, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
		}
		memory, err := memoryOf(pid)
		if err != nil {
			return s, err
		}
		s.cpu += cpu
		s.memory += memory
	}
	return s, nil
}

// cpuClock is the clock of a process's CPU time, as clock_getcpuclockid(3) makes it: the same
// time as utime + stime of /proc/PID/stat, in ns instead of ticks of 10 ms.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

func clockOf(id int32) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(ts.Nano()), nil
}

// memoryOf reads RssAnon: what a process has in memory, without files and shared memory.
func memoryOf(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if value, ok := bytes.CutPrefix(line, []byte("RssAnon:")); ok {
			kb, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no RssAnon in %s", name)
}
