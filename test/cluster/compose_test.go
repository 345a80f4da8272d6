//go:build cluster

package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/client"
)

const (
	root    = "../.."
	version = "v0.0.0-cluster" // of the image under test
	// within bounds what is waited for; commands of Docker may take longer.
	within         = 90 * time.Second
	commandTimeout = 5 * time.Minute
	poll           = 200 * time.Millisecond
)

// building is of the image, once for all projects.
var building sync.Once

// project is one that Compose has brought up.
type project struct {
	t    testing.TB
	name string
	file string // one more than docker-compose.yml, or none
	env  []string

	mu        sync.Mutex
	addresses map[string]string // by service and port; guarded by mu
}

// up builds the image, brings services of the project up, with the one further file if there is one,
// and takes it all down when the test ends.
func up(t testing.TB, name string, replicas int, file string, services ...string) *project {
	t.Helper()
	p := &project{t: t, name: name, file: file, addresses: make(map[string]string)}
	p.env = append(os.Environ(), "PORT=0", "PROMETHEUS_PORT=0", "GRAFANA_PORT=0", "VERSION="+version, "REVISION=deadbeef", "NOFILE="+strconv.Itoa(files65536(t)))
	p.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := p.try("docker", p.args("logs", "--tail", "60", "gateway", "haproxy", "redis")...)
			t.Logf("logs:\n%s", out)
		}
		p.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
	})
	if slices.Contains(services, "prometheus") && p.grafana() {
		services = append(services, "grafana")
	}
	building.Do(func() { p.compose("build", "gateway") })
	p.compose(append([]string{"up", "--detach", "--wait", "--scale", "gateway=" + strconv.Itoa(replicas)}, services...)...)
	return p
}

// files65536 is that limit, or what this machine allows.
func files65536(t testing.TB) int {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return int(min(l.Max, 65536))
}

// grafana reports whether there is its image, or it can be pulled.
func (p *project) grafana() bool {
	image := ""
	for _, line := range strings.Fields(p.compose("config", "--images", "grafana")) {
		if strings.HasPrefix(line, "grafana/") {
			image = line
		}
	}
	if image == "" {
		p.t.Fatal("docker-compose.yml has no image of Grafana")
	}
	if _, err := p.try("docker", "image", "inspect", image); err == nil {
		return true
	}
	if out, err := p.try("docker", "pull", "--quiet", image); err != nil {
		p.t.Logf("Grafana is left out, its image cannot be had: %s", out)
		return false
	}
	return true
}

func (p *project) args(args ...string) []string {
	all := []string{"compose", "--project-name", p.name, "--project-directory", root, "--file", root + "/docker-compose.yml"}
	if p.file != "" {
		all = append(all, "--file", root+"/"+p.file)
	}
	return append(all, args...)
}

// compose runs docker compose and returns what it printed.
func (p *project) compose(args ...string) string {
	p.t.Helper()
	return p.docker(p.args(args...)...)
}

// docker runs docker; the test ends when it fails.
func (p *project) docker(args ...string) string {
	p.t.Helper()
	out, err := p.try("docker", args...)
	if err != nil {
		p.t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (p *project) try(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = p.env
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return string(out) + errors.String(), err
	}
	return string(out), nil
}

// address is where a service's port is published: that of a service whose container stays.
func (p *project) address(service string, port int) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	key := fmt.Sprint(service, port)
	if at, ok := p.addresses[key]; ok {
		return at
	}
	_, at, err := net.SplitHostPort(strings.TrimSpace(p.compose("port", service, strconv.Itoa(port))))
	if err != nil {
		p.t.Fatalf("the port of %s: %v", service, err)
	}
	p.addresses[key] = net.JoinHostPort("127.0.0.1", at)
	return p.addresses[key]
}

// instances are the containers of the gateway that run, by the names that they give themselves.
func (p *project) instances() []string {
	p.t.Helper()
	var names []string
	for _, id := range strings.Fields(p.compose("ps", "--quiet", "gateway")) {
		names = append(names, id[:12]) // the host name of a container
	}
	return names
}

// ready reports what an instance says of itself.
func (p *project) ready(instance string) bool {
	_, err := p.try("docker", "exec", instance, "/fanfare", "health", "--ready")
	return err == nil
}

func (p *project) healthy(instance string) bool {
	_, err := p.try("docker", "exec", instance, "/fanfare", "health")
	return err == nil
}

// scale starts or stops instances until there are n that are ready.
func (p *project) scale(n int) {
	p.t.Helper()
	p.compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", "--no-build", "--scale", fmt.Sprintf("gateway=%d", n), "gateway")
	until(p.t, fmt.Sprintf("%d instances are ready", n), func() bool {
		all := p.instances()
		for _, i := range all {
			if !p.ready(i) {
				return false
			}
		}
		return len(all) == n
	})
}

// balanced waits until the balancer gives sockets to n instances.
func (p *project) balanced(n int) {
	p.t.Helper()
	url := "ws://" + p.address("haproxy", 8080) + "/ws"
	until(p.t, fmt.Sprintf("%d sockets are on %d instances", n, n), func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		on := make(map[string]bool)
		for range n {
			c, err := client.Dial(ctx, url, client.Options{})
			if err != nil {
				return false
			}
			defer c.Close()
			on[c.Welcome().Instance] = true
		}
		return len(on) == n
	})
}

// until waits until something holds; when it does not in time the test ends.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(poll) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}
