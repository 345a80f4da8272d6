//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// startTime bounds how long a server may take to be ready.
const startTime = 15 * time.Second

// servers is what one run is pointed at.
type servers struct {
	urls  []string
	redis string // address, if there is one
	pids  []int  // those whose CPU and memory count
	procs []*process
}

// process is a program that was started here.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
}

// startProcess starts a program. It dies with this one, whatever happens.
func startProcess(name string, args ...string) (*process, error) {
	return begin(exec.Command(name, args...))
}

func begin(cmd *exec.Cmd) (*process, error) {
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // Ctrl-C is ours to handle
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait()
	}()
	return p, nil
}

// stop ends the processes, the last started first, and waits until they have ended.
func (s *servers) stop() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		p := s.procs[i]
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(5 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
	}
}

// add takes in a process; count: its CPU and memory count.
func (s *servers) add(p *process, count bool) {
	s.procs = append(s.procs, p)
	if count {
		s.pids = append(s.pids, p.cmd.Process.Pid)
	}
}

// startBaseline starts the baseline on a port that it chooses.
func startBaseline(_ context.Context, o options, _ []string) (*servers, error) {
	cmd := exec.Command(o.baseline(), "-t", fmt.Sprint(o.threads), "0")
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout = in
	s := &servers{}
	p, err := begin(cmd)
	_ = in.Close()
	if err != nil {
		return nil, err
	}
	s.add(p, true)
	_ = out.SetReadDeadline(time.Now().Add(startTime))
	line, err := bufio.NewReader(out).ReadString('\n')
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		s.stop()
		return nil, fmt.Errorf("starting the baseline: it said %q: %v", line, err)
	}
	s.urls = []string{"ws://127.0.0.1:" + port + "/ws"}
	return s, nil
}

// startFanfare starts one instance with the embedded broker.
func startFanfare(ctx context.Context, o options, args []string) (*servers, error) {
	s := &servers{}
	if err := s.addFanfare(ctx, o, args...); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// startTwoOnRedis starts a Redis and two instances on it. The Redis does not count.
func startTwoOnRedis(ctx context.Context, o options, args []string) (*servers, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &servers{redis: addr}
	_, port, _ := net.SplitHostPort(addr)
	p, err := startProcess("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", o.work, "--loglevel", "warning")
	if err != nil {
		return nil, err
	}
	s.add(p, false)
	err = p.ready(ctx, "redis-server", func() bool {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	for n := 0; n < 2 && err == nil; n++ {
		err = s.addFanfare(ctx, o, append([]string{"--redis", "redis://" + addr, "--name", fmt.Sprintf("bench-%d", n)}, args...)...)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// addFanfare starts one instance and waits until it is ready.
func (s *servers) addFanfare(ctx context.Context, o options, more ...string) error {
	listen, err := freeAddr()
	if err != nil {
		return err
	}
	ops, err := freeAddr()
	if err != nil {
		return err
	}
	args := append([]string{"serve", "--listen", listen, "--ops", ops, "--rate", "-1", "--log-level", "warn", "--drain", "1s"}, o.args...)
	p, err := startProcess(o.fanfare(), append(args, more...)...)
	if err != nil {
		return err
	}
	s.add(p, true)
	s.urls = append(s.urls, "ws://"+listen+"/ws")
	client := http.Client{Timeout: time.Second}
	return p.ready(ctx, "fanfare", func() bool {
		resp, err := client.Get("http://" + ops + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// ready asks until the answer is yes, the process has ended, or it took too long.
func (p *process) ready(ctx context.Context, name string, yes func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended: %s", name, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s is ready: %w", name, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// freeAddr finds a port on loopback that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
