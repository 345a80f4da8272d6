//go:build linux

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine describes where this runs, without its name.
func machine() []string {
	m := []string{strconv.Itoa(runtime.NumCPU()) + " × " + after("/proc/cpuinfo", "model name")}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m = append(m, unix.ByteSliceToString(u.Sysname[:])+" "+unix.ByteSliceToString(u.Release[:])+" "+unix.ByteSliceToString(u.Machine[:]))
	}
	if kb, err := strconv.Atoi(strings.TrimSuffix(after("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m = append(m, strconv.Itoa((kb+1<<19)>>20)+" GiB of memory")
	}
	m = append(m, runtime.Version())
	for _, c := range [][]string{{"gcc", "-dumpfullversion"}, {"redis-server", "--version"}} {
		if out, err := exec.Command(c[0], c[1:]...).Output(); err == nil {
			words := strings.Fields(string(out))
			version := words[0]
			for _, w := range words {
				if v, ok := strings.CutPrefix(w, "v="); ok {
					version = v
				}
			}
			m = append(m, c[0]+" "+version)
		}
	}
	return m
}

// after is what a file like those in /proc has after the first line that begins with key.
func after(file, key string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// commit is what is measured, as git describes it.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// use is CPU time up to a moment.
type use struct {
	at        time.Time
	all, ours time.Duration // of the whole machine; of this process and the servers
}

// ticks is how many of the kernel's clock ticks make a second, USER_HZ.
const ticks = 100

// readUse reads the clocks; what cannot be read counts as nothing.
func readUse(s *servers) use {
	u := use{at: time.Now()}
	var spent int64
	for _, i := range []int{0, 1, 2, 7} { // user, nice, system, steal: proc_stat(5)
		spent += field("/proc/stat", "cpu ", i)
	}
	u.all = time.Duration(spent) * time.Second / ticks
	var own unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) == nil {
		u.ours = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
	for _, p := range s.procs {
		name := "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat"
		u.ours += time.Duration(field(name, ") ", 11)+field(name, ") ", 12)) * time.Second / ticks // utime, stime
	}
	return u
}

// field is the nth number of those after mark in a file.
func field(file, mark string, n int) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), mark)
	if words := strings.Fields(rest); n < len(words) {
		v, _ := strconv.ParseInt(words[n], 10, 64)
		return v
	}
	return 0
}

// others is how many cores other programs had since began.
func (u use) others(began use) float64 {
	return max(0, (u.all-began.all-(u.ours-began.ours)).Seconds()/u.at.Sub(began.at).Seconds())
}
