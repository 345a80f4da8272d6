//go:build linux

package main

import (
	"fmt"
	"strings"
)

// growth is CPU a delivery as a ratio to the baseline, at several sizes. flags has the load of one.
func growth(name, about, unit string, sizes []int, flags func(n int) string) group {
	g := group{name: name, about: about}
	at := func(n int) string { return amount(n, unit) }
	first := [2]source{f(at(sizes[0])+": baseline", "CPU"), f(at(sizes[0])+": fanfare", "CPU")}
	for i, n := range sizes {
		g.loads = append(g.loads, each(at(n), flags(n), baseline, fanfare)...)
		l := line{7, "CPU µs a delivery, " + at(n), f(at(n)+": baseline", "CPU"), f(at(n)+": fanfare", "CPU"), &first, growthAtMost(1.15)}
		if i == 0 {
			l.target, l.first, l.aim = 0, nil, aim{}
		}
		g.lines = append(g.lines, l)
	}
	return g
}

// amount is n of something, such as "1 room" or "1,000 rooms a socket": unit has the plural first.
func amount(n int, unit string) string {
	what, more, _ := strings.Cut(unit, " ")
	if n == 1 {
		what = strings.TrimSuffix(what, "s")
	}
	return strings.TrimSpace(grouped(fmt.Sprint(n)) + " " + what + " " + more)
}

var (
	socketSizes  = []int{1000, 4000, 10_000, 18_000}
	roomSizes    = []int{1, 100, 1000, 10_000}
	perSocket    = []int{1, 2, 4}
	socketGrowth = "Growth in sockets"
	roomGrowth   = "Growth in rooms"
)

func growthInSockets() group {
	return growth(socketGrowth, "One room with all sockets, at such a rate that 50,000 deliveries/s are due.", "sockets", socketSizes,
		func(n int) string {
			return fmt.Sprintf("--sockets %d --rate %.4g --settle 1s --warm-up 700ms --cool-down 1ms", n, 50_000/float64(n))
		})
}

func growthInRooms() group {
	return growth(roomGrowth, "Every room has ten members, one of which publishes, or four where there is one room; 2,000 messages/s in all, to one room after the other. "+
		"The sockets grow with the rooms up to 10,000; with 10,000 rooms each is in ten. The baseline does not acknowledge what it takes in.", "rooms", roomSizes,
		func(n int) string {
			const members, most = 10, 10_000
			sockets := min(members*n, most)
			return fmt.Sprintf("--sockets %d --rooms %d --rooms-per-socket %d --rate 2000%s", sockets, n, members*n/sockets, quick)
		})
}

func growthInRoomsPerSocket() group {
	return growth("Growth in rooms a socket", "1,000 sockets in 100 rooms, each socket in several, 50,000 deliveries/s due.", "rooms a socket", perSocket,
		func(n int) string {
			return fmt.Sprintf("--sockets 1000 --rooms 100 --rooms-per-socket %d --rate %d%s", n, 5000/n, quick)
		})
}
