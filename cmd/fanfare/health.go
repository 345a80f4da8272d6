package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// healthTimeout is for the whole of a check. Docker's and Kubernetes' own default is longer.
const healthTimeout = 2 * time.Second

// health asks an instance on this machine whether it works, for container health checks: images
// without a shell have no curl. It fails unless the instance says yes.
func health(ctx context.Context, args []string, stdout io.Writer) error {
	fs := toolFlags("health")
	ops := fs.String("ops", "", "`address` or URL of the instance's ops port (default: --ops as FANFARE_OPS or the file that FANFARE_CONFIG names have it)")
	ready := fs.Bool("ready", false, "ask whether it should get new sockets (/readyz), not only whether it works (/healthz)")
	if err := parseTool(fs, "[flags]", args, stdout); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see %s --help", fs.Arg(0), fs.Name())
	}
	if *ops == "" {
		var o options
		if err := o.read(nil, os.Environ(), io.Discard); err != nil {
			return err
		}
		*ops = o.Ops
	}
	path := "/healthz"
	if *ready {
		path = "/readyz"
	}
	url, err := opsURL(*ops)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s did not answer within %v", url+path, healthTimeout)
	} else if err != nil {
		return err
	}
	defer res.Body.Close()
	says, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, strings.TrimSpace(string(says)))
	}
	fmt.Fprintln(stdout, strings.TrimSpace(string(says)))
	return nil
}

// opsURL is where to reach an ops port that is given as a URL, or as an address to listen on.
func opsURL(address string) (string, error) {
	if strings.Contains(address, "://") {
		return strings.TrimSuffix(address, "/"), nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("--ops %q: want an address such as 127.0.0.1:9090, or a URL", address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1" // [::] may be on IPv6 alone
		}
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
