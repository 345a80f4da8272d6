package client_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fanfare-ws/fanfare/client"
)

func TestHandlerServesThePageAndWhatItLoads(t *testing.T) {
	h := client.Handler()
	get := func(method, path string, header ...string) *http.Response {
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	for path, contentType := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/page.css":    "text/css; charset=utf-8",
		"/page.js":     "text/javascript; charset=utf-8",
		"/fanfare.js":  "text/javascript; charset=utf-8",
		"/favicon.svg": "image/svg+xml",
	} {
		res := get(http.MethodGet, path)
		for name, want := range map[string]string{
			"Content-Type":            contentType,
			"Cache-Control":           "no-cache",
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": res.Header.Get("Content-Security-Policy"),
		} {
			if got := res.Header.Get(name); got == "" || got != want {
				t.Errorf("%s: %s is %q, not %q", path, name, got, want)
			}
		}
		if !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'self'; connect-src 'self' ws: wss:") {
			t.Errorf("%s: policy %q", path, res.Header.Get("Content-Security-Policy"))
		}
		etag := res.Header.Get("ETag")
		if res.StatusCode != 200 || res.ContentLength == 0 || etag == "" {
			t.Errorf("%s: %s, %d bytes, ETag %q", path, res.Status, res.ContentLength, etag)
		}
		if res := get(http.MethodGet, path, "If-None-Match", etag); res.StatusCode != http.StatusNotModified {
			t.Errorf("%s with its ETag: %s", path, res.Status)
		}
	}
	for path, want := range map[string]int{"/nothing": 404, "/page/index.html": 404, "/client.go": 404, "/../conn.go": 404} {
		if res := get(http.MethodGet, path); res.StatusCode != want {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
	if res := get(http.MethodPost, "/"); res.StatusCode != 405 || res.Header.Get("Allow") == "" {
		t.Errorf("POST /: %s", res.Status)
	}
	if res := get(http.MethodHead, "/"); res.StatusCode != 200 {
		t.Errorf("HEAD /: %s", res.Status)
	}
}
