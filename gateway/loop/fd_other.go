//go:build !linux

package loop

import (
	"errors"
	"net"
	"net/netip"
)

// Sockets are descriptors on Linux alone; here each is a stream and these are never called.

var errNoDescriptors = errors.New("the epoll transport is for Linux: use --transport=goroutine")

func newEpollPoller() (poller, error) { return nil, errNoDescriptors }
func newRing() (sender, error)        { return nil, errNoDescriptors }

func writeFD(int32, []byte) (int, bool)      { return 0, false }
func readFD(int32, []byte) (int, bool)       { return 0, false }
func growTable(int)                          {}
func shutdownFD(int32)                       {}
func closeFD(int32)                          {}
func acceptFD(int32) (int32, bool, error)    { return -1, false, errNoDescriptors }
func listenerFD(net.Listener) (int32, error) { return -1, errNoDescriptors }
func peerFD(int32) netip.AddrPort            { return netip.AddrPort{} }
func connFD(int32) (net.Conn, error)         { return nil, errNoDescriptors }
