package loop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheTableOfDescriptorsNeedNotGrow(t *testing.T) {
	const sockets = 17_000 // more than another test asks for
	g, err := New(Config{MaxSockets: sockets, Transport: Epoll}, testDoor{})
	if err != nil {
		t.Fatal(err)
	}
	go g.Close()
	g.Run()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "FDSize:")
	var size uint64
	if _, err := fmt.Sscan(line, &size); err != nil {
		t.Fatal(err)
	}
	if want := min(limit.Cur, sockets+Reserve); size < want {
		t.Errorf("there is room for %d descriptors, want %d", size, want)
	}
}
