package gateway

import (
	"testing"
	"unsafe"
)

// What an idle socket costs is these and a member's cursor. The bounds are size classes of Go's
// allocator: a byte more costs 16.
func TestASessionIsSmall(t *testing.T) {
	for what, s := range map[string]struct{ is, bound uintptr }{
		"session": {unsafe.Sizeof(session{}), 96},
		"user":    {unsafe.Sizeof(user{}), 16},
	} {
		if s.is > s.bound {
			t.Errorf("a %s has %d bytes, more than %d", what, s.is, s.bound)
		}
	}
}
