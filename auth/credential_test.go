package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	all := Handshake{Authorization: "Bearer A", Protocols: []string{"fanfare.v1", "bearer.B"},
		Cookies: []string{"session=C"}, Query: "token=D"}
	for _, c := range []struct {
		name     string
		h        Handshake
		believed bool
		want     Credential
	}{
		{"all", all, true, Credential{"A", Bearer}},
		{"no header", Handshake{Protocols: all.Protocols, Cookies: all.Cookies, Query: all.Query}, true, Credential{"B", Subprotocol}},
		{"no subprotocol", Handshake{Cookies: all.Cookies, Query: all.Query}, true, Credential{"C", Cookie}},
		{"cookie of a foreign page", Handshake{Cookies: all.Cookies, Query: all.Query}, false, Credential{"D", Query}},
		{"only a cookie of a foreign page", Handshake{Cookies: all.Cookies}, false, Credential{}},
		{"nothing", Handshake{}, true, Credential{}},

		{"scheme's case", Handshake{Authorization: "bEaReR  A.b-c_d "}, true, Credential{"A.b-c_d", Bearer}},
		{"basic", Handshake{Authorization: "Basic QTpC", Query: "token=D"}, true, Credential{"D", Query}},
		{"empty bearer", Handshake{Authorization: "Bearer ", Query: "token=D"}, true, Credential{"D", Query}},
		{"bare bearer", Handshake{Authorization: "Bearer", Query: "token=D"}, true, Credential{"D", Query}},
		{"bearer glued", Handshake{Authorization: "BearerX", Query: "token=D"}, true, Credential{"D", Query}},

		{"empty subprotocol", Handshake{Protocols: []string{"bearer.", "bearer.B"}}, true, Credential{"B", Subprotocol}},
		{"subprotocol with dots", Handshake{Protocols: []string{"bearer.a.b.c"}}, true, Credential{"a.b.c", Subprotocol}},
		{"another subprotocol", Handshake{Protocols: []string{"xbearer.B", "Bearer.B", "bearer"}}, true, Credential{}},

		{"quoted", Handshake{Cookies: []string{`session="C d"`}}, true, Credential{"C d", Cookie}},
		{"several headers", Handshake{Cookies: []string{"a=1; b=2", "c=3;session=C"}}, true, Credential{"C", Cookie}},
		{"beside malformed ones", Handshake{Cookies: []string{"=; ;x; y=\x01; session=C"}}, true, Credential{"C", Cookie}},
		{"value with =", Handshake{Cookies: []string{"session=QQ=="}}, true, Credential{"QQ==", Cookie}},
		{"empty cookie, then one", Handshake{Cookies: []string{"session=; session=C"}}, true, Credential{"C", Cookie}},
		{"empty quoted", Handshake{Cookies: []string{`session=""`}, Query: "token=D"}, true, Credential{"D", Query}},
		{"names' case and parts", Handshake{Cookies: []string{"Session=x; xsession=y; session2=z"}}, true, Credential{}},

		{"escaped", Handshake{Query: "a=b&t%6Fken=D%2Fe+f"}, true, Credential{"D/e f", Query}},
		{"empty, then one", Handshake{Query: "token=&token&token=D"}, true, Credential{"D", Query}},
		{"beside malformed pairs", Handshake{Query: "%zz=1&a;b=2&token=D"}, true, Credential{"D", Query}},
		{"other parameters", Handshake{Query: "xtoken=1&Token=2"}, true, Credential{}},
	} {
		got, ok := Finder{}.Find(c.h, c.believed)
		if got.Token != c.want.Token || got.Source != c.want.Source || ok != (c.want.Token != "") {
			t.Errorf("%s: %q from %v, %v", c.name, got.Token, got.Source, ok)
		}
	}
}

func TestFindLooksWhereItIsTold(t *testing.T) {
	f := Finder{SessionCookie: "__Host-sid", TokenParam: "access_token"}
	h := Handshake{Cookies: []string{"session=no; __Host-sid=C"}, Query: "token=no&access_token=D"}
	if c, _ := f.Find(h, true); c.Token != "C" {
		t.Errorf("found %q", c.Token)
	}
	if c, _ := f.Find(h, false); c.Token != "D" {
		t.Errorf("found %q", c.Token)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	const token = "tOpSeCrEt"
	c := Credential{token, Query}
	h := Handshake{Host: "h", Authorization: token, Cookies: []string{token}, Protocols: []string{token}, Query: token}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb, c, &c, h)
		fmt.Fprintf(&out, verb, struct{ C Credential }{c})
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "c", c, "in", struct{ C Credential }{c}, "h", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "c", c, "in", struct{ C Credential }{c}, "h", h)
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	out.WriteString(c.String())
	for _, leak := range []string{token, fmt.Sprintf("%x", token), fmt.Sprintf("%d", []byte(token))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the token is in %s", out.String())
		}
	}
	if c.String() != "query credential" {
		t.Errorf("a credential prints as %q", c)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("Bearer a", "bearer.b", "session=c", `session="d"`, "token=e")
	f.Add("Basic x", "bearer.", "session=", ";;;=", "token=%zz&token=;")
	f.Fuzz(func(t *testing.T, authorization, protocol, cookie1, cookie2, query string) {
		h := Handshake{Authorization: authorization, Protocols: []string{protocol},
			Cookies: []string{cookie1, cookie2}, Query: query}
		with, okWith := Finder{}.Find(h, true)
		without, okWithout := Finder{}.Find(h, false)
		for c, ok := range map[Credential]bool{with: okWith, without: okWithout} {
			if (c.Token != "") != ok || (c.Source != 0) != ok {
				t.Errorf("found %v, token of %d bytes, source %v", ok, len(c.Token), c.Source)
			}
		}
		if without.Source == Cookie {
			t.Error("a cookie was believed that must not be")
		}
		if with.Source != Cookie && with != without {
			t.Error("a cookie that is not used makes a difference")
		}
	})
}
