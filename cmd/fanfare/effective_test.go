package main

import (
	"bytes"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestConfigPrintsWhatIsInEffectAndWhereItIsFrom(t *testing.T) {
	t.Setenv("FANFARE_HISTORY", "20")
	file := config(t, "slow: skip\nrooms:\n  - {match: \"news.*\", history: 1000, ttl: 1h}\n  - {match: \"cursor.*\", history: 0}\n")
	out, err := fanfare(t, "config", "--config", file, "--name", "here", "--max-sockets", "100", "--api-key", "k")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# with --config " + file, "# api-key: set by flag, and not shown",
		"name: here # flag", "history: 20 # environment", "slow: skip # file", "idle: 1m15s", "history-ttl: 10m", "listen: :8080", "rate: 100",
		"rooms:", `  - {match: news.*, history: 1000, ttl: 1h}`, `  - {match: cursor.*, history: 0}`,
	} {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
}

func TestWhatConfigPrintsIsAConfiguration(t *testing.T) {
	var o, again options
	file := config(t, "rooms: [{match: \"*.x\", history: 3, ttl: 90m}]\nname: \"0123\"\n")
	args := []string{"--config", file, "--origins", "*", "--trusted-proxies", "10.0.0.0/8,::1", "--redis", "redis://host", "--serve", "echo,page",
		"--rate", "-1", "--drain", "61m", "--max-message", "70001", "--tls-cert", "a: b", "--tls-key", " #x", "--log-level", "warn"}
	if err := o.read(args, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printConfig(&out, &o); err != nil {
		t.Fatal(err)
	}
	if err := again.read([]string{"--config", config(t, out.String())}, nil, io.Discard); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if diff := cmp.Diff(o, again, cmp.AllowUnexported(options{}), cmpopts.IgnoreFields(options{}, "Config", "from"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}

// Whatever option a secret is put into, neither the log nor `fanfare config` may show it.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = "hunter2"
	given := map[string]string{
		"jwt-key": secret, "api-key": secret,
		"redis": "redis+sentinel://user:" + secret + "@a:1,b:2/0?sentinel_user=u&sentinel_password=" + secret,
	}
	for _, o := range []options{
		{JWTKey: secret, APIKey: secret, Redis: given["redis"]},
		{Redis: "redis://:" + secret + "@host:6379"},
		{Redis: "rediss://user:x@" + secret + "@host"},
		{Redis: "redis://user:x/?#" + secret + "@host"},
	} {
		o.from = map[string]string{}
		var shown bytes.Buffer
		if err := printConfig(&shown, &o); err != nil {
			t.Fatal(err)
		}
		addr := &net.TCPAddr{}
		logStart(slog.New(slog.NewJSONHandler(&shown, nil)), &o, addr, addr)
		if strings.Contains(shown.String(), secret) {
			t.Errorf("the secret is shown:\n%s", shown.String())
		}
		if o.Redis != "" && !strings.Contains(shown.String(), "xxxxx@") {
			t.Errorf("no sign that there is a password:\n%s", shown.String())
		}
	}
	// An option to come whose help calls it a key or a secret has to be listed.
	new(options).flags().VisitAll(func(f *flag.Flag) {
		if unit, _ := flag.UnquoteUsage(f); (unit == "key" || unit == "secret") != secrets[f.Name] {
			t.Errorf("--%s takes a %s: secrets has it %v", f.Name, unit, secrets[f.Name])
		}
	})
}

func TestConfigReportsAllThatIsWrong(t *testing.T) {
	_, err := fanfare(t, "config", "--listen", "nowhere", "--ops", "127.0.0.1:seven", "--redis", "http://h", "--auth", "jwt",
		"--jwt-key-file", filepath.Join(t.TempDir(), "none"), "--tls-cert", "no.pem", "--tls-key", "no.pem", "--origins", "app.example")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"--listen: ", "--ops: ", "redis://", "no such file", "--tls-cert: ", "app.example"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if _, err := fanfare(t, "config", "--max-sockets", "0"); err == nil || !strings.Contains(err.Error(), "--max-sockets 0") {
		t.Errorf("got %v", err)
	}
}

func TestTheStartIsLoggedWithTheConfiguration(t *testing.T) {
	log, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var o options
	if err := o.read([]string{"--name", "here", "--history-ttl", "2h"}, nil, io.Discard); err != nil {
		t.Fatal(err)
	}
	logStart(newLogger(&o, log), &o, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 81}, &net.TCPAddr{Port: 82})
	b, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i, wants := range [][]string{{"msg=starting name=here", "listen=127.0.0.1:81", "ops=:82"}, {"msg=configuration", " name=here ", " history-ttl=2h ", " idle=1m15s "}} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("no %q in line %d of\n%s", want, i+1, b)
			}
		}
	}
}

func TestHealthAsksTheInstance(t *testing.T) {
	urls := serving(t)
	for _, args := range [][]string{
		{"health", "--ops", urls["ops"]},
		{"health", "--ops", strings.TrimSuffix(strings.TrimPrefix(urls["ops"], "http://"), "/")},
	} {
		if out, err := fanfare(t, args...); err != nil || out != "ok\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	_, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(urls["ops"], "http://"), "/"))
	t.Setenv("FANFARE_OPS", ":"+port)
	if out, err := fanfare(t, "health", "--ready"); err != nil || out != "ready\n" {
		t.Errorf("with FANFARE_OPS: %q, %v", out, err)
	}
}

func TestHealthFailsUnlessTheInstanceSaysYes(t *testing.T) {
	// A Redis that is not there: the instance works, and is not ready.
	urls := serving(t, "--redis", "redis://127.0.0.1:1")
	if out, err := fanfare(t, "health", "--ops", urls["ops"]); err != nil || out != "ok\n" {
		t.Errorf("without Redis: %q, %v", out, err)
	}
	if _, err := fanfare(t, "health", "--ready", "--ops", urls["ops"]); err == nil || !strings.HasPrefix(err.Error(), "503 Service Unavailable: the broker") {
		t.Errorf("ready without Redis: %v", err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	if _, err := fanfare(t, "health", "--ops", silent.Addr().String()); err == nil || !strings.Contains(err.Error(), "did not answer within 2s") || time.Since(began) > 10*time.Second {
		t.Errorf("of a port that says nothing: %v after %v", err, time.Since(began))
	}
	for want, args := range map[string][]string{
		"connection refused": {"--ops", "127.0.0.1:1"},
		`--ops "9090"`:       {"--ops", "9090"},
		"unexpected":         {"now"},
	} {
		if _, err := fanfare(t, append([]string{"health"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("health %v: got %v, want it to say %q", args, err, want)
		}
	}
}

func TestWhereAnOpsPortIsReached(t *testing.T) {
	for address, want := range map[string]string{
		":9090": "http://127.0.0.1:9090", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://[::1]:1", "10.0.0.1:2": "http://10.0.0.1:2",
		"localhost:3": "http://localhost:3", "https://ops.example/": "https://ops.example",
	} {
		if got, err := opsURL(address); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", address, got, err, want)
		}
	}
}
