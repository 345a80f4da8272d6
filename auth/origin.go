package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Origins says which web pages may connect. The zero Origins allows the pages of the host that is
// asked. What sends no Origin header is no browser, and is allowed.
type Origins struct {
	any   bool // "*" was named
	rules []originRule
}

// originRule is one entry. Every field is lower case, and a default port is written out.
type originRule struct {
	scheme, host, port string
	below              bool // host begins with a dot: the names that end with it are meant
}

// NewOrigins reads a list of origins: `https://app.example.com`, `https://*.example.com` (any
// name below, at any depth, not example.com itself), or `*`: all pages. An empty list is the host
// that is asked; a list that is not empty has to name that host too if it is wanted.
func NewOrigins(list []string) (Origins, error) {
	var o Origins
	var errs []error
	for _, s := range list {
		switch s = strings.TrimSpace(s); s {
		case "":
		case "*":
			o.any = true
		default:
			r, err := parseEntry(s)
			errs = append(errs, err)
			o.rules = append(o.rules, r)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Origins{}, err
	}
	return o, nil
}

func parseEntry(s string) (originRule, error) {
	bad := func(why string, args ...any) (originRule, error) {
		return originRule{}, fmt.Errorf("origin %q: "+why, append([]any{s}, args...)...)
	}
	if s == "null" {
		return bad(`pages without an origin can only be allowed by "*"`)
	}
	if !ascii(s) {
		return bad("has a character that no Origin header has; write international names as xn--…")
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok {
		return bad("has no scheme: write %q", "https://"+s)
	}
	rest = strings.TrimSuffix(rest, "/")
	if scheme == "ws" || scheme == "wss" {
		return bad("is a socket's address: write the page's, %q", "http"+scheme[2:]+"://"+rest)
	}
	if !validScheme(scheme) {
		return bad("has no valid scheme: write scheme, host and port, as in %q", "https://app.example.com")
	}
	name, below := strings.CutPrefix(rest, "*.")
	host, port, ok := splitHostPort(name)
	if !ok {
		return bad(`write scheme, host and port, as in "https://app.example.com:8443"; a star can only be all of the first label, as in "https://*.example.com"`)
	}
	if port == "" {
		port = defaultPort(scheme)
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("has no valid port")
	} else {
		port = strconv.FormatUint(n, 10)
	}
	if host[0] == '[' {
		ip, err := netip.ParseAddr(host[1 : len(host)-1])
		if err != nil || below {
			return bad("has no valid IPv6 address")
		}
		host = "[" + ip.String() + "]"
	}
	if below {
		host = "." + host
	}
	return originRule{scheme, host, port, below}, nil
}

// Allowed tells whether the page that opened the socket may. No Origin header: yes. The Origin
// "null" (a sandboxed frame, a local file) is allowed by "*" only.
func (o Origins) Allowed(h Handshake) bool {
	return h.Origin == "" || o.any || o.known(h)
}

// CookiesBelieved tells whether the cookies of a handshake prove who sent it. They do for a page
// that is allowed by name or as the same host, and for what is no browser. A page that is only
// allowed by "*" may connect, but not as the user whose browser shows it.
func (o Origins) CookiesBelieved(h Handshake) bool {
	return h.Origin == "" || o.known(h)
}

// known tells whether the Origin is listed, or the same host where that counts.
func (o Origins) known(h Handshake) bool {
	if !ascii(h.Origin) { // what follows ignores case, which is safe in ASCII only
		return false
	}
	scheme, rest, ok := strings.Cut(h.Origin, "://")
	if !ok {
		return false
	}
	host, port, ok := splitHostPort(rest)
	if !ok {
		return false
	}
	if port == "" {
		port = defaultPort(scheme)
	}
	if (o.any || len(o.rules) == 0) && sameHost(h, scheme, host, port) {
		return true
	}
	for _, r := range o.rules {
		if r.port == port && strings.EqualFold(r.scheme, scheme) && r.matches(host) {
			return true
		}
	}
	return false
}

func (r originRule) matches(host string) bool {
	if !r.below {
		return strings.EqualFold(host, r.host)
	}
	cut := len(host) - len(r.host) // splitHostPort lets no empty label through
	return cut > 0 && strings.EqualFold(host[cut:], r.host)
}

// sameHost compares an Origin with the Host header. A proxy may have ended TLS without telling, so
// behind plain HTTP a Host without a port has the default port of either scheme. The other way
// there is no excuse: a page that came without TLS is not the same host as a socket with it.
func sameHost(h Handshake, scheme, host, port string) bool {
	if port == "" || defaultPort(scheme) == "" {
		return false // a browser extension, an app's web view
	}
	asked, askedPort, ok := splitHostPort(h.Host)
	if !ok || !strings.EqualFold(host, asked) {
		return false
	}
	if askedPort != "" {
		return port == askedPort
	}
	if strings.EqualFold(h.Scheme, "https") {
		scheme = "https"
	}
	return port == defaultPort(scheme)
}

func defaultPort(scheme string) string {
	switch {
	case strings.EqualFold(scheme, "https"):
		return "443"
	case strings.EqualFold(scheme, "http"):
		return "80"
	}
	return ""
}

// splitHostPort takes name, name:port, [v6] or [v6]:port apart, and refuses everything else.
func splitHostPort(s string) (host, port string, ok bool) {
	end := strings.IndexByte(s, ':')
	if strings.HasPrefix(s, "[") {
		end = strings.IndexByte(s, ']') + 1
		if end < len("[::]") || !validIPv6(s[1:end-1]) {
			return "", "", false
		}
	} else {
		if end < 0 {
			end = len(s)
		}
		if !validName(s[:end]) {
			return "", "", false
		}
	}
	if end == len(s) {
		return s, "", true
	}
	port = s[end+1:]
	if s[end] != ':' || port == "" || len(port) > len("65535") {
		return "", "", false
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return "", "", false
		}
	}
	return s[:end], port, true
}

// validName lets letters, digits, - and _ through, in labels of which none is empty (a dot at the
// end is the root's).
func validName(s string) bool {
	dot := true
	for i := range len(s) {
		c := s[i]
		if c == '.' {
			if dot {
				return false
			}
			dot = true
			continue
		}
		if !alphanumeric(c) && c != '-' && c != '_' {
			return false
		}
		dot = false
	}
	return s != ""
}

func validIPv6(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != ':' && c != '.' {
			return false
		}
	}
	return true
}

// validScheme: RFC 3986 §3.1.
func validScheme(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return s != "" && s[0] >= 'a'
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// ascii tells whether s is of visible ASCII characters.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
