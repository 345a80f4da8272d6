package loop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls on the way of a message are raw: they do not wait, so the scheduler need not know.

// writeFD sends without waiting. n is short when the kernel's buffer is full; ok is false when the
// connection is broken.
func writeFD(fd int32, p []byte) (n int, ok bool) {
	if len(p) == 0 {
		return 0, true
	}
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(r), true
		case unix.EAGAIN:
			return 0, true
		case unix.EINTR:
		default:
			return 0, false
		}
	}
}

// readFD reads without waiting; again tells that there is nothing now, n = 0 without it that the
// stream ended or broke.
func readFD(fd int32, p []byte) (n int, again bool) {
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(r), false
		case unix.EAGAIN:
			return 0, true
		case unix.EINTR:
		default:
			return 0, false
		}
	}
}

// growTable makes room for n descriptors in the process's table, up to maxTable. A table that grows while threads share it
// has the one that opens a descriptor wait until the kernel has freed the old (synchronize_rcu, some 10 ms), which would be a
// loop, at each power of two.
func growTable(n int) {
	const maxTable = 1 << 17 // 8 bytes each, of the kernel's
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	n = int(min(uint64(n), limit.Cur, maxTable))
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return
	}
	if high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, n-1); err == nil {
		closeFD(int32(high))
	}
	closeFD(int32(fd))
}

func shutdownFD(fd int32) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }

func closeFD(fd int32) { _ = unix.Close(int(fd)) }

// acceptFD takes a waiting connection; again tells that there is none.
func acceptFD(listener int32) (fd int32, again bool, err error) {
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
			return int32(r), false, nil
		case unix.EAGAIN:
			return -1, true, nil
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.EPERM:
		default:
			return -1, false, errno
		}
	}
}

// listenerFD takes a listener's descriptor for the loops. The listener stays open.
func listenerFD(ln net.Listener) (int32, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return -1, fmt.Errorf("the epoll transport needs a TCP listener, not %T", ln)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dup int
	var dupErr error
	if err := raw.Control(func(fd uintptr) {
		if dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); dupErr != nil {
			return
		}
		// Accepted sockets inherit these.
		for _, o := range []struct{ level, name, value int }{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer},
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 60_000},
		} {
			// A multipath TCP listener does not know them all.
			if err := unix.SetsockoptInt(int(fd), o.level, o.name, o.value); err != unix.ENOPROTOOPT {
				dupErr = errors.Join(dupErr, err)
			}
		}
	}); err != nil {
		return -1, err
	}
	return int32(dup), dupErr
}

// peerFD is the address of the other side.
func peerFD(fd int32) netip.AddrPort {
	sa, err := unix.Getpeername(int(fd))
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// connFD makes a net.Conn of a descriptor, which it takes over.
func connFD(fd int32) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close() // net.FileConn duplicates
	return net.FileConn(f)
}
