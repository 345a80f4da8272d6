//go:build !linux

package fanfaretest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
