package kube

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// testSecrets are the Secrets that the examples refer to.
func testSecrets(t *testing.T) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ws.example.com"}, DNSNames: []string{"ws.example.com"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	cert, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	public, err3 := x509.MarshalPKIXPublicKey(key.Public())
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return map[string]string{
		"fanfare-redis/redis-password": "p%40ss",
		"fanfare-redis/url":            "redis+cluster://127.0.0.1:1,127.0.0.1:2",
		"fanfare-jwt/jwt-key":          strings.Repeat("0123456789abcdef", 4),
		"fanfare-api/api-key":          "the key of the API",
		"issuer-keys/keys.pem":         block("PUBLIC KEY", public),
		"ws-example-com/tls.crt":       block("CERTIFICATE", cert),
		"ws-example-com/tls.key":       block("PRIVATE KEY", private),
	}
}

// The binary takes what the chart gives it in every example. Where there is no Redis to be had it is
// alive, and not ready.
func TestTheBinaryRunsAsTheContainerOfEveryExample(t *testing.T) {
	secrets := testSecrets(t)
	for name, doc := range examples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := mustRender(t, doc)
			d, c := w.gateway(t)
			p := start(t, w, secrets)
			p.becomes(t, c.StartupProbe, 200)
			ready := 200
			if name != "defaults" {
				ready = 503
			}
			p.becomes(t, c.ReadinessProbe, ready)
			if got := p.probe(c.LivenessProbe); got != 200 {
				t.Errorf("liveness is %d: the pod would be restarted", got)
			}
			keyed := slices.ContainsFunc(environment(t, c, secrets), func(e string) bool { return strings.HasPrefix(e, "FANFARE_API_KEY=") })
			if got := p.publish(t, ""); keyed != (got == 401) {
				t.Errorf("publishing without a key: %d, there is a key: %v", got, keyed)
			}
			grace := time.Duration(*d.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
			if c.Lifecycle != nil {
				grace -= time.Duration(c.Lifecycle.PreStop.Sleep.Seconds) * time.Second
			}
			p.terminate(t, grace)
		})
	}
}

// In --drain-delay the instance is alive and serves, and no balancer sends it anything new.
func TestAPodThatEndsIsNotReadyFirst(t *testing.T) {
	w := mustRender(t, "drain: {delaySeconds: 2, seconds: 3}")
	_, c := w.gateway(t)
	p := start(t, w, nil)
	p.becomes(t, c.ReadinessProbe, 200)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.terminate(t, 10*time.Second)
	}()
	p.becomes(t, c.ReadinessProbe, 503)
	if got := p.probe(c.LivenessProbe); got != 200 {
		t.Errorf("liveness is %d while it drains", got)
	}
	if got := status(p.public + "/"); got != 200 {
		t.Errorf("a page in the delay: %d", got)
	}
	<-done
}

// The bundled Redis starts with the chart's arguments and is one that instances take.
func TestTheBundledRedisServes(t *testing.T) {
	w := mustRender(t, examples(t)["try"])
	args := slices.Clone(w.deployments["live-fanfare-redis"].Spec.Template.Spec.Containers[0].Args)
	i := slices.Index(args, "/data")
	if i < 0 {
		t.Fatal(args)
	}
	args[i] = t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	var log strings.Builder
	cmd := exec.Command("redis-server", append(args, "--bind", "127.0.0.1", "--port", port)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Log(log.String())
		}
	})
	_, c := w.gateway(t)
	p := start(t, w, nil, "--redis=redis://127.0.0.1:"+port)
	p.becomes(t, c.ReadinessProbe, 200)
	if got := p.publish(t, ""); got != 200 {
		t.Errorf("publishing: %d", got)
	}
	for _, want := range []string{"maxmemory 201326592", "maxmemory-policy noeviction", "save ", "appendonly no"} {
		name, value, _ := strings.Cut(want, " ")
		out, err := exec.Command("redis-cli", "-p", port, "config", "get", name).Output()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != name+"\n"+value {
			t.Errorf("%q, %v, want %s", got, err, want)
		}
	}
	out, err := exec.Command("redis-cli", "-p", port, "config", "get", "client-output-buffer-limit").Output()
	if err != nil || !strings.Contains(string(out), "pubsub 67108864 33554432 60") {
		t.Errorf("%s, %v", out, err)
	}
	p.terminate(t, 20*time.Second)
}
