package auth

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ProtocolPrefix begins the Sec-WebSocket-Protocol entry that carries a token, for browsers, which
// can set no other header: new WebSocket(url, ["fanfare.v1", "bearer." + token]). Such an entry is
// no subprotocol; the answer must never echo it.
const ProtocolPrefix = "bearer."

// Handshake is what matters here of an upgrade request, each string as it was received.
type Handshake struct {
	// Scheme is that of the connection the client made, as far as is known: "http" or "https".
	Scheme string
	// Host and Origin are the headers; an empty Origin means that there was none.
	Host, Origin string
	// Authorization is the header.
	Authorization string
	// Cookies are the values of the Cookie headers.
	Cookies []string
	// Protocols are the entries of Sec-WebSocket-Protocol, already split and trimmed.
	Protocols []string
	// Query is the raw query of the URL.
	Query string
}

// Format prints the handshake without what may be a secret, whatever the verb.
func (h Handshake) Format(s fmt.State, _ rune) {
	fmt.Fprintf(s, "handshake with %q from origin %q", h.Host, h.Origin)
}

// MarshalText returns what Format prints, for JSON and slog.
func (h Handshake) MarshalText() ([]byte, error) { return fmt.Append(nil, h), nil }

// Source says where a credential was found. The zero Source is no handshake: an auth command.
type Source uint8

// The sources, in the order in which they are searched.
const (
	Bearer      Source = iota + 1 // Authorization: Bearer TOKEN
	Subprotocol                   // Sec-WebSocket-Protocol: bearer.TOKEN
	Cookie                        // the session cookie
	Query                         // the token parameter
)

// String returns a word for the log.
func (s Source) String() string {
	switch s {
	case Bearer:
		return "bearer"
	case Subprotocol:
		return "subprotocol"
	case Cookie:
		return "cookie"
	case Query:
		return "query"
	}
	return "command"
}

// Credential is a token and where it was found.
type Credential struct {
	Token  string // secret
	Source Source
}

// String names the source and never the token.
func (c Credential) String() string { return c.Source.String() + " credential" }

// Format prints [Credential.String], whatever the verb: %#v and %d would print the fields.
func (c Credential) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// MarshalText returns [Credential.String]: JSON and slog would else show the token.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Finder finds the credential of a handshake. The zero Finder is ready.
type Finder struct {
	SessionCookie string // name of the cookie; default "session"
	TokenParam    string // name of the query parameter; default "token"
}

// Find returns the first credential there is: Authorization: Bearer, a bearer.TOKEN subprotocol
// entry, the session cookie, the token parameter. An empty one counts as none. cookiesBelieved is
// what [Origins.CookiesBelieved] says of the same handshake.
func (f Finder) Find(h Handshake, cookiesBelieved bool) (Credential, bool) {
	if t := bearer(h.Authorization); t != "" {
		return Credential{t, Bearer}, true
	}
	for _, p := range h.Protocols {
		if t, ok := strings.CutPrefix(p, ProtocolPrefix); ok && t != "" {
			return Credential{t, Subprotocol}, true
		}
	}
	if cookiesBelieved {
		if t := f.cookie(h.Cookies); t != "" {
			return Credential{t, Cookie}, true
		}
	}
	if t := f.param(h.Query); t != "" {
		return Credential{t, Query}, true
	}
	return Credential{}, false
}

// bearer returns the token of an Authorization header. RFC 9110 §11.1: a scheme's case does not matter.
func bearer(header string) string {
	scheme, token, _ := strings.Cut(strings.Trim(header, " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.Trim(token, " \t")
}

// cookie returns the first session cookie that is not empty. The request's parser is the lenient
// one: another program's malformed cookie does not hide ours.
func (f Finder) cookie(headers []string) string {
	if len(headers) == 0 {
		return ""
	}
	name := f.SessionCookie
	if name == "" {
		name = "session"
	}
	r := http.Request{Header: http.Header{"Cookie": headers}}
	for _, c := range r.CookiesNamed(name) {
		if c.Value != "" {
			return c.Value
		}
	}
	return ""
}

// param returns the first token parameter that is not empty; malformed pairs are passed over.
func (f Finder) param(query string) string {
	if query == "" {
		return ""
	}
	name := f.TokenParam
	if name == "" {
		name = "token"
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		if k, err := url.QueryUnescape(key); err != nil || k != name || strings.Contains(pair, ";") {
			continue
		}
		if v, err := url.QueryUnescape(value); err == nil && v != "" {
			return v
		}
	}
	return ""
}
