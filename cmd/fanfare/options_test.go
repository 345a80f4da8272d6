package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// config writes a configuration file and returns its path.
func config(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fanfare.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAFlagRanksBeforeTheEnvironmentBeforeTheFileBeforeTheDefault(t *testing.T) {
	file := config(t, "name: of-file\nops: of-file:1\nlisten: of-file:2\nmax-rooms: 7\n")
	var o options
	err := o.read(
		[]string{"--config", file, "--name", "of-flag"},
		[]string{"FANFARE_NAME=of-env", "FANFARE_OPS=of-env:1", "HOME=/"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{o.Name, o.Ops, o.Listen, o.MaxRooms, o.History}
	if diff := cmp.Diff([]any{"of-flag", "of-env:1", "of-file:2", 7, 256}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFlagWithItsDefaultValueStillRanksFirst(t *testing.T) {
	var o options
	if err := o.read([]string{"--history", "256"}, []string{"FANFARE_HISTORY=1"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if o.History != 256 {
		t.Errorf("history is %d, want the flag's 256", o.History)
	}
}

func TestTheFileCanBeNamedInTheEnvironment(t *testing.T) {
	var o options
	if err := o.read(nil, []string{"FANFARE_CONFIG=" + config(t, "name: x")}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if o.Name != "x" {
		t.Errorf("name is %q, want the file's", o.Name)
	}
}

func TestValuesAreReadAlikeFromEverywhere(t *testing.T) {
	for name, read := range map[string]func(*options) error{
		"flags": func(o *options) error {
			return o.read([]string{"--origins=https://a.example, https://b.example", "--trusted-proxies", "10.0.0.0/8,192.0.2.1",
				"--max-message", "1MiB", "--slow-limit", "4096", "--max-header=16KiB", "--idle", "2m", "--rate", "-1", "--api-key", "0123"}, nil, io.Discard)
		},
		"environment": func(o *options) error {
			return o.read(nil, []string{"FANFARE_ORIGINS=https://a.example,https://b.example", "FANFARE_TRUSTED_PROXIES=10.0.0.0/8,192.0.2.1",
				"FANFARE_MAX_MESSAGE=1048576", "FANFARE_SLOW_LIMIT=4KiB", "FANFARE_MAX_HEADER=16KiB", "FANFARE_IDLE=120s", "FANFARE_RATE=-1", "FANFARE_API_KEY=0123"}, io.Discard)
		},
		"file": func(o *options) error {
			return o.read([]string{"--config", config(t, `
origins: [https://a.example, https://b.example]
trusted-proxies:
  - 10.0.0.0/8
  - 192.0.2.1
max-message: 1048576
slow-limit: 4KiB
max-header: 16KiB
idle: 2m
rate: -1
api-key: 0123 # not an octal number
`)}, nil, io.Discard)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o options
			if err := read(&o); err != nil {
				t.Fatal(err)
			}
			got := []any{[]string(o.Origins), int(o.MaxMessage), int(o.SlowLimit), int(o.MaxHeader), o.Idle, o.Rate, o.APIKey}
			want := []any{[]string{"https://a.example", "https://b.example"}, 1 << 20, 4096, 16 << 10, 2 * time.Minute, -1, "0123"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			proxies := prefixes{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")}
			if o.TrustedProxies.String() != proxies.String() {
				t.Errorf("proxies are %v, want %v", o.TrustedProxies, proxies)
			}
		})
	}
}

func TestWhatIsWrongIsToldClearly(t *testing.T) {
	for name, c := range map[string]struct {
		args, environ []string
		file          string
		want          string // a part of the error
	}{
		"unknown flag":         {args: []string{"--histroy", "5"}, want: "flag provided but not defined: -histroy\nsee fanfare serve --help"},
		"argument":             {args: []string{"run"}, want: `unexpected argument "run"`},
		"unknown variable":     {environ: []string{"FANFARE_HISTROY=5"}, want: "FANFARE_HISTROY in the environment is no option"},
		"lower case variable":  {environ: []string{"FANFARE_history=5"}, want: "FANFARE_history in the environment is no option"},
		"unknown key":          {file: "name: x\nhistroy: 5\n", want: `fanfare.yaml:2: unknown key "histroy"`},
		"file in file":         {file: "config: other.yaml\n", want: `unknown key "config"`},
		"key twice":            {file: "name: x\nname: y\n", want: "fanfare.yaml:2: name is given twice"},
		"key without value":    {file: "redis:\n", want: "fanfare.yaml:1: redis: it has no value"},
		"list for one value":   {file: "redis: [a, b]\n", want: "redis: want one value"},
		"mapping":              {file: "origins: {a: b}\n", want: "origins: want a value or a list of values"},
		"no mapping":           {file: "- name\n", want: "want lines of key: value"},
		"no YAML":              {file: "a: [\n", want: "--config: "},
		"no file":              {args: []string{"--config", "no-such-file"}, want: "--config: open no-such-file"},
		"number":               {args: []string{"--history", "many"}, want: `invalid value "many" for flag -history: want a whole number`},
		"number in env":        {environ: []string{"FANFARE_RATE=fast"}, want: `FANFARE_RATE: invalid value "fast": want a whole number`},
		"time without unit":    {file: "history-ttl: 600\n", want: `history-ttl: invalid value "600": want a time such as 30s or 5m`},
		"size":                 {args: []string{"--max-message", "64KB"}, want: `invalid value "64KB" for flag -max-message: want bytes, or a size such as 64KiB`},
		"size too large":       {args: []string{"--max-message", "2GiB"}, want: "below 2GiB"},
		"network":              {args: []string{"--trusted-proxies", "10.0.0.0/8,lan"}, want: `"lan" is no network`},
		"choice":               {args: []string{"--slow", "drop"}, want: `--slow "drop": want close or skip`},
		"protocol":             {args: []string{"--serve", "fanfare,chats"}, want: `--serve "chats": want fanfare or chat or echo or secure or page`},
		"nothing to serve":     {environ: []string{"FANFARE_SERVE="}, want: "--serve is empty"},
		"auth empty":           {environ: []string{"FANFARE_AUTH="}, want: "--auth is empty"},
		"none and jwt":         {args: []string{"--auth", "none,jwt", "--jwt-key", "k"}, want: "none lets everyone in"},
		"key without jwt":      {args: []string{"--jwt-key", "k"}, want: "add --auth jwt"},
		"audience without jwt": {args: []string{"--jwt-audience", "a"}, want: "add --auth jwt"},
		"half of TLS":          {args: []string{"--tls-cert", "c.pem"}, want: "--tls-cert and --tls-key go together"},
		"epoll with TLS":       {args: []string{"--tls-cert", "c", "--tls-key", "k", "--transport", "epoll"}, want: "--transport epoll cannot do TLS"},
		"idle before ping":     {args: []string{"--idle", "10s"}, want: "--idle 10s is not longer than --ping 30s"},
		"rate 0":               {args: []string{"--rate", "0"}, want: "--rate 0: want messages a second, or -1 for no limit"},
		"too short":            {args: []string{"--drain", "10ms"}, want: "--drain 10ms: want at least 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file != "" {
				c.args = append(c.args, "--config", config(t, c.file))
			}
			var o options
			err := o.read(c.args, c.environ, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant it to say %q", err, c.want)
			}
		})
	}
}

func TestAllThatIsWrongIsToldTogether(t *testing.T) {
	var o options
	err := o.read(
		[]string{"--histroy", "5", "--burst", "x", "--slow", "drop", "--config", config(t, "nmae: x\nping: soon\n")},
		[]string{"FANFARE_LISTN=:1", "FANFARE_RATE=fast"}, io.Discard)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"-histroy", "-burst", "--slow", "nmae", "ping", "FANFARE_LISTN", "FANFARE_RATE"} {
		if n := strings.Count(err.Error(), want); n != 1 {
			t.Errorf("%s is named %d times, want once, in:\n%v", want, n, err)
		}
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 8 || lines[7] != "see fanfare serve --help" {
		t.Errorf("got these %d lines, want one for each of seven faults and where help is:\n%v", len(lines), err)
	}
}

func TestVariablesThatAreNotOursToReadAreLeftAlone(t *testing.T) {
	var o options
	err := o.read(nil, []string{
		"FANFARE_TOKEN=t", "FANFARE_TEST_REDIS=redis://localhost", "FANFARED=1", "PATH=/bin",
		// What Kubernetes sets for services named fanfare and fanfare-redis.
		"FANFARE_SERVICE_HOST=10.0.0.1", "FANFARE_SERVICE_PORT=8080", "FANFARE_SERVICE_PORT_HTTP=8080", "FANFARE_PORT=tcp://10.0.0.1:8080",
		"FANFARE_PORT_8080_TCP=tcp://10.0.0.1:8080", "FANFARE_PORT_8080_TCP_ADDR=10.0.0.1", "FANFARE_REDIS_SERVICE_HOST=10.0.0.2",
		"FANFARE_REDIS_PORT=tcp://10.0.0.2:6379", "FANFARE_REDIS_PORT_6379_TCP_PROTO=tcp",
	}, io.Discard)
	if err != nil {
		t.Error(err)
	}
}

func TestAFileMayBeEmptyAndUseAnchors(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "name: &n x\nredis-prefix: *n\n"} {
		var o options
		if err := o.read([]string{"--config", config(t, text)}, nil, io.Discard); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestHelpNamesEveryFlagWithItsDefault(t *testing.T) {
	var out bytes.Buffer
	var o options
	if err := o.read([]string{"--rate", "x", "--help"}, []string{"FANFARE_BOGUS=1"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("got %v, want flag.ErrHelp", err)
	}
	new(options).flags().VisitAll(func(f *flag.Flag) {
		unit, text := flag.UnquoteUsage(f)
		want := "  --" + f.Name + " " + unit
		if f.DefValue != "" {
			want += "  (default " + f.DefValue + ")"
		}
		if !strings.Contains(out.String(), want+"\n        "+text+"\n") {
			t.Errorf("no %q in\n%s", want, &out)
		}
		if unit == "" || unit == "value" {
			t.Errorf("--%s has no unit", f.Name)
		}
	})
}

func TestTheDefaultsAreAccepted(t *testing.T) {
	var o options
	if err := o.read(nil, nil, io.Discard); err != nil {
		t.Error(err)
	}
}
