package redis

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair is a connection of ours and its other side.
func pair(t *testing.T) (ours net.Conn, theirs *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = unscheduled(c.(*net.TCPConn)); err != nil {
		t.Fatal(err)
	}
	other, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); other.Close() })
	return ours, other.(*net.TCPConn)
}

func TestAConnectionCarriesMoreThanTheKernelHolds(t *testing.T) {
	ours, theirs := pair(t)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() { // back what comes, once all has come: writes have to wait, then reads
		all, err := io.ReadAll(io.LimitReader(theirs, int64(len(sent))))
		if err != nil {
			t.Error(err)
		}
		theirs.Write(all)
		theirs.CloseWrite()
	}()
	if n, err := ours.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(sent), err)
	}
	if got, err := io.ReadAll(ours); !bytes.Equal(got, sent) || err != nil {
		t.Fatalf("%d of %d bytes came back: %v", len(got), len(sent), err)
	}
}

func TestAConnectionKeepsToItsDeadlines(t *testing.T) {
	ours, _ := pair(t)
	ours.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	ours.SetDeadline(time.Now().Add(50 * time.Millisecond))
	n, err := ours.Write(make([]byte, 64<<20))
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() || n == 0 {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
}

func TestAConnectionEnds(t *testing.T) {
	ours, theirs := pair(t)
	go theirs.Close()
	if n, err := ours.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d bytes, %v", n, err)
	}
	var err error
	for err == nil {
		_, err = ours.Write(make([]byte, 1<<10))
	}
	if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("writing: %v", err)
	}
	ours.Close()
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading once closed: %v", err)
	}
	if _, err := ours.Write(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("writing once closed: %v", err)
	}
}

func TestALookAtAConnectionSeesDataAndItsEnd(t *testing.T) {
	ours, theirs := pair(t)
	raw, err := ours.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	looks := func() (asked bool) {
		if err := raw.Read(func(uintptr) bool { asked = true; return true }); err != nil {
			t.Error(err)
		}
		return asked
	}
	if looks() {
		t.Error("it asked where there is nothing")
	}
	theirs.Write([]byte("x"))
	if !looks() {
		t.Error("data was not seen") // over loopback it is there when the write returns
	}
	if n, err := ours.Read(make([]byte, 2)); n != 1 || err != nil {
		t.Fatalf("read %d bytes, %v: a look takes nothing", n, err)
	}
	theirs.Close()
	if !looks() {
		t.Error("the end was not seen")
	}
	ours.Close()
	if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("looking once closed: %v", err)
	}
}

func TestReadingAndWritingAllocateNothing(t *testing.T) {
	ours, theirs := pair(t)
	b := []byte("some bytes")
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ours.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(theirs, b); err != nil {
			t.Fatal(err)
		}
		theirs.Write(b)
		if _, err := io.ReadFull(ours, b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
