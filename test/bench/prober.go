//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// prober measures what Redis itself takes from PUBLISH to the subscriber: one message at a time,
// over two connections that do nothing else. It speaks just enough RESP2.
type prober struct {
	pub, sub net.Conn
	quit     chan struct{}
	ended    chan error
	times    []time.Duration // owned by the goroutine until it has ended
}

const (
	probeEvery   = 5 * time.Millisecond
	probeTimeout = 5 * time.Second
	probeSize    = 200 // bytes, about those of an envelope with 128 bytes of data
)

func startProber(addr string) (*prober, error) {
	p := &prober{quit: make(chan struct{}), ended: make(chan error, 1)}
	var err error
	if p.pub, err = net.Dial("tcp", addr); err != nil {
		return nil, err
	}
	if p.sub, err = net.Dial("tcp", addr); err != nil {
		p.pub.Close()
		return nil, err
	}
	go func() { p.ended <- p.work() }()
	return p, nil
}

// stop ends it and returns the median round trip in µs.
func (p *prober) stop() (float64, error) {
	close(p.quit)
	err := <-p.ended
	p.pub.Close()
	p.sub.Close()
	if err == nil && len(p.times) == 0 {
		err = errors.New("no round trip was measured")
	}
	if err != nil {
		return 0, fmt.Errorf("probing Redis: %w", err)
	}
	slices.Sort(p.times)
	return float64(p.times[len(p.times)/2]) / 1e3, nil
}

// command is one command as RESP.
func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func (p *prober) work() error {
	const channel = "fanfare-bench-probe"
	message := strings.Repeat("x", probeSize)
	publish := []byte(command("PUBLISH", channel, message))
	confirmed := "*3\r\n$9\r\nsubscribe\r\n" + fmt.Sprintf("$%d\r\n%s\r\n", len(channel), channel) + ":1\r\n"
	pushed := command("message", channel, message)
	sub, pub := bufio.NewReader(p.sub), bufio.NewReader(p.pub)
	if _, err := io.WriteString(p.sub, command("SUBSCRIBE", channel)); err != nil {
		return err
	}
	if err := expect(p.sub, sub, confirmed); err != nil {
		return err
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.quit:
			return nil
		case <-tick.C:
		}
		from := time.Now()
		if _, err := p.pub.Write(publish); err != nil {
			return err
		}
		if err := expect(p.sub, sub, pushed); err != nil {
			return err
		}
		p.times = append(p.times, time.Since(from))
		if err := expect(p.pub, pub, ":1\r\n"); err != nil {
			return err
		}
	}
}

// expect reads exactly this.
func expect(c net.Conn, r io.Reader, want string) error {
	_ = c.SetReadDeadline(time.Now().Add(probeTimeout))
	got := make([]byte, len(want))
	n, err := io.ReadFull(r, got)
	if err == nil && string(got) != want {
		err = errors.New("another answer than expected")
	}
	if err != nil {
		return fmt.Errorf("%w: %q", err, got[:n])
	}
	return nil
}
