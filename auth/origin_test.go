package auth

import (
	"net/url"
	"strings"
	"testing"
)

func newOrigins(t testing.TB, list ...string) Origins {
	t.Helper()
	o, err := NewOrigins(list)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestSameHost(t *testing.T) {
	o := newOrigins(t)
	for _, c := range []struct {
		scheme, host, origin string
		want                 bool
	}{
		{"http", "example.com", "", true},
		{"http", "example.com", "http://example.com", true},
		{"http", "Example.COM", "http://eXample.com", true},
		{"http", "example.com:80", "http://example.com", true},
		{"http", "example.com", "http://example.com:80", true},
		{"http", "example.com:8080", "http://example.com:8080", true},
		{"http", "example.com:8080", "http://example.com", false},
		{"http", "example.com", "http://example.com:8080", false},
		{"https", "example.com", "https://example.com", true},
		{"https", "example.com:443", "https://example.com", true},
		{"https", "example.com:8443", "https://example.com:8443", true},
		{"http", "example.com", "https://example.com", true}, // a proxy ended TLS
		{"http", "example.com:443", "https://example.com", true},
		{"http", "example.com:80", "https://example.com", false},
		{"https", "example.com", "http://example.com", false}, // a page anyone on the way can write
		{"https", "example.com:443", "http://example.com", false},
		{"", "example.com", "https://example.com", true},
		{"http", "[::1]:8080", "http://[::1]:8080", true},
		{"http", "[::1]", "http://[::1]:80", true},
		{"http", "[FE80::1]", "http://[fe80::1]", true},
		{"http", "[::1]", "http://[::2]", false},
		{"http", "localhost:8080", "http://127.0.0.1:8080", false},
		{"http", "example.com", "http://example.com.evil.test", false},
		{"http", "example.com", "http://evil-example.com", false},
		{"http", "example.com", "http://evil.test", false},
		{"http", "example.com", "http://sub.example.com", false},
		{"http", "example.com", "http://example.com@evil.test", false},
		{"http", "example.com", "http://evil.test@example.com", false},
		{"http", "example.com", "http://example.com/", false}, // no Origin looks like this
		{"http", "example.com", "http://example.com?x", false},
		{"http", "example.com", "http://example.com#x", false},
		{"http", "example.com", "http://evil.test\\@example.com", false},
		{"http", "example.com", "http://example.com http://evil.test", false},
		{"http", "example.com", "http://example.com, http://evil.test", false},
		{"http", "example.com", "http://example.com:", false},
		{"http", "example.com:", "http://example.com:", false},
		{"http", "example.com", "example.com", false},
		{"http", "example.com", "//example.com", false},
		{"http", "example.com", "://example.com", false},
		{"http", "example.com", "ftp://example.com", false},
		{"http", "example.com", "http\u017f://example.com", false}, // ſ folds to s
		{"http", "k.example", "http://\u212a.example", false},      // the Kelvin sign folds to k
		{"http", "\u212a.example", "http://k.example", false},
		{"http", "", "http://", false},
		{"http", "", "null", false},
		{"http", "null", "null", false},
		{"http", "a..b", "http://a..b", false},
		{"http", "[]", "http://[]", false},
		{"http", "[::1", "http://[::1", false},
		{"http", "[::1]x", "http://[::1]x", false},
		{"http", "a:1:2", "http://a:1:2", false},
		{"http", "a:99999999", "http://a:99999999", false},
	} {
		h := Handshake{Scheme: c.scheme, Host: c.host, Origin: c.origin}
		if got := o.Allowed(h); got != c.want {
			t.Errorf("%q at %s://%s: %v", c.origin, c.scheme, c.host, got)
		}
		if o.CookiesBelieved(h) != o.Allowed(h) {
			t.Errorf("%q at %s://%s: cookies are treated differently", c.origin, c.scheme, c.host)
		}
	}
	if (Origins{}).Allowed(Handshake{Host: "a", Origin: "http://b"}) {
		t.Error("the zero Origins allows a foreign page")
	}
}

func TestListedOrigins(t *testing.T) {
	o := newOrigins(t, "https://app.example.com", "https://*.example.org", "http://localhost:3000",
		" HTTPS://Upper.Example.net:443/ ", "http://[0:0::1]:8080", "chrome-extension://abcdef", "")
	for origin, want := range map[string]bool{
		"":                                          true,
		"https://app.example.com":                   true,
		"https://APP.example.com":                   true,
		"https://app.example.com:443":               true,
		"https://app.example.com:8443":              false,
		"http://app.example.com":                    false,
		"http://app.example.com:443":                false,
		"https://example.com":                       false,
		"https://x.app.example.com":                 false,
		"https://app.example.com.evil.test":         false,
		"https://evil.test/app.example.com":         false,
		"https://evil.test?https://app.example.com": false,
		"https://app.example.com@evil.test":         false,
		"https://appxexample.com":                   false,
		"https://app.example.co":                    false,
		"https://a.example.org":                     true,
		"https://a.b.c.example.org":                 true,
		"https://A.EXAMPLE.ORG":                     true,
		"https://example.org":                       false,
		"https://.example.org":                      false,
		"https://a..example.org":                    false,
		"https://evilexample.org":                   false,
		"https://evil-example.org":                  false,
		"https://a.example.org.evil.test":           false,
		"https://evil.test/.example.org":            false,
		"https://evil.test#.example.org":            false,
		"https://evil.test:1.example.org":           false,
		"https://*.example.org":                     false,
		"https://a%2e.example.org":                  false,
		"http://a.example.org":                      false,
		"https://a.example.org:8443":                false,
		"http://localhost:3000":                     true,
		"http://localhost":                          false,
		"http://localhost:30000":                    false,
		"https://upper.example.net":                 true,
		"http://[::1]:8080":                         true,
		"chrome-extension://abcdef":                 true,
		"chrome-extension://abcdeg":                 false,
		"null":                                      false,
		"https://gateway.test":                      false, // the host that is asked is not in the list
	} {
		h := Handshake{Scheme: "https", Host: "gateway.test", Origin: origin}
		if got := o.Allowed(h); got != want {
			t.Errorf("%q: %v", origin, got)
		}
		if o.CookiesBelieved(h) != want {
			t.Errorf("%q: cookies are treated differently", origin)
		}
	}
}

func TestAStarLetsEveryPageConnectAndBelievesNoForeignCookie(t *testing.T) {
	o := newOrigins(t, "*", "https://app.example.com")
	for origin, believed := range map[string]bool{
		"": true, "https://gateway.test": true, "https://app.example.com": true,
		"https://evil.test": false, "null": false, "file://": false, "garbage": false, "http://gateway.test": false,
	} {
		h := Handshake{Scheme: "https", Host: "gateway.test", Origin: origin}
		if !o.Allowed(h) {
			t.Errorf("%q is not allowed", origin)
		}
		if got := o.CookiesBelieved(h); got != believed {
			t.Errorf("%q: cookies believed: %v", origin, got)
		}
	}
}

func TestAnOriginThatCannotBeMeantIsAnError(t *testing.T) {
	for entry, hint := range map[string]string{
		"app.example.com":         `write "https://app.example.com"`,
		"*.example.com":           `write "https://*.example.com"`,
		"localhost:3000":          `write "https://localhost:3000"`,
		"null":                    `"*"`,
		"wss://a.example":         `"https://a.example"`,
		"ws://a.example:81/":      `"http://a.example:81"`,
		"https://":                "as in",
		"https://*":               "star",
		"https://*.":              "star",
		"https://a*.example.com":  "star",
		"https://a.*.example.com": "star",
		"https://*.*.example.com": "star",
		"https://*:8080":          "star",
		"https://a.example/x":     "as in",
		"https://a.example//":     "as in",
		"https://u@a.example":     "as in",
		"https://a.example:0":     "port",
		"https://a.example:65536": "port",
		"https://a.example:*":     "as in",
		"https://[::1":            "as in",
		"https://[:::::1]":        "IPv6",
		"https://*.[::1]":         "IPv6",
		"https://bücher.example":  "xn--",
		"https://a b":             "character",
		"://a":                    "scheme",
		"1https://a":              "scheme",
	} {
		_, err := NewOrigins([]string{"https://fine.example", entry})
		if err == nil || !strings.Contains(err.Error(), hint) || !strings.Contains(err.Error(), entry) {
			t.Errorf("%s: %v", entry, err)
		}
	}
	_, err := NewOrigins([]string{"a", "b"})
	if err == nil || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("not all is reported: %v", err)
	}
}

func TestOriginsAreCheckedWithoutAllocating(t *testing.T) {
	same, listed := newOrigins(t), newOrigins(t, "https://a.example", "https://*.b.example")
	var ok bool
	if n := testing.AllocsPerRun(100, func() {
		ok = same.Allowed(Handshake{Scheme: "https", Host: "gateway.test"}) &&
			same.Allowed(Handshake{Scheme: "https", Host: "gateway.test:443", Origin: "https://Gateway.test"}) &&
			listed.CookiesBelieved(Handshake{Scheme: "https", Host: "gateway.test", Origin: "https://x.b.example"})
	}); n != 0 || !ok {
		t.Errorf("%v allocations, allowed %v", n, ok)
	}
}

func BenchmarkOrigins(b *testing.B) {
	o := newOrigins(b)
	h := Handshake{Scheme: "https", Host: "gateway.example.com", Origin: "https://gateway.example.com"}
	for b.Loop() {
		if !o.Allowed(h) {
			b.Fatal("not allowed")
		}
	}
}

// What is allowed must also be so in the eyes of net/url.
func FuzzOrigins(f *testing.F) {
	for _, origin := range []string{"", "null", "https://a.example.org", "https://app.example.com:443", "http://gateway.test",
		"https://evil.test#.example.org", "https://[::1]:1", "https://a.example.org@evil.test", "https://a.example.org.", "https://\u017f"} {
		f.Add(origin, "gateway.test")
	}
	same, star := newOrigins(f), newOrigins(f, "*")
	listed := newOrigins(f, "https://app.example.com", "https://*.example.org")
	f.Fuzz(func(t *testing.T, origin, host string) {
		h := Handshake{Scheme: "http", Host: host, Origin: origin}
		if !star.Allowed(h) || star.CookiesBelieved(h) != same.CookiesBelieved(h) {
			t.Error("a star does not do what it should")
		}
		if origin == "" {
			return
		}
		if same.Allowed(h) {
			u, err := url.Parse(strings.ToLower(origin))
			v, errHost := url.Parse("//" + strings.ToLower(host))
			if err != nil || errHost != nil || u.Hostname() != v.Hostname() || u.Path != "" || u.User != nil || u.RawQuery != "" {
				t.Errorf("%q is allowed as %q", origin, host)
			}
		}
		if listed.Allowed(h) {
			u, err := url.Parse(strings.ToLower(origin))
			if err != nil || u.Scheme != "https" || u.Port() != "" && u.Port() != "443" ||
				u.Hostname() != "app.example.com" && !strings.HasSuffix(u.Hostname(), ".example.org") {
				t.Errorf("%q is allowed", origin)
			}
		}
	})
}
