package loop

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// withRing runs a test on a ring. Where the kernel gives none (in a container, say) what is left to
// hold is that Auto does without and that asking for it is an error.
func withRing(t *testing.T, test func(t *testing.T, r *ring)) {
	t.Helper()
	r, err := newRing()
	if err == nil {
		defer r.close()
		test(t, r)
		return
	}
	t.Logf("no ring here: %v", err)
	if _, err := New(Config{Transport: IOUring}, nil); err == nil {
		t.Error("io_uring was asked for, there is none, and that is no error")
	}
	g, err := New(Config{Transport: Auto}, nil)
	if err != nil {
		t.Fatalf("auto without a ring: %v", err)
	}
	if got := g.Transport(); got != Epoll {
		t.Errorf("auto without a ring is %s, want epoll", got)
	}
}

// pairs are connected sockets, the first of each for sending.
func pairs(t *testing.T, n int) (senders []*Socket, peers []int32) {
	t.Helper()
	for range n {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = unix.Close(p[0])
			_ = unix.Close(p[1])
		})
		senders, peers = append(senders, &Socket{fd: int32(p[0])}), append(peers, int32(p[1]))
	}
	return senders, peers
}

func TestARingSendsLikeASystemCallASocket(t *testing.T) {
	withRing(t, func(t *testing.T, r *ring) {
		for round := range 5 { // the queues go round
			senders, peers := pairs(t, maxBatch)
			large := bytes.Repeat([]byte("x"), 4<<20)
			var batch []outgoing
			for i, s := range senders {
				o := outgoing{socket: s, data: fmt.Appendf(nil, "message %d to %d", round, i)}
				switch i % 4 {
				case 1: // takes a part
					o.data = large
				case 2: // takes nothing
					for {
						if n, _ := writeFD(s.fd, large); n == 0 {
							break
						}
					}
				case 3: // is gone
					_ = unix.Shutdown(int(peers[i]), unix.SHUT_RDWR)
					_ = unix.Shutdown(int(s.fd), unix.SHUT_WR)
				}
				batch = append(batch, o)
			}
			r.send(batch)
			for i, o := range batch {
				ok := false
				switch i % 4 {
				case 0:
					got := make([]byte, 100)
					n, _ := readFD(peers[i], got)
					ok = !o.broken && o.n == len(o.data) && bytes.Equal(got[:n], o.data)
				case 1:
					ok = !o.broken && o.n > 0 && o.n < len(large)
				case 2:
					ok = !o.broken && o.n == 0
				case 3:
					ok = o.broken
				}
				if !ok {
					t.Errorf("round %d, socket %d of kind %d: %d of %d bytes, broken %v", round, i, i%4, o.n, len(o.data), o.broken)
				}
			}
		}
	})
}

// A kernel that takes less than it was given leaves the rest to system calls.
func TestARingThatFailsIsDoneWithout(t *testing.T) {
	withRing(t, func(t *testing.T, r *ring) {
		senders, peers := pairs(t, 3)
		fd := r.fd
		r.fd = -1 // io_uring_enter answers EBADF
		var batch []outgoing
		for _, s := range senders {
			batch = append(batch, outgoing{socket: s, data: []byte("hello")})
		}
		r.send(batch)
		r.fd = fd
		r.send(batch) // what was not taken the first time must not come now
		for i, p := range peers {
			got := make([]byte, 100)
			n, _ := readFD(p, got)
			if o := batch[i]; o.n != 5 || o.broken || string(got[:n]) != "hellohello" {
				t.Errorf("socket %d: %d bytes sent, broken %v, %q arrived", i, o.n, o.broken, got[:n])
			}
		}
	})
}

func TestAutoIsTheBestTransport(t *testing.T) {
	r, err := newRing()
	want := Epoll
	if err == nil {
		r.close()
		want = IOUring
	}
	g, err := New(Config{Transport: Auto}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Transport(); got != want {
		t.Errorf("auto is %s here, want %s", got, want)
	}
	if g, err = New(Config{Transport: Epoll}, nil); err != nil || g.Transport() != Epoll {
		t.Errorf("epoll: %v, %v", g.Transport(), errors.Join(err))
	}
}

// What a ring saves, and from how many sends on.
func BenchmarkSend(b *testing.B) {
	r, err := newRing()
	if err != nil {
		b.Fatal(err)
	}
	defer r.close()
	const most = maxBatch
	var senders []*Socket
	var peers []int
	for range most {
		ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
		peer, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err := errors.Join(err, unix.Bind(ln, loopback), unix.Listen(ln, 1)); err != nil {
			b.Fatal(err)
		}
		at, _ := unix.Getsockname(ln)
		if err := unix.Connect(peer, at); err != nil {
			b.Fatal(err)
		}
		fd, _, err := unix.Accept4(ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			b.Fatal(err)
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		_ = unix.Close(ln)
		b.Cleanup(func() {
			_ = unix.Close(fd)
			_ = unix.Close(peer)
		})
		senders, peers = append(senders, &Socket{fd: int32(fd)}), append(peers, peer)
	}
	data, sink := bytes.Repeat([]byte("x"), 132), make([]byte, 1<<20)
	for _, n := range []int{1, 2, 4, 8, 16, most} {
		batch := make([]outgoing, n)
		for i := range batch {
			batch[i] = outgoing{socket: senders[i], data: data}
		}
		for name, s := range map[string]sender{"ring": r, "each": oneByOne{}} {
			b.Run(fmt.Sprintf("%s-%d", name, n), func(b *testing.B) {
				for i := 0; b.Loop(); i++ {
					s.send(batch)
					if i%64 == 63 {
						b.StopTimer()
						for _, p := range peers[:n] {
							_, _ = unix.Read(p, sink)
						}
						b.StartTimer()
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/send")
			})
		}
	}
}
