//go:build linux

package main

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

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
