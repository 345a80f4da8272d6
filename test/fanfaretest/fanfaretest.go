// Package fanfaretest runs the real gateway for tests: the program of cmd/fanfare, built once per
// test program with the race detector, one process an instance.
//
// A test package that uses it hands its run over, so that the program built is removed at the end:
//
//	func TestMain(m *testing.M) { os.Exit(fanfaretest.Main(m)) }
package fanfaretest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second // to print the URLs; the race detector is slow on a busy machine
	stopTimeout  = 30 * time.Second // to exit after SIGTERM
	maxStderr    = 1 << 20          // bytes of a process's stderr that are kept: the last ones
)

// dir holds the program built. Set by Main, before any test.
var dir string

// Main runs the tests and then removes what Start built.
func Main(m *testing.M) int {
	var err error
	if dir, err = os.MkdirTemp("", "fanfaretest"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return m.Run()
}

// binary builds the program and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	if dir == "" {
		return "", errors.New("the package's TestMain does not call fanfaretest.Main")
	}
	path := filepath.Join(dir, "fanfare")
	out, err := exec.Command("go", "build", "-race", "-o", path, "github.com/fanfare-ws/fanfare/cmd/fanfare").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building cmd/fanfare: %w\n%s", err, out)
	}
	return path, nil
})

// Process is one running instance.
type Process struct {
	// Static after Start.
	PageURL   string // http://127.0.0.1:PORT/
	SocketURL string // ws://127.0.0.1:PORT/ws
	OpsURL    string // http://127.0.0.1:PORT/

	t      testing.TB
	cmd    *exec.Cmd
	stderr *tail
	exited chan struct{} // closed when the process has ended, after err was set
	err    error
}

// Start runs `fanfare serve` on free loopback ports with further arguments, which win over those,
// and returns once it has printed its URLs. What is set for the tests in the environment as
// FANFARE_… is kept from it. It is killed when the test ends; a data race fails the test.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"}, args...)
	p := &Process{t: t, cmd: exec.Command(path, args...), stderr: new(tail), exited: make(chan struct{})}
	p.cmd.Env = environment()
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = dieWithParent()
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	urls := make(chan error, 1)
	go func() {
		urls <- p.readURLs(stdout)
		_, _ = io.Copy(io.Discard, stdout) // until it ends, so that it never waits for a reader
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.cleanup)
	select {
	case err = <-urls:
	case <-time.After(startTimeout):
		err = fmt.Errorf("no URLs on stdout within %v", startTimeout)
	}
	if err != nil {
		t.Fatalf("starting fanfare %s: %v", strings.Join(args, " "), err)
	}
	return p
}

// readURLs reads the lines "page URL", "socket URL" and "ops URL", in any order among others.
func (p *Process) readURLs(stdout io.Reader) error {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "page":
			p.PageURL = words[1]
		case "socket":
			p.SocketURL = words[1]
		case "ops":
			p.OpsURL = words[1]
		}
		if p.PageURL != "" && p.SocketURL != "" && p.OpsURL != "" {
			return nil
		}
	}
	return fmt.Errorf("stdout ended without the URLs (page %q, socket %q, ops %q)", p.PageURL, p.SocketURL, p.OpsURL)
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stderr is what the process has logged so far, or its last megabyte.
func (p *Process) Stderr() string { return p.stderr.String() }

// Kill ends the process at once (SIGKILL), as a crash would, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Stop asks the process to end (SIGTERM) and waits for it; the test fails unless it exits with 0.
func (p *Process) Stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("stopping fanfare: %v", err)
		return
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		p.Kill()
		p.t.Errorf("fanfare did not exit within %v of SIGTERM", stopTimeout)
		return
	}
	if p.err != nil {
		p.t.Errorf("fanfare stopped: %v", p.err)
	}
}

func (p *Process) cleanup() {
	p.Kill()
	log := p.stderr.String()
	if strings.Contains(log, "WARNING: DATA RACE") {
		p.t.Errorf("fanfare has a data race")
	}
	if p.t.Failed() {
		p.t.Logf("stderr of fanfare %s:\n%s", strings.Join(p.cmd.Args[1:], " "), log)
	}
}

// environment is this program's without FANFARE_…: those of the tests are no settings.
func environment() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "FANFARE_") {
			env = append(env, entry)
		}
	}
	return env
}

// tail keeps the last maxStderr bytes written to it.
type tail struct {
	// Guarded by mu.
	mu   sync.Mutex
	data []byte
}

func (b *tail) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	if len(b.data) > 2*maxStderr {
		b.data = append([]byte(nil), b.data[len(b.data)-maxStderr:]...)
	}
	return len(p), nil
}

func (b *tail) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.data[max(0, len(b.data)-maxStderr):])
}
