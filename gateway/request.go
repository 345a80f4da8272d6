package gateway

import (
	"encoding/base64"
	"net/netip"
	"strings"

	"github.com/fanfare-ws/fanfare/auth"
)

// request is a parsed header block. All strings share one copy of it.
type request struct {
	method, path, query, proto string
	handshake                  auth.Handshake
	key, version               string
	connection, forwardedFor   string
	forwardedProto             string
	upgrade                    bool // an Upgrade names websocket
	upgradeAlone               bool // and the last one nothing else
	hosts, keys, versions      int  // how often the header was there
	upgrades, connections      int
	bad                        bool // a line that is no header
}

// parseRequest reads a header block that ends with an empty line (RFC 9112).
func parseRequest(block []byte) (r request) {
	rest := string(block)
	line, rest, _ := strings.Cut(rest, "\r\n")
	method, target, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(target, " ")
	r.method, r.proto = method, proto
	r.path, r.query, _ = strings.Cut(target, "?")
	r.handshake.Query = r.query
	for {
		line, rest, _ = strings.Cut(rest, "\r\n")
		if line == "" {
			return r
		}
		name, value, ok := strings.Cut(line, ":")
		// No space before the colon, no folded lines (RFC 9112 §5.1, §5.2), no stray line ends.
		if !ok || name == "" || strings.ContainsAny(name, " \t") || strings.ContainsAny(line, "\r\n\x00") {
			r.bad = true
			return r
		}
		r.header(name, strings.Trim(value, " \t"))
	}
}

func (r *request) header(name, value string) {
	is := func(s string) bool { return strings.EqualFold(name, s) }
	h := &r.handshake
	switch len(name) {
	case 4:
		if is("Host") {
			h.Host = value
			r.hosts++
		}
	case 6:
		if is("Origin") {
			if h.Origin != "" {
				value = h.Origin + "," + value // two are none that is allowed
			}
			h.Origin = value
		} else if is("Cookie") {
			h.Cookies = append(h.Cookies, value)
		}
	case 7:
		if is("Upgrade") {
			r.upgradeAlone = strings.EqualFold(value, "websocket")
			r.upgrade = r.upgrade || hasToken(value, "websocket")
			r.upgrades++
		}
	case 10:
		if is("Connection") {
			r.connection += "," + value
			r.connections++
		}
	case 13:
		if is("Authorization") {
			h.Authorization = value
		}
	case 15:
		if is("X-Forwarded-For") {
			r.forwardedFor += "," + value
		}
	case 17:
		if is("Sec-WebSocket-Key") {
			r.key = value
			r.keys++
		} else if is("X-Forwarded-Proto") {
			r.forwardedProto = value
		}
	case 21:
		if is("Sec-WebSocket-Version") {
			r.version = value
			r.versions++
		}
	case 22:
		if is("Sec-WebSocket-Protocol") {
			for p := range strings.SplitSeq(value, ",") {
				if p = strings.Trim(p, " \t"); p != "" {
					if h.Protocols == nil {
						h.Protocols = make([]string, 0, 4) // not of a size of which each socket keeps something
					}
					h.Protocols = append(h.Protocols, p)
				}
			}
		}
	}
}

// hasToken reports whether a list header has a token, whatever its case.
func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.Trim(t, " \t"), token) {
			return true
		}
	}
	return false
}

// validKey reports whether a Sec-WebSocket-Key is 16 bytes in base64 (RFC 6455 §4.2.1).
func validKey(key string) bool {
	if len(key) != 24 {
		return false
	}
	var b [18]byte
	n, err := base64.StdEncoding.Decode(b[:], []byte(key))
	return err == nil && n == 16
}

// proxies are the networks of proxies whose X-Forwarded-… headers are believed.
type proxies []netip.Prefix

func (p proxies) contain(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// client is the address that a request came from: the last in X-Forwarded-For that is no trusted
// proxy, if the peer is one.
func (p proxies) client(peer netip.Addr, forwardedFor string) netip.Addr {
	for len(forwardedFor) > 0 && p.contain(peer) {
		i := strings.LastIndexByte(forwardedFor, ',')
		a, err := netip.ParseAddr(strings.Trim(forwardedFor[i+1:], " \t"))
		if err != nil {
			break
		}
		peer, forwardedFor = a.Unmap(), forwardedFor[:max(i, 0)]
	}
	return peer
}
