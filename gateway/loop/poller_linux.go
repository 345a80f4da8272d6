package loop

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// epollPoller is an epoll set, level-triggered. Its descriptor is itself watched by Go's poller, so
// that a loop that waits holds no thread and no P (a blocking epoll_wait would: golang/go#76290).
type epollPoller struct {
	fd     int
	wakeFD int
	file   *os.File
	raw    syscall.RawConn
	events []unix.EpollEvent
}

const (
	wakeSlot     = -1 // epoll data of the eventfd
	listenerSlot = -2
)

func newEpollPoller() (poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	// Edge-triggered: it need never be read.
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: wakeSlot}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wakeFD, &ev); err != nil {
		unix.Close(fd)
		unix.Close(wakeFD)
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os.NewFile uses Go's poller
		unix.Close(fd)
		unix.Close(wakeFD)
		return nil, fmt.Errorf("fcntl: %w", err)
	}
	p := &epollPoller{fd: fd, wakeFD: wakeFD, file: os.NewFile(uintptr(fd), "epoll"), events: make([]unix.EpollEvent, 256)}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.close()
		return nil, fmt.Errorf("epoll in Go's poller: %w", err)
	}
	return p, nil
}

func (p *epollPoller) poll(events []event) int {
	n, _ := p.pollAny(events)
	return n
}

// pollAny also tells whether there was anything, a wake being no event.
func (p *epollPoller) pollAny(events []event) (filled int, any bool) {
	raw := p.events[:min(len(p.events), len(events))]
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&raw[0])), uintptr(len(raw)), 0, 0, 0)
	if errno != 0 {
		return 0, false // EINTR; nothing else can happen
	}
	for _, e := range raw[:n] {
		switch e.Fd {
		case wakeSlot:
		case listenerSlot:
			events[filled] = event{listener: true}
			filled++
		default:
			events[filled] = event{
				ref:      Ref{uint32(e.Fd), uint32(e.Pad)},
				readable: e.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0,
				writable: e.Events&unix.EPOLLOUT != 0,
			}
			filled++
		}
	}
	return filled, n > 0
}

func (p *epollPoller) wait(events []event) (n int) {
	woken := false
	// The function is called at once, since what is ready now would not make the set turn readable
	// again, and then each time it did.
	_ = p.raw.Read(func(uintptr) bool {
		var any bool
		n, any = p.pollAny(events)
		done := any || woken
		woken = true
		return done
	})
	return n
}

func (p *epollPoller) waitUntil(events []event, t time.Time) (n int) {
	if p.file.SetReadDeadline(t) != nil {
		return p.poll(events)
	}
	n = p.wait(events)
	_ = p.file.SetReadDeadline(time.Time{})
	return n
}

func (p *epollPoller) wake() {
	one := [8]byte{1}
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(p.wakeFD), uintptr(unsafe.Pointer(&one[0])), 8)
}

func (p *epollPoller) add(fd int32, r Ref) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(r.slot), Pad: int32(r.gen)}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &ev)
}

func (p *epollPoller) modify(fd int32, r Ref, writable bool) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(r.slot), Pad: int32(r.gen)}
	if writable {
		ev.Events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, int(fd), &ev)
}

// remove is needed although closing a descriptor removes it: another may refer to the same file.
func (p *epollPoller) remove(fd int32) {
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(fd), nil)
}

func (p *epollPoller) listen(fd int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE, Fd: listenerSlot}
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(fd), &ev)
}

func (p *epollPoller) ignore(fd int32) { p.remove(fd) }

func (p *epollPoller) close() {
	p.file.Close()
	unix.Close(p.wakeFD)
}
