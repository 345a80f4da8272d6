// Package bench is the load generator behind fanfare bench.
//
// # What it does
//
// It opens sockets on one or several instances, joins them to rooms, publishes
// for a while and checks on every socket, for every message: none missing, none
// twice, none before an earlier one of the same publisher, and the same order
// on all sockets of a room. What the servers spent on it is read from outside.
//
// A run has these steps: open all sockets; join; stay idle for a moment (that
// is when memory per idle socket is read); publish for the warm-up; go on for
// the time that is measured; stop, and wait for the last deliveries. Faults are
// counted from the first message to the last, rates and latency only while
// measuring.
//
// # Cost
//
// One epoll loop a thread, one receive buffer a loop, no goroutine a socket and
// no allocation a message. The report says what the generator itself spent, so
// that a reader can judge whether it was the bottleneck.
//
// # Concurrency
//
// Run may be called from any goroutine; several runs at once disturb each
// other's figures, nothing else. Needs Linux.
package bench

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config says what to send where. The zero value of each field is its default.
type Config struct {
	URLs  []string // of the instances, ws:// only; sockets are spread over them; default ws://127.0.0.1:8080/ws
	Token string   // sent as "Authorization: Bearer"; default none
	Users bool     // each socket is a user of its own, named in the token parameter, for servers with --auth none
	Key   string   // each socket is a user of its own, with an HS256 token signed with this secret; default none

	Compression bool // negotiate permessage-deflate, and inflate what comes; default false

	Sockets        int     // to open in all; default 100
	Rooms          int     // sockets are spread over them; default 1; negative: join none (needs Idle or Ingest)
	RoomsPerSocket int     // rooms each socket joins; default 1
	Publishers     int     // sockets that publish, each to its first room; default one a room, but at least 4
	Rate           float64 // messages a second, of all publishers together; default 50; negative: saturate
	InFlight       int     // when saturating: messages in all whose delivery to every member is not seen yet; default 32
	Size           int     // bytes of a message's data, MinSize or more; default 128
	Ingest         int     // publish to so many rooms that nobody is in; a message is in flight until its ack; default 0: off
	Stalled        int     // sockets, of all, that join and then read nothing; default 0
	Storm          int     // sockets that arrive at once after the time that is measured, while publishing goes on; default 0
	Resume         int     // at the end each member joins again and asks for so many messages of the history; default 0

	For         time.Duration // to measure, or to stay idle; default 10s
	WarmUp      time.Duration // of publishing before that; default 1s; negative: none
	Settle      time.Duration // idle before memory per idle socket is read; default 1s; negative: none
	CoolDown    time.Duration // idle before it is read again at the end; default Settle; negative: none
	Timeout     time.Duration // for a socket to open, to join, and for the last messages to come; default 10s
	ConnectRate float64       // new sockets a second; default as fast as Connects at a time go
	Connects    int           // sockets that may be connecting at a time; default 256

	Idle    bool  // open and join only, publish nothing
	PIDs    []int // server processes to account: CPU and memory; default none
	Threads int   // event loops of the generator; default 1
}

// MinSize is the smallest data that holds what each message must carry, in bytes.
const MinSize = len(dataHead) + numbersLen + len(dataMid) + len(dataTail)

// maxTracks bounds what is remembered: one number a socket, room and publisher.
const maxTracks = 64 << 20

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if len(c.URLs) == 0 {
		c.URLs = []string{"ws://127.0.0.1:8080/ws"}
	}
	c.Sockets = or(c.Sockets, 100)
	c.Rooms = or(c.Rooms, 1)
	c.RoomsPerSocket = or(c.RoomsPerSocket, 1)
	c.Publishers = or(c.Publishers, min(max(c.Rooms, c.Ingest, 4), c.Sockets-c.Stalled))
	c.Rate = or(c.Rate, 50)
	c.InFlight = or(c.InFlight, 32)
	c.Size = or(c.Size, 128)
	c.For = or(c.For, 10*time.Second)
	c.WarmUp = max(or(c.WarmUp, time.Second), 0)
	c.Settle = max(or(c.Settle, time.Second), 0)
	c.CoolDown = max(or(c.CoolDown, c.Settle), 0)
	c.Connects = or(c.Connects, 256)
	c.Timeout = or(c.Timeout, 10*time.Second)
	c.Threads = or(c.Threads, 1)
	return c
}

// or is the first of the two that is not zero.
func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// saturating says whether the next message waits for an earlier one's delivery.
func (c Config) saturating() bool { return c.Rate < 0 }

// checked says whether every message has to reach every member of its room.
func (c Config) checked() bool { return !c.Idle && c.Ingest == 0 }

// validate reports all that is wrong with c, whose defaults are filled in.
func (c Config) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for _, raw := range c.URLs {
		u, err := url.Parse(raw)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		bad(u.Scheme != "ws" || u.Hostname() == "", "url %q: want ws://host[:port]/path (there is no TLS here)", raw)
	}
	bad(c.Sockets < 1, "sockets: %d, want 1 or more", c.Sockets)
	bad(c.Rooms < 0 && c.checked(), "without rooms only an idle run or one with ingest is possible")
	bad(c.Rooms < 0 && c.Resume > 0, "without rooms there is nothing to resume")
	bad(c.Rooms > c.Sockets, "rooms: %d are more than the %d sockets", c.Rooms, c.Sockets)
	bad(c.RoomsPerSocket < 1 || c.Rooms > 0 && c.RoomsPerSocket > c.Rooms,
		"rooms a socket: %d, want 1 to the number of rooms", c.RoomsPerSocket)
	bad(c.Stalled < 0 || c.Stalled >= c.Sockets, "stalled: %d, want less than the number of sockets", c.Stalled)
	bad(c.Publishers < 1 || c.Publishers > c.Sockets-c.Stalled, "publishers: %d, want 1 to the number of sockets that read", c.Publishers)
	bad(c.Ingest < 0 || c.Storm < 0 || c.Resume < 0 || c.Connects < 1, "ingest, storm, resume and connects may not be negative")
	bad(c.Idle && (c.Ingest > 0 || c.Storm > 0), "an idle run publishes nothing: it can have neither ingest nor a storm")
	bad(c.Token != "" && c.Users || c.Token != "" && c.Key != "" || c.Users && c.Key != "", "give only one of token, users and JWT key")
	bad(c.InFlight < 1, "in flight: %d, want 1 or more", c.InFlight)
	bad(c.Size < MinSize, "size: %d, want %d bytes or more", c.Size, MinSize)
	bad(c.For < 0 || c.Timeout < 0 || c.ConnectRate < 0, "times and rates may not be negative")
	bad(c.Threads < 1 || c.Threads > c.Sockets, "threads: %d, want 1 to the number of sockets", c.Threads)
	if c.Rooms > 0 && c.checked() {
		bad(c.Sockets*c.RoomsPerSocket*c.publishersPerRoom() > maxTracks,
			"sockets × rooms a socket × publishers a room: more than %d cannot be checked", maxTracks)
	}
	return errors.Join(errs...)
}

// publishersPerRoom is the number of publishers in the room that has most.
func (c Config) publishersPerRoom() int { return (c.Publishers + c.Rooms - 1) / c.Rooms }
