package bench

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what a run found. Times are in µs unless their name says otherwise.
type Report struct {
	Config Setup `json:"config"`

	OpenSeconds float64        `json:"open_seconds"`     // from the first connect to the last welcome
	Opened      int64          `json:"sockets_opened"`   // connected, upgraded and welcomed
	Failed      int64          `json:"sockets_failed"`   // not opened; Errors says why
	Closed      int64          `json:"sockets_closed"`   // by the server, after they were open; Errors says why
	Errors      map[string]int `json:"errors,omitempty"` // what went wrong and how often

	Seconds             float64 `json:"seconds"`   // that were measured
	Published           int64   `json:"published"` // while measuring
	PublishedPerSecond  float64 `json:"published_per_second"`
	Deliveries          int64   `json:"deliveries"` // while measuring
	DeliveriesPerSecond float64 `json:"deliveries_per_second"`
	Latency             Latency `json:"latency_us"`                    // publish to receive, while measuring
	Compressed          int64   `json:"compressed_messages,omitempty"` // that came so, warm-up included

	Latencies []Bucket `json:"latency_histogram,omitempty"` // the same, eight buckets for each doubling

	Checks

	Ingest *Ingest `json:"ingest,omitempty"` // only with Config.Ingest
	Storm  *Storm  `json:"storm,omitempty"`  // only with Config.Storm
	Resume *Resume `json:"resume,omitempty"` // only with Config.Resume

	Server    *Server   `json:"server,omitempty"` // only if processes were named
	Generator Generator `json:"generator"`

	pids []int
}

// Setup is the configuration of a run, as far as it matters for its figures.
type Setup struct {
	URLs           []string `json:"urls"`
	Sockets        int      `json:"sockets"`
	Rooms          int      `json:"rooms"`
	RoomsPerSocket int      `json:"rooms_per_socket"`
	Publishers     int      `json:"publishers,omitempty"`
	Rate           float64  `json:"rate,omitempty"`      // messages a second; none when saturating
	InFlight       int      `json:"in_flight,omitempty"` // only when saturating
	Size           int      `json:"size,omitempty"`      // bytes of data
	Threads        int      `json:"threads"`
	Idle           bool     `json:"idle,omitempty"`
	Identity       string   `json:"identity,omitempty"` // how each socket says who it is
	Ingest         int      `json:"ingest,omitempty"`   // rooms published to, that nobody is in
	Stalled        int      `json:"stalled,omitempty"`  // sockets that read nothing
	Storm          int      `json:"storm,omitempty"`    // sockets that arrive at once
	Resume         int      `json:"resume,omitempty"`   // messages that each member asks for at the end
	Compression    bool     `json:"compression,omitempty"`
}

// Latency is publish-to-receive, in µs. At a rate it counts from when a message was due, so
// that a generator or server that is behind shows (no coordinated omission).
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Checks counts what was wrong with the messages from the first to the last, warm-up
// included, on sockets that were open until the end.
type Checks struct {
	Lost       int64 `json:"lost"`                // a member never got it
	Duplicates int64 `json:"duplicates"`          // a member got it again
	OutOfOrder int64 `json:"out_of_order"`        // it came after a later one of the same publisher
	Disagree   int64 `json:"order_disagreements"` // members that saw several publishers' messages in another order than most
	Uncompared int64 `json:"order_uncompared"`    // members that could not be compared, since they lost some or got some late
	Corrupt    int64 `json:"corrupt"`             // unreadable or changed (and so lost, too)
	Strays     int64 `json:"strays"`              // of a room not joined, or of another run
	HeldBack   int64 `json:"held_back"`           // not published: the publisher's socket took no more
	Stalls     int64 `json:"stalls"`              // saturating: nothing arrived everywhere for 1 s, messages in flight written off
}

// Server is what the named processes used, user and system, all together.
type Server struct {
	PIDs                []int   `json:"pids"`
	CPUPerDelivery      float64 `json:"cpu_us_per_delivery"`
	CPUPerAccept        float64 `json:"cpu_us_per_accepted_socket"` // TCP accept, upgrade, welcome
	CPUPerJoin          float64 `json:"cpu_us_per_join"`            // per socket, all its rooms
	Cores               float64 `json:"cores"`                      // busy while measuring
	BytesPerIdleSocket  float64 `json:"bytes_per_idle_socket"`      // growth of RssAnon, joined and idle
	BytesPerSocketAtEnd float64 `json:"bytes_per_socket_at_end"`    // the same after the last delivery
}

// Generator is what this process used itself.
type Generator struct {
	CPUPerDelivery float64 `json:"cpu_us_per_delivery"`
	CPUPerOpen     float64 `json:"cpu_us_per_opened_socket"`
	Cores          float64 `json:"cores"`
}

// Faults is nil if all sockets were open to the end and all messages were right, else
// one error that says what was not.
func (r Report) Faults() error {
	var wrong []string
	for _, f := range []struct {
		n    int64
		name string
	}{
		{r.Failed, "sockets not opened"}, {r.Closed, "sockets closed"}, {r.Lost, "lost"}, {r.Duplicates, "duplicates"},
		{r.OutOfOrder, "out of order"}, {r.Disagree, "members that disagree on the order"}, {r.Corrupt, "corrupt"},
		{r.stormFailed(), "sockets of the storm not opened"}, {r.unanswered(), "unanswered"},
		{r.Strays, "strays"}, {r.HeldBack, "held back"}, {r.Stalls, "stalls"},
	} {
		if f.n != 0 {
			wrong = append(wrong, grouped(f.n)+" "+f.name)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Errors)) {
		wrong = append(wrong, fmt.Sprintf("%d × %s", r.Errors[reason], reason))
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, ", "))
}

// String is the report for people.
func (r Report) String() string {
	var b strings.Builder
	_ = r.Print(&b)
	return b.String()
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	c := r.Config
	line("sockets", "%s open of %s on %d instance(s) in %d room(s), %d a socket, opened in %.2f s",
		grouped(r.Opened-r.Closed), grouped(int64(c.Sockets)), len(c.URLs), c.Rooms, c.RoomsPerSocket, r.OpenSeconds)
	if !c.Idle && c.Ingest == 0 {
		r.printMessages(line)
	}
	r.printExtra(line)
	if s := r.Server; s != nil {
		line("server CPU", "%.2f µs a socket to accept, %.2f µs to join; %.3f cores while measuring", s.CPUPerAccept, s.CPUPerJoin, s.Cores)
		if !c.Idle && c.Ingest == 0 {
			line("", "%.3f µs a delivery", s.CPUPerDelivery)
		}
		line("memory", "%s bytes an idle socket, %s at the end", grouped(int64(s.BytesPerIdleSocket)), grouped(int64(s.BytesPerSocketAtEnd)))
	}
	line("generator", "%.2f µs a socket to open; %.3f cores while measuring", r.Generator.CPUPerOpen, r.Generator.Cores)
	if !c.Idle && c.Ingest == 0 {
		line("", "%.3f µs a delivery", r.Generator.CPUPerDelivery)
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Errors)) {
		line("error", "%s × %s", grouped(int64(r.Errors[reason])), reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) printMessages(line func(name, format string, args ...any)) {
	how := fmt.Sprintf("%g messages a second", r.Config.Rate)
	if r.Config.InFlight > 0 {
		how = fmt.Sprintf("saturating, %d messages in flight", r.Config.InFlight)
	}
	line("load", "%d publisher(s), %s, %d bytes of data, measured for %.1f s", r.Config.Publishers, how, r.Config.Size, r.Seconds)
	line("published", "%s/s", grouped(int64(r.PublishedPerSecond+0.5)))
	line("deliveries", "%s/s", grouped(int64(r.DeliveriesPerSecond+0.5)))
	if r.Config.Compression {
		line("", "%s messages came compressed", grouped(r.Compressed))
	}
	l := r.Latency
	line("latency", "p50 %s  p90 %s  p99 %s  p99.9 %s  max %s", span(l.P50), span(l.P90), span(l.P99), span(l.P999), span(l.Max))
	line("checks", "%s lost, %s duplicates, %s out of order, %s members disagree on the order (%s not compared)",
		grouped(r.Lost), grouped(r.Duplicates), grouped(r.OutOfOrder), grouped(r.Disagree), grouped(r.Uncompared))
	if r.Corrupt+r.Strays+r.HeldBack+r.Stalls > 0 {
		line("", "%s corrupt, %s strays, %s held back, %s stalls", grouped(r.Corrupt), grouped(r.Strays), grouped(r.HeldBack), grouped(r.Stalls))
	}
}

// span is a time given in µs, with three digits or so.
func span(us float64) string {
	d := time.Duration(us * 1e3)
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Nanosecond).String()
}

// grouped is n with a comma after each three digits.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
