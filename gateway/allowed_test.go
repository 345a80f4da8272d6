package gateway

import (
	"errors"
	"net/http"
	"testing"
)

func TestWithoutAKeyTheAPIIsForThisMachineOnly(t *testing.T) {
	for _, c := range []struct {
		key, peer, header, value string
		want                     int
	}{
		{"", "127.0.0.1:4000", "", "", 0},
		{"", "127.9.9.9:4000", "", "", 0},
		{"", "[::1]:4000", "", "", 0},
		{"", "[::ffff:127.0.0.1]:4000", "", "", 0},
		{"", "10.0.0.1:4000", "", "", http.StatusForbidden},
		{"", "192.0.2.1:4000", "", "", http.StatusForbidden},
		{"", "[::ffff:10.0.0.1]:4000", "", "", http.StatusForbidden},
		{"", "[2001:db8::1]:4000", "", "", http.StatusForbidden},
		{"", "0.0.0.0:4000", "", "", http.StatusForbidden},
		{"", "localhost:4000", "", "", http.StatusForbidden},
		{"", "@", "", "", http.StatusForbidden},
		{"", "", "", "", http.StatusForbidden},
		{"", "127.0.0.1:4000", "X-Forwarded-For", "127.0.0.1", http.StatusForbidden},
		{"", "127.0.0.1:4000", "Forwarded", "for=127.0.0.1", http.StatusForbidden},
		{"", "127.0.0.1:4000", "Origin", "http://127.0.0.1:9090", http.StatusForbidden},
		{"", "127.0.0.1:4000", "Authorization", "Bearer anything", 0},
		{"", "10.0.0.1:4000", "Authorization", "Bearer ", http.StatusForbidden},
		{"k", "10.0.0.1:4000", "Authorization", "Bearer k", 0},
		{"k", "127.0.0.1:4000", "", "", http.StatusUnauthorized},
		{"k", "127.0.0.1:4000", "Authorization", "Bearer K", http.StatusUnauthorized},
		{"k", "127.0.0.1:4000", "Authorization", "Bearer", http.StatusUnauthorized},
	} {
		gw := &Gateway{cfg: Config{APIKey: c.key}}
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if got, message := gw.apiAllowed(r); got != c.want || (message == "") != (got == 0) {
			t.Errorf("%+v: %d %q", c, got, message)
		}
	}
}

func TestAnInstanceIsReadyOnceItsBrokerSaysSo(t *testing.T) {
	var gw Gateway
	if gw.ready() == nil {
		t.Error("ready before the first word of the broker")
	}
	cause := errors.New("refused")
	gw.broker.Store(&cause)
	if err := gw.ready(); !errors.Is(err, cause) {
		t.Errorf("ready: %v, want the broker's reason", err)
	}
	cause = nil
	if err := gw.ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	gw.draining.Store(true)
	if gw.ready() == nil {
		t.Error("ready while draining")
	}
}
