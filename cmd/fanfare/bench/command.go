package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

const usage = `Usage: fanfare bench [flags]

Opens sockets on one or several gateways, publishes, and reports what arrived and
what it cost. Load tests belong on servers of your own. Needs Linux.

--idle opens and joins only, and reports memory and CPU a socket.
At --rate N latency counts from when a message was due. With --saturate the next
message is published when one of those in flight has reached every member of its
room; --in-flight counts the messages of all rooms together. --ingest publishes to rooms that
nobody is in, and counts acks. --storm, after the measured time, has more sockets arrive at
once and tells the latency before and while they do.

`

// Command is fanfare bench: it reads the flags in args, runs, and writes the report to
// stdout and a line a second to stderr. It returns an error if it could not run or the
// report has faults, and none for --help.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	cfg, asJSON, err := Parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	rep, err := Run(ctx, cfg, stderr)
	if err != nil && rep.Opened == 0 {
		return err
	}
	if asJSON {
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		err = errors.Join(err, out.Encode(rep))
	} else {
		err = errors.Join(err, rep.Print(stdout))
	}
	return errors.Join(err, rep.Faults())
}

// Parse reads the flags of fanfare bench. What it refuses it also explains on stderr.
func Parse(args []string, stderr io.Writer) (cfg Config, asJSON bool, err error) {
	fs := flag.NewFlagSet("fanfare bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	fs.Func("url", "`URL` of an instance; again, or several with commas: sockets are spread over them (default ws://127.0.0.1:8080/ws)",
		func(s string) error { cfg.URLs = append(cfg.URLs, strings.Split(s, ",")...); return nil })
	fs.StringVar(&cfg.Token, "token", "", "`token` to send as Authorization: Bearer")
	fs.BoolVar(&cfg.Users, "users", false, "each socket is a user of its own, named in the token parameter (servers with --auth none)")
	fs.StringVar(&cfg.Key, "jwt-key", "", "each socket is a user of its own, with an HS256 token signed with this `secret`")
	fs.Func("compression", "`what` the sockets negotiate: off or deflate (default off)", func(s string) error {
		if s != "off" && s != "deflate" {
			return errors.New("want off or deflate")
		}
		cfg.Compression = s == "deflate"
		return nil
	})
	fs.IntVar(&cfg.Sockets, "sockets", 100, "sockets in all")
	fs.IntVar(&cfg.Rooms, "rooms", 1, "rooms that the sockets are spread over; 0: join none, only with --idle or --ingest")
	fs.IntVar(&cfg.RoomsPerSocket, "rooms-per-socket", 1, "rooms each socket joins")
	fs.IntVar(&cfg.Publishers, "publishers", 0, "sockets that publish, each to one room (default one a room, at least 4)")
	fs.Float64Var(&cfg.Rate, "rate", 50, "messages a second, all publishers together; 0: saturate")
	saturate := fs.Bool("saturate", false, "publish as fast as messages arrive, like --rate 0")
	fs.IntVar(&cfg.InFlight, "in-flight", 32, "messages in flight when saturating: published and not yet seen by every member")
	fs.IntVar(&cfg.Size, "size", 128, fmt.Sprintf("bytes of a message's data, %d or more", MinSize))
	fs.IntVar(&cfg.Ingest, "ingest", 0, "publish to so many `rooms` that nobody is in; a message is in flight until its ack")
	fs.IntVar(&cfg.Stalled, "stalled", 0, "`sockets`, of all, that join and then read nothing")
	fs.IntVar(&cfg.Storm, "storm", 0, "`sockets` that arrive at once after the time that is measured")
	fs.IntVar(&cfg.Resume, "resume", 0, "at the end each member joins again and asks for the last so many `messages`")
	fs.DurationVar(&cfg.For, "for", 10*time.Second, "time to measure, or to stay idle")
	fs.DurationVar(&cfg.WarmUp, "warm-up", time.Second, "time to publish before measuring")
	fs.DurationVar(&cfg.Settle, "settle", time.Second, "time to stay idle before memory is read")
	fs.DurationVar(&cfg.CoolDown, "cool-down", 0, "time to stay idle before memory is read again at the end (default that of --settle)")
	fs.DurationVar(&cfg.Timeout, "timeout", 10*time.Second, "time for a socket to open, to join, and for the last messages")
	fs.Float64Var(&cfg.ConnectRate, "connect-rate", 0, "new sockets a second (default as fast as they go)")
	fs.IntVar(&cfg.Connects, "connects", 256, "sockets that may be connecting at a time")
	fs.BoolVar(&cfg.Idle, "idle", false, "open and join only, publish nothing")
	fs.Func("pid", "`process` of a server to account; again, or several with commas", func(s string) error {
		for _, part := range strings.Split(s, ",") {
			pid, err := strconv.Atoi(part)
			if err != nil || pid < 1 {
				return fmt.Errorf("%q is no process id", part)
			}
			cfg.PIDs = append(cfg.PIDs, pid)
		}
		return nil
	})
	fs.IntVar(&cfg.Threads, "threads", 1, "event loops of the generator")
	fs.BoolVar(&asJSON, "json", false, "write the report as JSON")
	if err := fs.Parse(args); err != nil {
		return cfg, false, err
	}
	if fs.NArg() > 0 {
		return cfg, false, fmt.Errorf("bench takes no arguments, only flags: %q", fs.Arg(0))
	}
	cfg.exact(*saturate)
	return cfg, asJSON, nil
}

// exact turns zeros that were asked for into what Config says instead of zero.
func (c *Config) exact(saturate bool) {
	if saturate || c.Rate <= 0 {
		c.Rate = -1
	}
	if c.Rooms == 0 {
		c.Rooms = -1
	}
	if c.WarmUp == 0 {
		c.WarmUp = -1
	}
	if c.Settle == 0 {
		c.Settle = -1
	}
}
