//go:build linux

package main

import "strings"

// secret is of the tokens that are measured with.
const secret = "only-for-measuring-0123456789abcdef"

// memory is what 18,000 sockets need, before and after much has happened.
func memory() group {
	const flags = "--sockets 18000 --users --settle 6s --warm-up 1ms --cool-down 15s"
	g := group{
		name: "Memory",
		about: "18,000 sockets, each a user of its own, all in one room; growth of anonymous memory (RssAnon) since before the first socket. " +
			"“After” is 15 s after: some thousand messages to the room, 256 in flight; a re-join of all that asks for the last 20 messages; " +
			"messages from all sockets to 1,000 rooms that nobody is in, without history, which would be the rooms' and not the sockets'.",
		loads: []load{
			{at: "idle", on: baseline, flags: "--sockets 18000 --idle --for 1ms --cool-down 1ms"},
			{at: "a burst of messages", on: fanfare, flags: flags + " --saturate --in-flight 256"},
			{at: "resuming", on: fanfare, flags: flags + " --saturate --for 1s --resume 20"},
			{at: "publishing", on: fanfare.with("--history", "0"), flags: flags + " --publishers 18000 --ingest 1000 --saturate --in-flight 4000"},
		},
	}
	const burst = "a burst of messages: fanfare"
	g.lines = []line{
		{4, "bytes an idle socket", f("idle: baseline", "bytes idle"), f(burst, "bytes idle"), nil, valueAtMost(512)},
		{4, "bytes a socket after a burst of messages, against idle", f(burst, "bytes idle"), f(burst, "bytes end"), nil, ratioAtMost(1.2)},
		{4, "bytes a socket after all resumed, against idle", f("resuming: fanfare", "bytes idle"), f("resuming: fanfare", "bytes end"), nil, ratioAtMost(1.2)},
		{4, "bytes a socket after all published, against idle", f("publishing: fanfare", "bytes idle"), f("publishing: fanfare", "bytes end"), nil, ratioAtMost(1.2)},
		{0, "replayed messages/s when all resume", nil, f("resuming: fanfare", "resume messages/s"), nil, aim{}},
		{0, "CPU µs a replayed message", nil, f("resuming: fanfare", "resume CPU"), nil, aim{}},
	}
	return g
}

// accepting is what a socket costs to take in.
func accepting() group {
	const flags = "--sockets 10000 --rooms 0 --idle --for 1ms --settle 300ms --cool-down 1ms"
	tokens := fanfare.called("HS256").with("--auth", "jwt", "--jwt-key", secret)
	none := fanfare.called("--auth none")
	return group{
		name:  "Accepting",
		about: "10,000 sockets, up to 256 connecting at a time: TCP accept, upgrade, welcome; each a user of its own. The baseline knows no users.",
		loads: []load{
			{at: "accepting", on: baseline, flags: flags},
			{at: "accepting", on: none, flags: flags + " --users"},
			{at: "accepting", on: tokens, flags: flags + " --jwt-key " + secret},
		},
		lines: []line{
			{5, "CPU µs an accepted socket, --auth none", f("accepting: baseline", "CPU accept"), f("accepting: --auth none", "CPU accept"), nil, ratioAtMost(2)},
			{5, "CPU µs an accepted socket, HS256", f("accepting: baseline", "CPU accept"), f("accepting: HS256", "CPU accept"), nil, ratioAtMost(3)},
		},
	}
}

// storm is many sockets at once, beside rooms that run.
func storm() group {
	const flags = "--sockets 200 --rooms 20 --rate 400 --storm 10000" + quick
	const at = "storm"
	var lines []line
	for _, on := range []string{"fanfare", "baseline"} {
		load := at + ": " + on
		l := line{5, "latency p99 µs in the storm, against before, " + on, f(load, "p99"), f(load, "storm p99"), nil, ratioAtMost(3)}
		served := line{5, "sockets of the storm served, " + on, nil, f(load, "storm served"), nil, valueAtLeast(10_000)}
		took := line{0, "seconds until all were served, " + on, nil, f(load, "storm seconds"), nil, aim{}}
		if on == "baseline" {
			l.target, l.aim, served.target, served.aim = 0, aim{}, 0, aim{}
		}
		lines = append(lines, l, served, took)
	}
	return group{
		name: "Storm",
		about: "200 sockets in 20 rooms, 4,000 deliveries/s; then 10,000 sockets more connect at once. " +
			"Latency before and while they are let in. They stand for other machines: the generator opens them on a thread of its own, which has " +
			"only what nobody else wants of the same cores (SCHED_IDLE); the thread that measures goes first (nice −10, where that is permitted).",
		loads: each(at, flags, baseline, fanfare),
		lines: lines,
	}
}

// latency is from publishing to receiving at half load, and what may not spoil it.
func latency() group {
	const flags = "--rate 60 --settle 300ms --warm-up 2s --cool-down 1ms --sockets 1000"
	const at = "half load"
	large := fanfare.with("--max-message", "2MiB", "--slow-limit", "16MiB")
	p99 := func(on string) source { return f(on, "p99") }
	return group{
		name: "Latency",
		bars: true,
		about: "One room of 1,000 sockets × 60/s, about half of what one core sends to 1,000 sockets one message at a time, publish to receive. " +
			"A stalled reader joins the room and reads nothing. The 1 MiB messages are 2/s in a room of 4 others.",
		loads: []load{
			{at: at, on: baseline, flags: flags},
			{at: at, on: fanfare, flags: flags},
			{at: "with a stalled reader", on: fanfare, flags: strings.Replace(flags, "1000", "1001 --stalled 1", 1)},
			{at: "with 1 MiB messages", on: large, flags: flags, beside: "--sockets 4 --publishers 1 --rate 2 --size 1048000"},
		},
		lines: []line{
			{8, "p99 µs", p99(at + ": baseline"), p99(at + ": fanfare"), nil, ratioAtMost(1.3)},
			{8, "p99 µs with a stalled reader in the room, against without", p99(at + ": fanfare"), p99("with a stalled reader: fanfare"), nil, ratioAtMost(1.5)},
			{8, "p99 µs with 1 MiB messages in another room, against without", p99(at + ": fanfare"), p99("with 1 MiB messages: fanfare"), nil, ratioAtMost(1.5)},
			{0, "p50 µs", f(at+": baseline", "p50"), f(at+": fanfare", "p50"), nil, aim{}},
		},
	}
}

// throughRedis is what Redis adds to the latency.
func throughRedis() group {
	const flags = "--sockets 1000 --rooms 500 --rate 2500" + quick
	bare := onRedis.called("two on Redis, --history 0").with("--history", "0")
	const at = "2,500/s"
	added := func(on subject) line {
		return line{8, "added p50 µs, " + on.name + ", against the bare round trip",
			f(at+": "+on.name, "round trip"), less(f(at+": "+on.name, "p50"), f(at+": fanfare", "p50")), nil, ratioAtMost(1.5)}
	}
	loads := each(at, flags, fanfare, bare, onRedis)
	loads[1].probe, loads[2].probe = true, true
	return group{
		name: "Through Redis",
		about: "1,000 sockets in 500 rooms × 5/s, a room's two members on different instances. What two instances on Redis add to the p50 of one with the embedded broker, " +
			"against a bare PUBLISH → SUBSCRIBE round trip over two connections that do nothing else, on the same Redis at the same time.",
		loads: loads,
		lines: []line{added(bare), added(onRedis)},
	}
}
