package redis

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// conn reads and writes without telling the scheduler, as loops do: neither call waits, the descriptor being
// non-blocking. Told, it has its monitor look every 20 µs whether a call lasts, for milliseconds after each, which was a tenth of
// an instance's CPU; and it gives the call's processor away where the kernel is busy for that long with the packet.
type conn struct {
	*net.TCPConn
	in, out half
	look    syscall.RawConn
}

// half is one direction. What call needs and brings is in here, and not in a closure made for each call.
type half struct {
	mu     sync.Mutex
	wait   func(func(fd uintptr) bool) error // the raw connection's; calls until true is returned, waiting in between
	number uintptr                           // of the system call
	flags  uintptr
	ready  func(fd uintptr) bool // call, as a value
	p      []byte                // guarded by mu, like all below
	n      int
	errno  syscall.Errno
}

func unscheduled(c *net.TCPConn) (net.Conn, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	u := &conn{TCPConn: c, look: look{raw}}
	u.in.number, u.in.wait = unix.SYS_RECVFROM, raw.Read
	u.out.number, u.out.wait, u.out.flags = unix.SYS_SENDTO, raw.Write, unix.MSG_NOSIGNAL
	u.in.ready, u.out.ready = u.in.call, u.out.call
	return u, nil
}

// call reads or writes once, and reports false if it is to wait.
func (h *half) call(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(h.number, fd, uintptr(unsafe.Pointer(&h.p[0])), uintptr(len(h.p)), unix.MSG_DONTWAIT|h.flags, 0, 0)
		switch errno {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		h.n, h.errno = int(n), errno
		return true
	}
}

// do makes the call once there is something to read, or room; p is not empty.
func (h *half) do(op string, p []byte) (int, error) {
	h.p = p
	err := h.wait(h.ready)
	h.p = nil
	if err != nil {
		return 0, err
	}
	if h.errno != 0 {
		return 0, &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(op, h.errno)}
	}
	return h.n, nil
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	n, err := c.in.do("read", p)
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, err
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (written int, err error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	for written < len(p) && err == nil {
		var n int
		n, err = c.out.do("write", p[written:])
		written += n
	}
	return written, err
}

// SyscallConn is what go-redis uses to see, before each use, whether a connection is as it should be.
func (c *conn) SyscallConn() (syscall.RawConn, error) { return c.look, nil }

// look is a raw connection that does not ask to read where there is nothing: neither data nor an end.
type look struct{ syscall.RawConn }

// Read calls f, if there is something to read.
func (l look) Read(f func(fd uintptr) bool) error {
	nothing := false
	if err := l.RawConn.Control(func(fd uintptr) {
		var b [1]byte
		_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b[0])), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		nothing = errno == unix.EAGAIN
	}); err != nil || nothing {
		return err
	}
	return l.RawConn.Read(f)
}
