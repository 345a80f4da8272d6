package loop

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is an io_uring (io_uring(7)) that is used for one thing: to send to many sockets in one
// system call. It belongs to one loop.
//
// A send of it is what writeFD is: it takes what fits into the socket's buffer and never waits.
// MSG_DONTWAIT has the kernel finish it while it is submitted, so all results are there when submit
// returns, and memory need be kept only until then. MSG_WAITALL makes a short send a failure, which
// tells its length; IOSQE_CQE_SKIP_SUCCESS keeps those that took everything from being told at all.
type ring struct {
	fd      int
	memory  [2][]byte // mapped: both queues; the submission entries
	sqTail  *uint32   // written here, read by the kernel within a submit
	sqMask  uint32
	sqes    []sqe
	cqHead  *uint32 // written here
	cqTail  *uint32 // written by the kernel
	cqMask  uint32
	cqes    []cqe
	results []cqe // scratch: failures of the last submit
}

// sqe and cqe are io_uring_sqe and io_uring_cqe of linux/io_uring.h.
type sqe struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64
	addr          uint64
	len           uint32
	opFlags       uint32
	userData      uint64
	_             [3]uint64
}

type cqe struct {
	userData uint64
	res      int32
	flags    uint32
}

// ringParams is io_uring_params.
type ringParams struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFD uint32
	_                                                                      [3]uint32
	sq                                                                     struct {
		head, tail, ringMask, ringEntries, flags, dropped, array, _ uint32
		_                                                           uint64
	}
	cq struct {
		head, tail, ringMask, ringEntries, overflow, cqes, flags, _ uint32
		_                                                           uint64
	}
}

// Of linux/io_uring.h.
const (
	setupSubmitAll          = 1 << 7 // go on after an entry that fails
	setupCoopTaskrun        = 1 << 8 // no interrupts for completions, which are seen at the next submit
	featureSingleMmap       = 1 << 0
	featureCQESkip          = 1 << 11
	opSend                  = 26
	sqeSkipSuccess          = 1 << 6
	offsetSQRing            = 0
	offsetSQEs              = 0x10000000
	sendFlags               = unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT | unix.MSG_WAITALL
	sizeofSQE               = unsafe.Sizeof(sqe{})
	sizeofCQE               = unsafe.Sizeof(cqe{})
	ringEntries             = maxBatch
	errnoNotSent      int32 = -int32(unix.EAGAIN)
)

// newRing makes a ring, and tries it on a pair of sockets: it is an error if the kernel, a seccomp
// profile or a sysctl (kernel.io_uring_disabled) does not let it do all that is said above.
func newRing() (*ring, error) {
	p := ringParams{flags: setupSubmitAll | setupCoopTaskrun}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, ringEntries, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	unix.CloseOnExec(int(fd))
	r := &ring{fd: int(fd), results: make([]cqe, 0, ringEntries)}
	if p.features&featureSingleMmap == 0 || p.features&featureCQESkip == 0 {
		r.close()
		return nil, errors.New("io_uring: Linux 5.17 or newer is needed")
	}
	if err := r.mapQueues(&p); err != nil {
		r.close()
		return nil, err
	}
	if err := r.try(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ring) mapQueues(p *ringParams) error {
	size := max(uintptr(p.sq.array)+uintptr(p.sqEntries)*4, uintptr(p.cq.cqes)+uintptr(p.cqEntries)*sizeofCQE)
	for i, m := range []struct {
		offset int64
		size   uintptr
	}{{offsetSQRing, size}, {offsetSQEs, uintptr(p.sqEntries) * sizeofSQE}} {
		var err error
		r.memory[i], err = unix.Mmap(r.fd, m.offset, int(m.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return fmt.Errorf("mapping an io_uring: %w", err)
		}
	}
	at := func(offset uint32) unsafe.Pointer { return unsafe.Pointer(&r.memory[0][offset]) }
	r.sqTail, r.sqMask = (*uint32)(at(p.sq.tail)), *(*uint32)(at(p.sq.ringMask))
	r.cqHead, r.cqTail = (*uint32)(at(p.cq.head)), (*uint32)(at(p.cq.tail))
	r.cqMask = *(*uint32)(at(p.cq.ringMask))
	r.cqes = unsafe.Slice((*cqe)(at(p.cq.cqes)), p.cqEntries)
	r.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&r.memory[1][0])), p.sqEntries)
	array := unsafe.Slice((*uint32)(at(p.sq.array)), p.sqEntries)
	for i := range array { // entry i is always at place i
		array[i] = uint32(i)
	}
	return nil
}

// minBatch is from how many sends on a ring is cheaper than a system call each (BenchmarkSend).
const minBatch = 3

// send sends a batch, in its order, and fills in what became of each. It does not wait.
func (r *ring) send(batch []outgoing) {
	if len(batch) < minBatch {
		sendEach(batch)
		return
	}
	tail := atomic.LoadUint32(r.sqTail)
	for i := range batch {
		o := &batch[i]
		o.n, o.broken = len(o.data), false
		r.sqes[(tail+uint32(i))&r.sqMask] = sqe{
			opcode: opSend, flags: sqeSkipSuccess, fd: o.socket.fd,
			addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(o.data)))), len: uint32(len(o.data)),
			opFlags: sendFlags, userData: uint64(i),
		}
	}
	atomic.StoreUint32(r.sqTail, tail+uint32(len(batch)))
	taken, err := r.submit(len(batch))
	if taken < len(batch) { // the kernel is out of memory, say: take the rest back
		atomic.StoreUint32(r.sqTail, tail+uint32(taken))
	}
	for _, c := range r.results {
		o := &batch[c.userData]
		switch {
		case c.res >= 0:
			o.n = int(c.res)
		case c.res == errnoNotSent || c.res == -int32(unix.EINTR):
			o.n = 0
		default:
			o.n, o.broken = 0, true
		}
	}
	if err != nil || taken < len(batch) {
		sendEach(batch[taken:])
	}
	runtime.KeepAlive(batch)
}

// submit has the kernel take n entries, and reads the results into r.results.
func (r *ring) submit(n int) (taken int, err error) {
	for {
		t, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(n), 0, 0, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			err = errno
		} else {
			taken = int(t)
		}
		break
	}
	r.results = r.results[:0]
	head, tail := atomic.LoadUint32(r.cqHead), atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		r.results = append(r.results, r.cqes[head&r.cqMask])
	}
	atomic.StoreUint32(r.cqHead, head)
	return taken, err
}

// try sees to it that sends work as they have to: what fits is sent without a word, a short send
// tells how short, and so does one that sends nothing.
func (r *ring) try() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("trying an io_uring: %w", err)
	}
	defer closeFD(int32(pair[1]))
	defer closeFD(int32(pair[0]))
	s := &Socket{fd: int32(pair[0])}
	small, large := []byte("probe"), make([]byte, 4<<20) // more than a socket's buffer holds
	batch := []outgoing{{socket: s, data: small}, {socket: s, data: large}, {socket: s, data: small}}
	r.send(batch)
	got := make([]byte, len(small))
	n, _ := readFD(int32(pair[1]), got)
	switch {
	case batch[0].broken || batch[0].n != len(small) || n != len(small) || string(got) != string(small):
		return errors.New("io_uring: sending does not work here")
	case batch[1].broken || batch[1].n <= 0 || batch[1].n >= len(large) || batch[2].broken || batch[2].n >= len(small):
		return errors.New("io_uring: short sends are not told here: Linux 6.0 or newer is needed")
	}
	return nil
}

func (r *ring) close() {
	for _, m := range r.memory {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	_ = unix.Close(r.fd)
}
