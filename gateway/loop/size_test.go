package loop

import (
	"testing"
	"unsafe"
)

// The bounds are size classes of Go's allocator.
func TestASocketIsSmall(t *testing.T) {
	for what, s := range map[string]struct{ is, bound uintptr }{
		"socket":     {unsafe.Sizeof(Socket{}), 128},
		"member":     {unsafe.Sizeof(member{}), 24},
		"membership": {unsafe.Sizeof(membership{}), 16},
	} {
		if s.is > s.bound {
			t.Errorf("a %s has %d bytes, more than %d", what, s.is, s.bound)
		}
	}
}
