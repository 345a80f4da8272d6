package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/gateway/protocol"
)

// door lets TCP connections in: it reads a header block, finds the route, checks the origin, the
// credential and the capacity, and upgrades. It is stateless; loops call it at the same time.
type door struct{ gw *Gateway }

// route is what a path leads to.
type route uint8

const (
	noRoute route = iota
	fanfareRoute
	chatRoute
	echoRoute
	secureRoute
)

const chatPrefix = "/ws/chat/"

// routeOf finds the socket route of a path; what is not served is none.
func (gw *Gateway) routeOf(path string) route {
	r := noRoute
	switch {
	case path == "/ws":
		r = fanfareRoute
	case path == "/ws/echo":
		r = echoRoute
	case path == "/ws/secure":
		r = secureRoute
	default:
		if id, ok := strings.CutPrefix(path, chatPrefix); ok && id != "" && !strings.Contains(id, "/") {
			r = chatRoute
		}
	}
	if r != noRoute && !gw.serves[r] {
		return noRoute
	}
	return r
}

// Reasons of rejected handshakes, the closed list that metrics and logs use.
const (
	rejectMalformed = "malformed"
	rejectTooLarge  = "header_too_large"
	rejectTimeout   = "timeout"
	rejectCrowded   = "crowded"
	rejectFull      = "full"
	rejectStopping  = "stopping"
	rejectOrigin    = "origin"
	rejectAuth      = "unauthorized"
	rejectProtocol  = "subprotocol"
	rejectForbidden = "forbidden"
)

var rejectReasons = []string{rejectMalformed, rejectTooLarge, rejectTimeout, rejectCrowded, rejectFull,
	rejectStopping, rejectOrigin, rejectAuth, rejectProtocol, rejectForbidden}

// Refuse answers a connection that does not get as far as Admit.
func (d door) Refuse(r loop.Refusal) []byte {
	switch r {
	case loop.HeaderTooLarge:
		return d.reject(rejectTooLarge, "431 Request Header Fields Too Large", "the request's header is too large")
	case loop.HandshakeTimeout:
		return d.reject(rejectTimeout, "408 Request Timeout", "the request's header did not come in time")
	case loop.Crowded:
		return d.reject(rejectCrowded, "503 Service Unavailable", "too many connections")
	}
	return d.reject(rejectMalformed, "400 Bad Request", "this is not HTTP")
}

// reject counts a refusal and makes the answer.
func (d door) reject(reason, status, text string, headers ...string) []byte {
	d.gw.metrics.rejected[reason].Add(1)
	d.gw.log.Debug("handshake rejected", "reason", reason)
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 " + status + "\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("Content-Length: " + itoa(len(text)+1) + "\r\n\r\n" + text + "\n")
	return b.Bytes()
}

// Pass hands a connection to the HTTP server.
func (d door) Pass(c net.Conn) { d.gw.web.hand(c) }

// Admit decides on a header block.
func (d door) Admit(block []byte, p loop.Peer, full bool) loop.Verdict {
	gw := d.gw
	r := parseRequest(block)
	if r.proto != "HTTP/1.1" && r.proto != "HTTP/1.0" || r.bad {
		return refusal(d.Refuse(loop.Malformed))
	}
	where := gw.routeOf(r.path)
	if where == noRoute || r.method != "GET" || !r.upgrade {
		return loop.Verdict{HTTP: true}
	}
	if why := r.flaw(); why != "" {
		return refusal(d.reject(rejectMalformed, "400 Bad Request", why))
	}
	if r.version != "13" {
		return refusal(d.reject(rejectMalformed, "426 Upgrade Required", "this is a WebSocket endpoint of version 13",
			"Upgrade: websocket", "Sec-WebSocket-Version: 13"))
	}
	r.handshake.Scheme = "http"
	if p.TLS() || r.forwardedProto == "https" && len(gw.proxies) > 0 && gw.proxies.contain(p.Addr().Addr()) {
		r.handshake.Scheme = "https"
	}
	if !gw.cfg.Origins.Allowed(r.handshake) {
		return refusal(d.reject(rejectOrigin, "403 Forbidden", "this Origin is not allowed: see --origins"))
	}
	if gw.stopping.Load() {
		return refusal(d.reject(rejectStopping, "503 Service Unavailable", "this instance is stopping", "Retry-After: 1"))
	}
	if full {
		return refusal(d.reject(rejectFull, "503 Service Unavailable", "no more sockets here: see --max-sockets", "Retry-After: 5"))
	}
	if where == fanfareRoute && !offersFanfare(r.handshake.Protocols) {
		return refusal(d.reject(rejectProtocol, "400 Bad Request", "the subprotocol here is "+protocol.Subprotocol))
	}
	proto, who, end, err := d.enter(where, &r)
	if err != nil { // no chat without a proper client id and room
		return refusal(d.reject(rejectMalformed, "400 Bad Request", err.Error()))
	}
	if end == loop.Unauthorized && gw.cfg.RejectHTTP {
		return refusal(d.reject(rejectAuth, "401 Unauthorized", "missing or invalid credential", "WWW-Authenticate: Bearer"))
	}
	response, deflates, err := upgrade(block, r, where == fanfareRoute, gw.cfg.Deflate)
	if err != nil {
		d.gw.metrics.rejected[rejectMalformed].Add(1)
		return refusal(response)
	}
	switch end {
	case loop.Unauthorized:
		gw.metrics.rejected[rejectAuth].Add(1)
		proto = protocol.Refused{Outcome: end}
	case loop.Forbidden:
		gw.metrics.rejected[rejectForbidden].Add(1)
		proto = protocol.Refused{Outcome: end}
	}
	s := newSession(gw, proto, who, deflates)
	if gw.log.Enabled(context.Background(), slog.LevelDebug) {
		s.extra().client = gw.proxies.client(p.Addr().Addr(), strings.TrimPrefix(r.forwardedFor, ",")).String()
	}
	return loop.Verdict{Response: response, Handler: s, Expires: who.Expires}
}

func refusal(response []byte) loop.Verdict { return loop.Verdict{Response: response} }

// flaw is what makes a request no WebSocket handshake (RFC 6455 §4.2.1), empty if nothing.
func (r *request) flaw() string {
	switch {
	case r.proto != "HTTP/1.1":
		return "a WebSocket handshake is HTTP/1.1"
	case r.hosts != 1:
		return "exactly one Host header is needed"
	case !hasToken(r.connection, "upgrade"):
		return "Connection: Upgrade is needed"
	case r.keys != 1 || !validKey(r.key):
		return "exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed"
	case r.versions > 1:
		return "Sec-WebSocket-Version is needed once"
	}
	return ""
}

// offersFanfare reports whether a client takes fanfare.v1: it offers it, or nothing at all.
func offersFanfare(offered []string) bool {
	other := false
	for _, p := range offered {
		if p == protocol.Subprotocol {
			return true
		}
		other = other || !strings.HasPrefix(p, auth.ProtocolPrefix)
	}
	return !other
}

// enter finds who the client is and what its route gives it. end is not ClientClosed when the
// socket is to be accepted and closed with that outcome.
func (d door) enter(where route, r *request) (p protocol.Protocol, who auth.Identity, end loop.Outcome, err error) {
	gw := d.gw
	switch where {
	case echoRoute: // touches nobody else: open to all
		return protocol.Echo{}, who, 0, nil
	case secureRoute:
		p = protocol.Secure{}
	case fanfareRoute:
		p = protocol.Fanfare{}
	case chatRoute:
		c := new(protocol.Chat)
		if c.ClientID, c.Room, err = chatNames(r); err != nil {
			return nil, who, 0, err
		}
		p = c
	}
	anyone := gw.cfg.Auth == nil
	// Where nothing is checked, a session cookie meant for some other program is no name to show.
	cookies := gw.cfg.Origins.CookiesBelieved(r.handshake) && (!anyone || where == secureRoute)
	cred, found := gw.cfg.Credentials.Find(r.handshake, cookies)
	switch {
	case found && anyone:
		who, err = auth.None{}.Authenticate(context.Background(), cred)
	case found:
		who, err = gw.cfg.Auth.Authenticate(context.Background(), cred)
	case !anyone || where == secureRoute:
		err = auth.ErrNoCredential
	}
	if err != nil {
		gw.log.Debug("credential refused", "error", err, "source", cred.Source)
		return p, auth.Identity{}, loop.Unauthorized, nil
	}
	if c, ok := p.(*protocol.Chat); ok {
		if !found {
			who.User = c.ClientID
		}
		if !who.Permissions.Allow(c.Room, auth.Join) {
			return p, who, loop.Forbidden, nil
		}
	}
	return p, who, 0, nil
}

// chatNames reads the client id and the room of /ws/chat/{client_id}?room=chat.
func chatNames(r *request) (id, room string, err error) {
	id, err = url.PathUnescape(strings.TrimPrefix(r.path, chatPrefix))
	id = strings.Clone(id) // not with all of the header block
	if err != nil || protocol.CheckRoom(id) != nil {
		return "", "", errors.New("the client id in the path is 1 to 255 bytes of UTF-8 without control characters")
	}
	q, err := url.ParseQuery(r.query)
	if err != nil {
		return "", "", errors.New("the query is malformed")
	}
	room = "chat"
	if q.Has("room") {
		room = strings.Clone(q.Get("room"))
	}
	return id, room, protocol.CheckRoom(room)
}

// upgrade makes the 101 answer to a header block, or another with an error. With deflate, compression is
// negotiated; deflates tells whether it was.
func upgrade(block []byte, r request, fanfare, deflate bool) (response []byte, deflates bool, err error) {
	if !r.upgradeAlone || r.upgrades > 1 || r.connections > 1 {
		block = canonical(block)
	}
	u := ws.Upgrader{ReadBufferSize: 2048, WriteBufferSize: 256}
	if fanfare && slices.Contains(r.handshake.Protocols, protocol.Subprotocol) {
		u.ProtocolCustom = func([]byte) (string, bool) { return protocol.Subprotocol, true }
	}
	var d deflation
	if deflate {
		u.Negotiate = d.answer
	}
	out := bytes.NewBuffer(make([]byte, 0, 256))
	_, err = u.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(block), out})
	if err != nil && out.Len() == 0 {
		out.WriteString("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	return out.Bytes(), d.agreed, err
}

// canonical rewrites Upgrade and Connection headers that name more than is needed, or come more than
// once (RFC 9110 §5.3 allows lists), which ws.Upgrader refuses.
func canonical(block []byte) []byte {
	var out []byte
	for line := range bytes.SplitSeq(bytes.TrimSuffix(block, []byte("\r\n\r\n")), []byte("\r\n")) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("Upgrade")) || bytes.EqualFold(name, []byte("Connection")) {
			continue
		}
		out = append(append(out, line...), "\r\n"...)
	}
	return append(out, "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"...)
}
