package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fanfare-ws/fanfare/gateway"
)

// options are the flags of fanfare serve. Each is also FANFARE_… in the environment and a key of
// the file given with --config; a flag counts before the environment, that before the file.
type options struct {
	Listen, Ops, Name, Config string

	Redis, RedisPrefix string
	RedisPartitions    int
	History            int
	HistoryTTL         time.Duration

	Auth                                       list
	JWTKey, JWTKeyFile, JWTAudience, JWTIssuer string
	SessionCookie, TokenParam, Reject, APIKey  string
	Origins                                    list
	TrustedProxies                             prefixes
	TLSCert, TLSKey                            string
	MaxMessage, MaxHeader, SlowLimit           size
	MaxSockets, MaxRooms, Rate, Burst          int
	HandshakeTimeout, Ping, Idle, Drain        time.Duration
	Slow, Transport, LogLevel, LogFormat       string
	Serve                                      list
}

// flags binds the options to a flag set, which knows names, defaults and help.
func (o *options) flags() *flag.FlagSet {
	o.Serve, o.Auth = gateway.Serves, list{"none"}
	o.MaxMessage, o.MaxHeader, o.SlowLimit = 64<<10, 8<<10, 1<<20
	fs := flag.NewFlagSet("fanfare serve", flag.ContinueOnError)
	fs.StringVar(&o.Listen, "listen", ":8080", "`address` for sockets, pages and /healthz")
	fs.StringVar(&o.Ops, "ops", "127.0.0.1:9090", "`address` for /metrics, /healthz, /readyz, /api/… and /debug/pprof/; never for the public")
	fs.StringVar(&o.Name, "name", "", "`name` of this instance (default: the host name)")
	fs.StringVar(&o.Config, "config", "", "YAML `file` with any of these options as keys")
	fs.StringVar(&o.Redis, "redis", "", "`URL` of the Redis that all instances share: redis:// or rediss:// (default: none, messages stay in this instance)")
	fs.StringVar(&o.RedisPrefix, "redis-prefix", "fanfare", "`prefix` of all keys and channels")
	fs.IntVar(&o.RedisPartitions, "redis-partitions", 1, "`number` of parts that rooms are spread over; the same on all instances")
	fs.IntVar(&o.History, "history", 256, "`messages` kept a room; 0: none, and messages have no offset")
	fs.DurationVar(&o.HistoryTTL, "history-ttl", 10*time.Minute, "`time` for which they are kept after a room's last message")
	fs.Var(&o.Auth, "auth", "how credentials are checked: `none` or jwt")
	fs.StringVar(&o.JWTKey, "jwt-key", "", "`secret` of HS256 tokens")
	fs.StringVar(&o.JWTKeyFile, "jwt-key-file", "", "PEM `file` with public keys for RS256, ES256 or EdDSA tokens")
	fs.StringVar(&o.JWTAudience, "jwt-audience", "", "`aud` that tokens have to name")
	fs.StringVar(&o.JWTIssuer, "jwt-issuer", "", "`iss` that tokens have to name")
	fs.StringVar(&o.SessionCookie, "session-cookie", "session", "`name` of the cookie in which a credential is looked for")
	fs.StringVar(&o.TokenParam, "token-param", "token", "`name` of the query parameter in which a credential is looked for")
	fs.StringVar(&o.Reject, "reject", "close", "a missing or invalid credential gets a socket that is closed with 1008 (`close`), or an HTTP 401 (http)")
	fs.StringVar(&o.APIKey, "api-key", "", "`key` that /api/… needs as a bearer (default: none, and only this machine may publish)")
	fs.Var(&o.Origins, "origins", "`origins` of web pages that may open sockets, such as https://app.example.com,https://*.example.com; * for all (default: the same host, which has to be named too once others are)")
	fs.Var(&o.TrustedProxies, "trusted-proxies", "`networks` of proxies whose X-Forwarded-For and -Proto are believed, such as 10.0.0.0/8")
	fs.StringVar(&o.TLSCert, "tls-cert", "", "PEM `file` with the certificate; with --tls-key sockets and pages are served with TLS")
	fs.StringVar(&o.TLSKey, "tls-key", "", "PEM `file` with the certificate's key")
	fs.Var(&o.MaxMessage, "max-message", "`bytes` of a message from a client; beyond it the socket is closed with 1009")
	fs.Var(&o.MaxHeader, "max-header", "`bytes` of a request's header; beyond it the answer is 431")
	fs.IntVar(&o.MaxSockets, "max-sockets", defaultMaxSockets(), "`sockets` open at a time; beyond it the answer is 503 (the default leaves room under RLIMIT_NOFILE)")
	fs.IntVar(&o.MaxRooms, "max-rooms", 64, "`rooms` a socket may be in")
	fs.IntVar(&o.Rate, "rate", 100, "`messages` a second that a socket may send; -1: no limit")
	fs.IntVar(&o.Burst, "burst", 200, "`messages` that a socket may send at once")
	fs.DurationVar(&o.HandshakeTimeout, "handshake-timeout", 5*time.Second, "`time` for a request's header to arrive")
	fs.DurationVar(&o.Ping, "ping", 30*time.Second, "a socket that was silent for this `time` gets a ping")
	fs.DurationVar(&o.Idle, "idle", 75*time.Second, "a socket that was silent for this `time`, pings included, is closed")
	fs.DurationVar(&o.Drain, "drain", 20*time.Second, "`time` that closing the sockets may take after SIGTERM")
	fs.StringVar(&o.Slow, "slow", "close", "what happens to a member that is --slow-limit behind: `close` with 1013, or skip to the newest message")
	fs.Var(&o.SlowLimit, "slow-limit", "`bytes` that a member may be behind")
	fs.Var(&o.Serve, "serve", "`protocols` and pages that are on")
	fs.StringVar(&o.Transport, "transport", "auto", "`auto`, epoll (Linux, without TLS) or goroutine")
	fs.StringVar(&o.LogLevel, "log-level", "info", "debug, `info`, warn or error")
	fs.StringVar(&o.LogFormat, "log-format", "text", "`text` or json")
	return fs
}

// read fills the options from the command line, the environment and the file, and checks them.
func (o *options) read(args []string, environ []string, stderr io.Writer) error {
	fs := o.flags()
	fs.SetOutput(stderr)
	fs.Usage = func() { printFlags(stderr, fs) }
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errors.New("see fanfare serve --help") // the flag set has said what is wrong
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see fanfare serve --help", fs.Arg(0))
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	for _, e := range environ {
		key, value, _ := strings.Cut(e, "=")
		name, ok := strings.CutPrefix(key, "FANFARE_")
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		if !ok || given[name] || fs.Lookup(name) == nil {
			continue
		}
		given[name] = true
		if err := fs.Set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if o.Config != "" {
		errs = append(errs, readFile(o.Config, fs, given))
	}
	errs = append(errs, o.check())
	return errors.Join(errs...)
}

// readFile sets what the file has and nothing else has given.
func readFile(path string, fs *flag.FlagSet, given map[string]bool) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var keys map[string]any
	if err := yaml.Unmarshal(b, &keys); err != nil {
		return fmt.Errorf("--config: %s: %w", path, err)
	}
	var errs []error
	for name, value := range keys {
		if fs.Lookup(name) == nil || name == "config" {
			errs = append(errs, fmt.Errorf("%s: unknown key %q: the keys are the flags of fanfare serve --help, without dashes before them", path, name))
			continue
		}
		if given[name] {
			continue
		}
		text := fmt.Sprint(value)
		if many, ok := value.([]any); ok {
			parts := make([]string, len(many))
			for i, v := range many {
				parts[i] = fmt.Sprint(v)
			}
			text = strings.Join(parts, ",")
		}
		if err := fs.Set(name, text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", path, name, err))
		}
	}
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	return errors.Join(errs...)
}

// check reports all that is wrong.
func (o *options) check() error {
	var errs []error
	oneOf := func(name, value string, want ...string) {
		for _, w := range want {
			if value == w {
				return
			}
		}
		errs = append(errs, fmt.Errorf("--%s %q: want %s", name, value, strings.Join(want, " or ")))
	}
	oneOf("reject", o.Reject, "close", "http")
	oneOf("slow", o.Slow, "close", "skip")
	oneOf("transport", o.Transport, "auto", "epoll", "goroutine")
	oneOf("log-level", o.LogLevel, "debug", "info", "warn", "error")
	oneOf("log-format", o.LogFormat, "text", "json")
	for _, a := range o.Auth {
		oneOf("auth", a, "none", "jwt")
	}
	jwt := contains(o.Auth, "jwt")
	if jwt && contains(o.Auth, "none") {
		errs = append(errs, errors.New("--auth none,jwt: none lets everyone in, name only one of them"))
	}
	if !jwt && (o.JWTKey != "" || o.JWTKeyFile != "") {
		errs = append(errs, errors.New("a JWT key is given, but tokens are not checked: add --auth jwt"))
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together"))
	}
	for _, n := range []struct {
		name  string
		value int
		least int
	}{{"max-sockets", o.MaxSockets, 1}, {"max-rooms", o.MaxRooms, 1}, {"burst", o.Burst, 1}, {"redis-partitions", o.RedisPartitions, 1},
		{"max-message", int(o.MaxMessage), 125}, {"max-header", int(o.MaxHeader), 512}, {"slow-limit", int(o.SlowLimit), 1024}, {"history", o.History, 0}} {
		if n.value < n.least {
			errs = append(errs, fmt.Errorf("--%s %d: want at least %d", n.name, n.value, n.least))
		}
	}
	if o.Rate == 0 || o.Rate < -1 {
		errs = append(errs, fmt.Errorf("--rate %d: want messages a second, or -1 for no limit", o.Rate))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"handshake-timeout", o.HandshakeTimeout}, {"ping", o.Ping}, {"idle", o.Idle}, {"history-ttl", o.HistoryTTL}, {"drain", o.Drain}} {
		if d.value < time.Second {
			errs = append(errs, fmt.Errorf("--%s %s: want at least 1s", d.name, d.value))
		}
	}
	if o.Idle <= o.Ping {
		errs = append(errs, fmt.Errorf("--idle %s is not longer than --ping %s: every silent socket would be closed", o.Idle, o.Ping))
	}
	return errors.Join(errs...)
}

func contains(l []string, s string) bool {
	for _, x := range l {
		if x == s {
			return true
		}
	}
	return false
}

// printFlags is the help: a line for the flag, its unit and default, and what it does.
func printFlags(w io.Writer, fs *flag.FlagSet) {
	fmt.Fprintf(w, "%s runs a gateway until SIGTERM. Flags, each also FANFARE_… in the environment and a key of --config:\n\n", fs.Name())
	fs.VisitAll(func(f *flag.Flag) {
		unit, text := flag.UnquoteUsage(f)
		fmt.Fprintf(w, "  --%s %s", f.Name, unit)
		if f.DefValue != "" && f.DefValue != "0" {
			fmt.Fprintf(w, "  (default %s)", f.DefValue)
		}
		fmt.Fprintf(w, "\n        %s\n", text)
	})
}

// list is a flag of several values, separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Set(s string) error {
	*l = nil
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			*l = append(*l, v)
		}
	}
	return nil
}

// prefixes is a flag of several networks.
type prefixes []netip.Prefix

func (p *prefixes) String() string {
	var s []string
	for _, x := range *p {
		s = append(s, x.String())
	}
	return strings.Join(s, ",")
}

func (p *prefixes) Set(s string) error {
	*p = nil
	var l list
	_ = l.Set(s) // never fails
	for _, v := range l {
		n, err := netip.ParsePrefix(v)
		if a, addrErr := netip.ParseAddr(v); addrErr == nil {
			n, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("%q is no network: write it like 10.0.0.0/8", v)
		}
		*p = append(*p, n)
	}
	return nil
}

// size is a flag in bytes: 65536, 64KiB, 1MiB.
type size int

func (s *size) String() string {
	switch n := int(*s); {
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.Itoa(n>>10) + "KiB"
	default:
		return strconv.Itoa(n)
	}
}

func (s *size) Set(v string) error {
	number, shift := v, 0
	for suffix, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if n, ok := strings.CutSuffix(v, suffix); ok {
			number, shift = n, by
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 || n > 1<<31>>shift {
		return fmt.Errorf("%q is no size: write bytes, or like 64KiB or 1MiB", v)
	}
	*s = size(n << shift)
	return nil
}
