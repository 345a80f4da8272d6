package main

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// options are the flags of fanfare serve. Each is also FANFARE_… in the environment and a key of
// the file given with --config; a flag counts before the environment, that before the file.
type options struct {
	Listen, Ops, Name, Config string

	Redis, RedisPrefix           string
	RedisPartitions, AckReplicas int
	History                      int
	HistoryTTL                   time.Duration
	Rooms                        pubsub.Retentions // only in the file

	Auth                                            list
	JWTKey, JWTKeyFile, JWTAudience, JWTIssuer      string
	SessionCookie, TokenParam, Reject, APIKey       string
	Origins                                         list
	TrustedProxies                                  prefixes
	TLSCert, TLSKey                                 string
	MaxMessage, MaxHeader, SlowLimit                size
	MaxSockets, MaxRooms, Rate, Burst               int
	HandshakeTimeout, Ping, Idle, Drain, DrainDelay time.Duration
	Slow, Transport, Compression                    string
	LogLevel, LogFormat                             string
	Serve                                           list

	from map[string]string // where an option's value is from, by its name: flag, environment, file
}

// flags binds the options to a flag set, which knows names, units, defaults and help. README.md has
// the same table, and readme_test.go holds the two together.
func (o *options) flags() *flag.FlagSet {
	o.Serve, o.Auth = slices.Clone(gateway.Serves), list{"none"}
	o.MaxMessage, o.MaxHeader, o.SlowLimit = 64<<10, 8<<10, 1<<20
	fs := flag.NewFlagSet("fanfare serve", flag.ContinueOnError)
	fs.StringVar(&o.Listen, "listen", ":8080", "`address` for sockets, pages and /healthz")
	fs.StringVar(&o.Ops, "ops", "127.0.0.1:9090", "`address` for /metrics, /healthz, /readyz, /api/… and /debug/pprof/; never for the public")
	fs.StringVar(&o.Name, "name", "", "`name` of this instance (default: the host name)")
	fs.StringVar(&o.Config, "config", "", "YAML `file` with any of these options as keys")
	fs.StringVar(&o.Redis, "redis", "", "`URL` of the Redis that all instances share: redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster:// (default: none, messages stay in this instance)")
	fs.StringVar(&o.RedisPrefix, "redis-prefix", "fanfare", "`prefix` of all keys and channels")
	fs.IntVar(&o.RedisPartitions, "redis-partitions", 0, "`number` of parts that rooms are spread over, the same on all instances; 0: 1, or 64 on a cluster")
	fs.IntVar(&o.AckReplicas, "ack-replicas", 0, "`number` of replicas that must have a message before it is acknowledged")
	fs.IntVar(&o.History, "history", 256, "`messages` kept a room; 0: none, and messages have no offset")
	fs.DurationVar(&o.HistoryTTL, "history-ttl", 10*time.Minute, "`time` for which they are kept after a room's last message")
	fs.Var(&o.Auth, "auth", "`how` credentials are checked: none or jwt")
	fs.StringVar(&o.JWTKey, "jwt-key", "", "`secret` of HS256 tokens")
	fs.StringVar(&o.JWTKeyFile, "jwt-key-file", "", "PEM `file` with public keys for RS256, ES256 or EdDSA tokens")
	fs.StringVar(&o.JWTAudience, "jwt-audience", "", "`aud` that tokens have to name")
	fs.StringVar(&o.JWTIssuer, "jwt-issuer", "", "`iss` that tokens have to name")
	fs.StringVar(&o.SessionCookie, "session-cookie", "session", "`name` of the cookie in which a credential is looked for")
	fs.StringVar(&o.TokenParam, "token-param", "token", "`name` of the query parameter in which a credential is looked for")
	fs.StringVar(&o.Reject, "reject", "close", "`how` a missing or invalid credential is answered: close, a socket that is closed with 1008, or http, a 401")
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
	fs.DurationVar(&o.DrainDelay, "drain-delay", 0, "`time` for which an instance goes on serving after SIGTERM, no longer ready, so that load balancers notice")
	fs.DurationVar(&o.Drain, "drain", 20*time.Second, "`time` that closing the sockets may take after that, spread over it")
	fs.StringVar(&o.Slow, "slow", "close", "`what` happens to a member that is --slow-limit behind: close with 1013, or skip to the newest message")
	fs.Var(&o.SlowLimit, "slow-limit", "`bytes` that a member may be behind")
	fs.Var(&o.Serve, "serve", "`protocols` and pages that are on")
	fs.StringVar(&o.Transport, "transport", "auto", "`how` sockets are served: io_uring or epoll (Linux, without TLS), goroutine (everywhere), or auto, the best that there is")
	fs.StringVar(&o.Compression, "compression", "off", "`how` messages are compressed for clients that offer it, as browsers do: off or deflate (permessage-deflate)")
	fs.StringVar(&o.LogLevel, "log-level", "info", "`least` that is logged: debug, info, warn or error")
	fs.StringVar(&o.LogFormat, "log-format", "text", "`form` of the log: text or json")
	return fs
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
	oneOf("transport", o.Transport, "auto", "io_uring", "epoll", "goroutine")
	oneOf("compression", o.Compression, "off", "deflate")
	oneOf("log-level", o.LogLevel, "debug", "info", "warn", "error")
	oneOf("log-format", o.LogFormat, "text", "json")
	for _, a := range o.Auth {
		oneOf("auth", a, "none", "jwt")
	}
	if len(o.Auth) == 0 { // never open to all by accident
		errs = append(errs, errors.New("--auth is empty: want none or jwt"))
	}
	for _, s := range o.Serve {
		oneOf("serve", s, gateway.Serves...)
	}
	if len(o.Serve) == 0 {
		errs = append(errs, fmt.Errorf("--serve is empty: want some of %s", strings.Join(gateway.Serves, ", ")))
	}
	jwt := slices.Contains(o.Auth, "jwt")
	if jwt && slices.Contains(o.Auth, "none") {
		errs = append(errs, errors.New("--auth none,jwt: none lets everyone in, name only one of them"))
	}
	if !jwt && (o.JWTKey != "" || o.JWTKeyFile != "" || o.JWTAudience != "" || o.JWTIssuer != "") {
		errs = append(errs, errors.New("a --jwt-… flag is given, but tokens are not checked: add --auth jwt"))
	}
	if (o.TLSCert == "") != (o.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together"))
	}
	if o.TLSCert != "" && (o.Transport == "epoll" || o.Transport == "io_uring") {
		errs = append(errs, fmt.Errorf("--transport %s cannot do TLS: leave it at auto", o.Transport))
	}
	for _, n := range []struct {
		name  string
		value int
		least int
	}{{"max-sockets", o.MaxSockets, 1}, {"max-rooms", o.MaxRooms, 1}, {"burst", o.Burst, 1}, {"redis-partitions", o.RedisPartitions, 0}, {"ack-replicas", o.AckReplicas, 0},
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
	if o.AckReplicas > 0 && o.Redis == "" {
		errs = append(errs, errors.New("--ack-replicas is for --redis"))
	}
	if o.DrainDelay < 0 {
		errs = append(errs, fmt.Errorf("--drain-delay %s: want 0 or more", o.DrainDelay))
	}
	if o.Idle <= o.Ping {
		errs = append(errs, fmt.Errorf("--idle %s is not longer than --ping %s: every silent socket would be closed", o.Idle, o.Ping))
	}
	return errors.Join(errs...)
}
