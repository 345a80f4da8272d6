//go:build linux

package main

import "fmt"

// quick are flags of loads of which no memory is read: they need not settle for long.
const quick = " --settle 300ms --warm-up 700ms --cool-down 1ms"

// groups is the whole table.
func groups() []group {
	return []group{fanout(), manyRooms(), growthInSockets(), growthInRooms(), growthInRoomsPerSocket(),
		memory(), accepting(), storm(), latency(), throughRedis(), compression(), ingest()}
}

// fanout is one room of 1,000 sockets, from a message a second to as many as go.
func fanout() group {
	onRedisEpoll := onRedis.called("two on Redis, epoll").with("--transport", "epoll")
	all := []subject{baseline, epoll, uring, onRedisEpoll, onRedis}
	g := group{name: "Fan-out", about: "One room of 1,000 sockets, 4 publishers, 128 bytes of data. " +
		"“Two on Redis” are two instances with 500 sockets each; the CPU of the Redis does not count."}
	for _, rate := range []string{"5", "20"} {
		g.loads = append(g.loads, each(rate+"/s", "--sockets 1000 --rate "+rate+quick, all[:3]...)...)
	}
	g.loads = append(g.loads, each("50/s", "--sockets 1000 --rate 50"+quick, all...)...)
	for _, n := range []int{32, 256} {
		g.loads = append(g.loads, each(fmt.Sprintf("%d in flight", n), fmt.Sprintf("--sockets 1000 --saturate --in-flight %d%s", n, quick), all...)...)
	}
	cpu := func(target int, at, on string, a aim) line {
		return line{target, fmt.Sprintf("CPU µs a delivery, %s, %s", at, on), f(at+": baseline", "CPU"), f(at+": "+on, "CPU"), nil, a}
	}
	many := func(at, on string, a aim) line {
		return line{2, fmt.Sprintf("deliveries/s, %s, %s", at, on), f(at+": baseline", "deliveries/s"), f(at+": "+on, "deliveries/s"), nil, a}
	}
	falls := func(at, from, on string) line {
		return line{2, fmt.Sprintf("CPU µs a delivery, %s against %s, %s", at, from, on), f(from+": "+on, "CPU"), f(at+": "+on, "CPU"), nil, ratioAtMost(1)}
	}
	g.lines = []line{
		cpu(1, "50/s", "epoll", ratioAtMost(1.10)),
		cpu(1, "50/s", "two on Redis, epoll", ratioAtMost(1.15)),
		cpu(0, "50/s", "two on Redis", aim{}),
		cpu(3, "50/s", "io_uring", ratioAtMost(0.8)),
		{3, "CPU µs a delivery, 50/s, io_uring against epoll", f("50/s: epoll", "CPU"), f("50/s: io_uring", "CPU"), nil, aim{}},
		many("32 in flight", "two on Redis", valueAtLeast(1.5e6)),
		many("256 in flight", "two on Redis", valueAtLeast(5e6)),
		many("32 in flight", "two on Redis, epoll", aim{}),
		many("256 in flight", "two on Redis, epoll", aim{}),
		many("32 in flight", "epoll", aim{}),
		many("256 in flight", "epoll", aim{}),
		many("32 in flight", "io_uring", aim{}),
		many("256 in flight", "io_uring", aim{}),
		falls("32 in flight", "50/s", "two on Redis"),
		falls("256 in flight", "32 in flight", "two on Redis"),
		falls("32 in flight", "50/s", "epoll"),
		falls("256 in flight", "32 in flight", "epoll"),
		cpu(0, "32 in flight", "epoll", aim{}),
		cpu(0, "256 in flight", "epoll", aim{}),
		cpu(0, "32 in flight", "io_uring", aim{}),
		cpu(0, "256 in flight", "io_uring", aim{}),
	}
	return g
}

// manyRooms is many small rooms.
func manyRooms() group {
	const flags = "--sockets 1000 --rooms 500 --saturate --in-flight 4000" + quick
	bare := onRedis.called("two on Redis, --history 0").with("--history", "0")
	return group{
		name: "Many small rooms",
		about: "1,000 sockets in 500 rooms, each room's two members on different instances, a publisher a room, 4,000 messages in flight. " +
			"Two instances on Redis, whose CPU does not count.",
		loads: each("saturating", flags, baseline, bare, onRedis),
		lines: []line{
			{6, "deliveries/s, --history 0", f("saturating: baseline", "deliveries/s"), f("saturating: "+bare.name, "deliveries/s"), nil, valueAtLeast(100_000)},
			{6, "CPU µs a delivery, --history 0", f("saturating: baseline", "CPU"), f("saturating: "+bare.name, "CPU"), nil, valueAtMost(15)},
			{0, "deliveries/s, with history", f("saturating: baseline", "deliveries/s"), f("saturating: two on Redis", "deliveries/s"), nil, aim{}},
			{0, "CPU µs a delivery, with history", f("saturating: baseline", "CPU"), f("saturating: two on Redis", "CPU"), nil, aim{}},
		},
	}
}

// compression is a room whose members have all negotiated it.
func compression() group {
	const flags = "--sockets 1000 --rate 50" + quick
	on := fanfare.called("compressing").with("--compression", "deflate")
	on.needs = "-compression"
	return group{
		name:  "Compression",
		about: "One room of 1,000 sockets × 50/s, all of which have negotiated permessage-deflate, against the same without.",
		loads: []load{{at: "plain", on: fanfare, flags: flags}, {at: "compressed", on: on, flags: flags + " --compression deflate"}},
		lines: []line{{9, "CPU µs a delivery, compressed against plain", f("plain: fanfare", "CPU"), f("compressed: compressing", "CPU"), nil, ratioAtMost(1.3)}},
	}
}

// ingest is messages to rooms that nobody is in.
func ingest() group {
	const flags = "--sockets 1000 --rooms 0 --ingest 1000 --saturate --in-flight 4000" + quick
	bare := onRedis.called("two on Redis, --history 0").with("--history", "0")
	return group{
		name: "Ingest",
		about: "1,000 sockets publish, each to a room of its own that nobody is in, 4,000 messages in flight, each until its ack. " +
			"Two instances on Redis; the generator and the Redis have the same cores.",
		loads: each("saturating", flags, bare, onRedis),
		lines: []line{
			{10, "acked messages/s, --history 0", nil, f("saturating: "+bare.name, "acked/s"), nil, valueAtLeast(50_000)},
			{10, "acked messages/s, with history", nil, f("saturating: two on Redis", "acked/s"), nil, valueAtLeast(25_000)},
			{0, "CPU µs a message, --history 0", nil, f("saturating: "+bare.name, "CPU"), nil, aim{}},
			{0, "CPU µs a message, with history", nil, f("saturating: two on Redis", "CPU"), nil, aim{}},
		},
	}
}
