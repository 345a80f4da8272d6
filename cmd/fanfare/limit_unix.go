//go:build unix

package main

import (
	"syscall"

	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// defaultMaxSockets leaves room under RLIMIT_NOFILE for the process's own files and for refusals.
// Go has raised the soft limit to the hard one by now.
func defaultMaxSockets() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 10_000
	}
	files := int64(min(uint64(l.Cur), 1<<32)) // no limit is the greatest number
	return int(min(max(files-2*loop.Reserve, 64), 1_000_000))
}
