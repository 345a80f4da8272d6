package redis

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// layout names keys and channels, as the package comment says. Static after construction.
type layout struct {
	prefixes []string // of each partition: "PREFIX:{p}:"
	sharded  bool     // channels are of SSUBSCRIBE and SPUBLISH
}

func newLayout(prefix string, partitions int, sharded bool) layout {
	l := layout{prefixes: make([]string, partitions), sharded: sharded}
	for p := range l.prefixes {
		l.prefixes[p] = fmt.Sprintf("%s:{%d}:", prefix, p)
	}
	return l
}

// partition that a room or user is in.
func (l layout) partition(name string) int {
	if len(l.prefixes) == 1 {
		return 0
	}
	return int(fnv1a(name) % uint32(len(l.prefixes)))
}

func (l layout) prefix(name string) string { return l.prefixes[l.partition(name)] }

// publish is the command's name.
func (l layout) publish() string {
	if l.sharded {
		return "spublish"
	}
	return "publish"
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

// probe is the channel on which one run of an instance hears itself, and a key that it writes, in a
// partition.
func (l layout) probe(partition int, name string, random uint64) string {
	return fmt.Sprintf("%sprobe:%s-%016x", l.prefixes[partition], name, random)
}

// slot of a cluster that a partition's keys and channels are in: what is in the braces decides.
func slot(partition int) int { return int(crc16(strconv.Itoa(partition)) % maxPartitions) }

// crc16 is the XMODEM one, as the Redis cluster specification says.
func crc16(s string) (sum uint16) {
	for i := range len(s) {
		sum ^= uint16(s[i]) << 8
		for range 8 {
			if sum&0x8000 != 0 {
				sum = sum<<1 ^ 0x1021
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// fnv1a is the 32-bit FNV-1a hash, without hash/fnv's allocation.
func fnv1a(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
