package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// place is what the URL says about where Redis is. Static after construction.
type place struct {
	options *goredis.Options // of every connection to a server that holds data; Addr only for a single one
	addrs   []string         // that the URL names: the server, sentinels, or nodes of a cluster
	cluster bool
	master  string           // the name by which sentinels know it; empty: no sentinels
	asking  *goredis.Options // of connections to sentinels
}

// String is for logs: without what is secret.
func (p *place) String() string { return strings.Join(p.addrs, ",") }

var errURL = errors.New("the Redis URL cannot be read: write redis://[user:password@]host[:port][/db], " +
	"with special characters of the password as %XX")

// parseURL never quotes the URL in an error: it may hold a password.
func parseURL(raw string) (*place, error) {
	if raw == "" {
		return nil, errors.New("the Redis URL is empty: give redis://host:6379")
	}
	scheme, rest, _ := strings.Cut(raw, "://")
	base, kind, _ := strings.Cut(scheme, "+")
	if base != "redis" && base != "rediss" || kind == "" && strings.Contains(scheme, "+") {
		return nil, fmt.Errorf("the Redis URL begins with %q: it must be redis://, redis+sentinel:// or redis+cluster://, "+
			"or, for TLS, rediss…", scheme)
	}
	var p *place
	var err error
	switch kind {
	case "":
		p, err = parseSingle(raw)
	case "sentinel", "cluster":
		p, err = parseMany(base, kind, rest)
	default:
		return nil, fmt.Errorf("the Redis URL begins with %q: after the + must be sentinel or cluster", scheme)
	}
	if err != nil {
		return nil, err
	}
	p.options.MaxRetries = -1 // whoever sends knows what may be sent again
	limit(p.options)
	return p, nil
}

// limit sets what is not the URL's business.
func limit(o *goredis.Options) {
	o.Protocol = 2 // What is needed is in RESP2, and receiving costs less.
	o.DialerRetries = 1
	o.DialTimeout = dialTimeout
	o.ReadTimeout = ioTimeout
	o.WriteTimeout = ioTimeout
	o.PoolTimeout = dialTimeout
	o.ContextTimeoutEnabled = true
	o.PoolSize = 4
	o.PipelinePoolSize = 4
	o.MinIdleConns = 0
}

func parseSingle(raw string) (*place, error) {
	if _, err := url.Parse(raw); err != nil {
		return nil, errURL
	}
	o, err := goredis.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("the Redis URL is not right: %w", err)
	}
	return &place{options: o, addrs: []string{o.Addr}}, nil
}

// parseMany reads what follows the scheme in a URL of sentinels or of a cluster. net/url knows no
// list of hosts, so it is given the first only.
func parseMany(base, kind, rest string) (*place, error) {
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	at := strings.LastIndex(authority, "@") + 1
	hosts := strings.Split(authority[at:], ",")
	u, err := url.Parse(base + "://" + authority[:at] + hosts[0] + tail)
	if err != nil || u.Fragment != "" {
		return nil, errURL
	}
	p := &place{options: &goredis.Options{Username: u.User.Username()}}
	p.options.Password, _ = u.User.Password()
	if base == "rediss" {
		// Without a name, every server's certificate is held against the host it is reached at.
		p.options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errURL
	}
	var errs []error
	port := "6379"
	db := strings.Trim(u.Path, "/")
	if kind == "sentinel" {
		port = "26379"
		errs = append(errs, p.sentinels(query, db))
	} else {
		p.cluster = true
		if db != "" && db != "0" {
			errs = append(errs, fmt.Errorf("the Redis URL names the database %q: a cluster has only 0", db))
		}
	}
	for name := range query {
		errs = append(errs, fmt.Errorf("the Redis URL has the parameter %q, which redis+%s:// does not know", name, kind))
	}
	for i, h := range hosts {
		addr, ok := hostPort(h, port)
		if !ok {
			errs = append(errs, fmt.Errorf("server %d of the Redis URL cannot be read: write host:port, with a comma between two", i+1))
		}
		p.addrs = append(p.addrs, addr)
	}
	return p, errors.Join(errs...)
}

// sentinels takes from the query what it knows.
func (p *place) sentinels(query url.Values, db string) (err error) {
	take := func(name, otherwise string) string {
		defer query.Del(name)
		if v := query.Get(name); v != "" {
			return v
		}
		return otherwise
	}
	p.master = take("master", "mymaster")
	p.asking = &goredis.Options{
		Username:  take("sentinel_user", ""),
		Password:  take("sentinel_password", ""),
		TLSConfig: p.options.TLSConfig,
	}
	if db != "" {
		if p.options.DB, err = strconv.Atoi(db); err != nil || p.options.DB < 0 {
			return fmt.Errorf("the Redis URL names the database %q: give its number", db)
		}
	}
	return nil
}

// hostPort is an address with a port. An IPv6 address is in brackets.
func hostPort(s, port string) (addr string, ok bool) {
	u := url.URL{Host: s}
	host := u.Hostname()
	if p := u.Port(); p != "" {
		port = p
	}
	_, err := strconv.ParseUint(port, 10, 16)
	bare := strings.Trim(strings.TrimSuffix(s, ":"+port), "[]")
	ok = host != "" && bare == host && err == nil && (!strings.Contains(host, ":") || strings.HasPrefix(s, "["))
	return net.JoinHostPort(host, port), ok
}
