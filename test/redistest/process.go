package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// process is a redis-server that this program started.
type process struct {
	dir     string
	port    string
	cluster string                    // the port of a cluster's bus
	args    func(p *process) []string // that it is started with
	cmd     *exec.Cmd                 // nil: stopped
	log     *bytes.Buffer
}

// StartProcess starts a redis-server on a free loopback port, without persistence, with further
// arguments in redis-server's own form ("--maxmemory", "10mb"). It is killed when the test ends.
func StartProcess(t testing.TB, args ...string) *Server {
	t.Helper()
	return (*TLS)(nil).StartProcess(t, args...)
}

// StartProcess is as that of the package.
func (sec *TLS) StartProcess(t testing.TB, args ...string) *Server {
	t.Helper()
	return sec.startProcess(t, func(p *process) []string {
		return append(append(sec.listen(p.port), "--dir", p.dir, "--save", "", "--appendonly", "no", "--daemonize", "no"), args...)
	})
}

func (sec *TLS) startProcess(t testing.TB, args func(p *process) []string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatalf("this test needs a Redis: set %s, start a Docker engine, or install redis-server: %v", Env, err)
	}
	// A directory of our own rather than t.TempDir, whose removal would fail the test if a killed
	// server had left something half-written.
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{dir: dir, args: args, log: new(bytes.Buffer)}
	s := &Server{process: p, tls: sec}
	t.Cleanup(func() {
		s.kill()
		_ = os.RemoveAll(dir)
	})
	// A port that was free can be taken before the server has it.
	for try := 1; ; try++ {
		if p.port, err = freePort(); err == nil {
			s.Addr = net.JoinHostPort("127.0.0.1", p.port)
			s.URL = sec.scheme() + "://" + s.Addr
			err = s.start()
		}
		if err == nil {
			return s
		}
		if try == 5 {
			t.Fatalf("starting a redis-server: %v", err)
		}
	}
}

// Stop kills the server; what it held is gone.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.own(t)
	s.kill()
}

// Restart starts a server on the same port again, empty, after stopping the one that may still run.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.own(t)
	s.kill()
	if err := s.start(); err != nil {
		t.Fatalf("restarting redis-server: %v", err)
	}
}

// Pause stops the process from running; its connections stay open and nothing answers.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	s.own(t)
	if err := pause(s.process.cmd.Process); err != nil {
		t.Fatalf("pausing redis-server: %v", err)
	}
}

// Resume undoes Pause.
func (s *Server) Resume(t testing.TB) {
	t.Helper()
	s.own(t)
	if err := resume(s.process.cmd.Process); err != nil {
		t.Fatalf("resuming redis-server: %v", err)
	}
}

func (s *Server) own(t testing.TB) {
	t.Helper()
	if s.process == nil {
		t.Fatal("only a server of StartProcess can be stopped, paused and restarted")
	}
}

func (s *Server) start() error {
	p := s.process
	cmd := exec.Command("redis-server", p.args(p)...)
	p.log.Reset()
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	if err := s.await(5 * time.Second); err != nil {
		s.kill() // after which nothing writes the log any more
		return fmt.Errorf("%w; it said:\n%s", err, p.log)
	}
	return nil
}

func (s *Server) kill() {
	p := s.process
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
