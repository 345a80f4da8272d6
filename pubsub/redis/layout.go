package redis

import (
	"fmt"
	"strings"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// layout names keys and channels, as the package comment says. Static after construction.
type layout struct {
	prefixes []string // of each partition: "PREFIX:{p}:"
}

func newLayout(prefix string, partitions int) layout {
	l := layout{prefixes: make([]string, partitions)}
	for p := range l.prefixes {
		l.prefixes[p] = fmt.Sprintf("%s:{%d}:", prefix, p)
	}
	return l
}

// prefix of the partition that a room or user is in.
func (l layout) prefix(name string) string {
	if len(l.prefixes) == 1 {
		return l.prefixes[0]
	}
	return l.prefixes[fnv1a(name)%uint32(len(l.prefixes))]
}

func (l layout) channel(t pubsub.Target) string {
	if t.User {
		return l.prefix(t.Name) + "u:" + t.Name
	}
	return l.prefix(t.Name) + "c:" + t.Name
}

func (l layout) history(room string) string { return l.prefix(room) + "h:" + room }

func (l layout) meta(room string) string { return l.prefix(room) + "m:" + room }

// key of an idempotency key. The room is escaped: room "a:b" with key "c" is not "a" with "b:c".
func (l layout) key(room, key string) string {
	return l.prefix(room) + "k:" + escapeRoom.Replace(room) + ":" + key
}

var escapeRoom = strings.NewReplacer("%", "%25", ":", "%3A")

// probe is the channel on which one run of an instance hears itself.
func (l layout) probe(name string, random uint64) string {
	return fmt.Sprintf("%sprobe:%s-%016x", l.prefixes[0], name, random)
}

// fnv1a is the 32-bit FNV-1a hash, without hash/fnv's allocation.
func fnv1a(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
