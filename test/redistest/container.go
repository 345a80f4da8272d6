package redistest

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
)

// image is the one that docker-compose.yml names.
const image = "redis:7-alpine"

// dockerAnswers finds out within a second whether somebody listens where a Docker engine would.
func dockerAnswers() bool {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	network, addr, ok := strings.Cut(host, "://")
	if !ok || (network != "unix" && network != "tcp") {
		return false
	}
	c, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func startContainer(t testing.TB) (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := testcontainers.Run(ctx, image, testcontainers.WithExposedPorts("6379/tcp"),
		testcontainers.WithCmd("--save", "", "--appendonly", "no", "--protected-mode", "no"))
	testcontainers.CleanupContainer(t, c)
	if err != nil {
		return nil, err
	}
	addr, err := c.PortEndpoint(ctx, "6379/tcp", "")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "redis://" + addr, Addr: addr}
	return s, s.await(30 * time.Second)
}
