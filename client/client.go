// Package client holds what speaks to a gateway from outside: the JavaScript client and the demo
// page that uses it, embedded and served by [Handler], and a client for Go programs, [Dial].
//
// The Go client is one connection. It does not reconnect: when the connection is gone every call
// says so, and the caller dials again and, with [Conn.Resume], joins from where it was.
//
// # Concurrency
//
// All methods of a [Conn] may be called from any goroutine. One goroutine, started by Dial and
// ended by [Conn.Close], reads. Events wait for [Conn.Receive] in a buffer of fixed size; when it
// is full that goroutine waits, and with it answers and pings, until the gateway ends the socket
// as too slow. So a program that joins rooms must keep calling Receive.
package client

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed fanfare.js page/index.html page/page.css page/page.js page/favicon.svg
var files embed.FS

// The page loads nothing from elsewhere and has no inline code or style. A WebSocket is named by
// scheme because not every browser takes 'self' for the same host over ws.
const contentSecurity = "default-src 'self'; connect-src 'self' ws: wss:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// An asset is static after construction.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

// Handler serves the demo page at `/`, what it loads at `/page.css`, `/page.js` and
// `/favicon.svg`, and the JavaScript client at `/fanfare.js`. Anything else is not found. Browsers
// ask again each time (no-cache) and are answered 304 while nothing has changed.
func Handler() http.Handler {
	assets := map[string]asset{
		"/":            load("page/index.html"),
		"/page.css":    load("page/page.css"),
		"/page.js":     load("page/page.js"),
		"/favicon.svg": load("page/favicon.svg"),
		"/fanfare.js":  load("fanfare.js"),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("ETag", a.etag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", contentSecurity)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		if strings.HasSuffix(r.URL.Path, "/fanfare.js") {
			// A page on any other site may import the client; it holds no secret.
			h.Set("Access-Control-Allow-Origin", "*")
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
	})
}

// load panics when a file is not embedded: a programmer's error.
func load(name string) asset {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(body)
	return asset{
		body:        body,
		contentType: contentTypes[path.Ext(name)],
		etag:        `"` + hex.EncodeToString(sum[:8]) + `"`,
	}
}
