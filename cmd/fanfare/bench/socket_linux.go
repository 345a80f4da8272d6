package bench

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// state is how far a socket has come; it only grows.
type state uint8

const (
	unopened   state = iota
	connecting       // TCP handshake
	upgrading        // HTTP request sent
	welcoming        // 101 read, the welcome is awaited
	open
	ended
)

// socket is one client. Owned by its loop.
type socket struct {
	fd     int32
	number int32 // among all sockets of the run
	index  int32 // among its loop's
	room   int32 // the first of its rooms; the others follow
	state  state
	member bool  // all its rooms have answered
	deaf   bool  // it reads nothing, on purpose
	joins  int32 // answers still to come
	events uint32
	since  int64 // when it began to connect or to join, ns on the run's clock

	carry []byte // received: the beginning of a header block or frame
	parts []byte // received: a fragmented message so far
	out   []byte // to be sent
	dirty bool   // in the loop's list of those to flush
}

// target is one instance's address and the request that opens a socket there.
type target struct {
	addr  netip.AddrPort
	line  string // the request's first line
	rest  string // its header, without the empty line
	query bool   // the URL has one
}

// key is the Sec-WebSocket-Key of every socket; servers may not mind (RFC 6455 §4.1
// wants it random to tell caches from servers), and one answer is to be compared.
const key = "ZmFuZmFyZS1iZW5jaC1rZQ=="

// accepted is the Sec-WebSocket-Accept that belongs to key.
var accepted = func() string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}()

// newTarget resolves one URL.
func newTarget(raw, token string, compression bool) (target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, err
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	tcp, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return target{}, fmt.Errorf("finding %s: %w", u.Host, err)
	}
	addr := tcp.AddrPort()
	t := target{addr: netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())}
	var req strings.Builder
	fmt.Fprintf(&req, "Host: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", u.Host)
	fmt.Fprintf(&req, "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: fanfare.v1\r\n", key)
	if compression {
		req.WriteString("Sec-WebSocket-Extensions: " + deflateOffer + "\r\n")
	}
	if token != "" {
		fmt.Fprintf(&req, "Authorization: Bearer %s\r\n", token)
	}
	t.line, t.rest, t.query = "GET "+u.RequestURI()+" HTTP/1.1\r\n", req.String(), u.RawQuery != ""
	return t, nil
}

// sourceShare is how many sockets one source address opens to one instance on loopback. The usual
// range of ephemeral ports holds about 28,000, and Linux finds the second half of them only after
// a long search: opening a socket then costs several times as much.
const sourceShare = 12_000

// dial begins a connection, the nth to this target. Loops share the target: unix.Connect
// writes into the address that it is given, so each call makes its own.
func (t *target) dial(nth int) (fd int, err error) {
	family, ip := unix.AF_INET, t.addr.Addr()
	var to unix.Sockaddr
	if ip.Is4() {
		to = &unix.SockaddrInet4{Port: int(t.addr.Port()), Addr: ip.As4()}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(t.addr.Port()), Addr: ip.As16()}
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err == nil && nth >= sourceShare && ip.Is4() && ip.IsLoopback() {
		err = bindSource(fd, nth/sourceShare)
	}
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindSource gives a socket another source address on loopback: 127.0.0.2 and up.
func bindSource(fd, nth int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	return unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(1 + nth)}})
}

// maxHeader is the longest answer to an upgrade that is read, in bytes.
const maxHeader = 16 << 10

// readUpgrade reads the answer to the upgrade at the start of b; length 0: not all
// of it is there. A reason says why the answer is no, or is not that on compression.
func readUpgrade(b []byte, compression bool) (length int, reason string) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	switch {
	case end < 0 && len(b) > maxHeader:
		return 0, "an HTTP header that does not end"
	case end < 0:
		return 0, ""
	}
	head := b[:end+2]
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	version, status, _ := bytes.Cut(line, []byte(" "))
	switch {
	case !bytes.HasPrefix(version, []byte("HTTP/1.")):
		return 0, "an answer that is not HTTP"
	case !bytes.HasPrefix(status, []byte("101")):
		return 0, fmt.Sprintf("HTTP %.40s", status)
	case !bytes.Contains(head, []byte(": "+accepted+"\r\n")):
		return 0, "a wrong Sec-WebSocket-Accept"
	case compression != agreedOnDeflate(head):
		return 0, "a server that does not compress when asked, or does unasked"
	}
	return end + 4, ""
}

// describe is a system error in words that add up in a table: no addresses.
func describe(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return err.Error()
}

// recv reads what is there; it never waits. RawSyscall: the scheduler need not know.
func recv(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// send writes what fits; it never waits.
func send(fd int32, b []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	return int(n), errno
}

// checkFiles says so when the sockets cannot all be open at once.
func checkFiles(sockets int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	const own = 64 // files of the process itself, generously
	if uint64(sockets)+own > limit.Cur {
		return fmt.Errorf("%d sockets do not fit into the limit of %d open files (RLIMIT_NOFILE, ulimit -n)", sockets, limit.Cur)
	}
	return nil
}
