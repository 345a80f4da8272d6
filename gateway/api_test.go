package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// publishAPI calls POST /api/publish, whose answer is to be JSON.
func (in *instance) publishAPI(body string, headers ...string) (status int, text string) {
	in.t.Helper()
	answer, text := in.call("POST", in.ops+"/api/publish", body, headers...)
	if got := answer.Header.Get("Content-Type"); got != "application/json" || !json.Valid([]byte(text)) {
		in.t.Errorf("%s was answered with %s %q", body, got, text)
	}
	return answer.StatusCode, strings.TrimSuffix(text, "\n")
}

func (in *instance) wantAPI(body string, status int, text string) {
	in.t.Helper()
	if s, got := in.publishAPI(body); s != status || got != text {
		in.t.Errorf("%s: %d %s, want %d %s", body, s, got, status, text)
	}
}

func TestTheAPIReachesSockets(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		a := in.join("r")
		chat := in.dial("/ws/chat/5?room=r")
		a.want(`{"type":"message","room":"r","from":"5","offset":1,"data":"Client #5 joined the chat"}`)
		in.wantAPI(`{"room":"r","data":{"any": "JSON"}}`, http.StatusOK, `{"offset":2}`)
		a.want(`{"type":"message","room":"r","offset":2,"data":{"any": "JSON"}}`)
		chat.want(`{"any": "JSON"}`)
		// With a key, however often: once.
		for range 2 {
			in.wantAPI(`{"room":"r","data":"once","key":"k"}`, http.StatusOK, `{"offset":3}`)
		}
		in.wantAPI(`{"room":"r","data":null,"key":"other"}`, http.StatusOK, `{"offset":4}`)
		a.want(`{"type":"message","room":"r","offset":3,"data":"once"}`)
		a.want(`{"type":"message","room":"r","offset":4,"data":null}`)
		// A user has all of its sockets told.
		alice, again := in.dial("/ws?token=alice"), in.dial("/ws?token=alice")
		alice.wantMatch(`"type":"welcome"`)
		again.wantMatch(`"type":"welcome"`)
		in.wantAPI(`{"user":"alice","data":[1, 2]}`, http.StatusOK, `{"instances":1}`)
		alice.want(`{"type":"direct","data":[1, 2]}`)
		again.want(`{"type":"direct","data":[1, 2]}`)
		in.wantAPI(`{"user":"5","data":"psst"}`, http.StatusOK, `{"instances":1}`)
		chat.want(`"once"`)
		chat.want(`null`)
		chat.want(`"psst"`)
		in.wantAPI(`{"user":"nobody","data":1}`, http.StatusOK, `{"instances":0}`)
		in.wantAPI(`{"room":"nobody is here","data":1}`, http.StatusOK, `{"offset":1}`)
	})
}

func TestTheAPIWithoutHistory(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{Broker: memory.New(memory.Config{})})
	a := in.join("r")
	in.wantAPI(`{"room":"r","data":1}`, http.StatusOK, `{}`)
	a.want(`{"type":"message","room":"r","data":1}`)
	in.wantAPI(`{"room":"r","data":1,"key":"k"}`, http.StatusBadRequest,
		`{"code":"bad_request","message":"this room keeps no history, so a key cannot be kept"}`)
}

func TestTheAPIRefusesWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{Loop: loop.Config{MaxMessage: 2000}})
	a := in.join("r")
	long := strings.Repeat("x", 256)
	for _, body := range []string{
		``, `null`, `7`, `[]`, `{`, `{}`, `{"room":"r"}`, `{"user":"u"}`, `{"data":1}`, `{"room":"","data":1}`, `{"user":"","data":1}`,
		`{"room":"r","user":"u","data":1}`, `{"room":7,"data":1}`, `{"room":"r","data":1,"extra":1}`, `{"room":"r","data":1} {}`,
		`{"room":"r","data":1}x`, `{"room":"r","data":}`, `{"room":"a\nb","data":1}`, `{"room":"` + long + `","data":1}`,
		`{"user":"` + long + `","data":1}`, `{"room":"r","data":1,"key":7}`, `{"room":"r","data":1,"key":"` + long + `"}`,
		`{"user":"u","data":1,"key":"k"}`, "{\"room\":\"r\",\"data\":\"\xff\"}", "\xff",
	} {
		status, text := in.publishAPI(body)
		var got struct{ Code, Message string }
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusBadRequest || got.Code != "bad_request" || got.Message == "" {
			t.Errorf("%.100q: %d %s", body, status, text)
		}
	}
	large := func(n int) string {
		return fmt.Sprintf(`{"room":"r","data":%q}`, strings.Repeat("x", n-len(`{"room":"r","data":""}`)))
	}
	in.wantAPI(large(2001), http.StatusRequestEntityTooLarge, `{"code":"too_large","message":"a message has at most 2000 bytes"}`)
	in.wantAPI(large(2000), http.StatusOK, `{"offset":1}`) // nothing before it was published
	a.wantMatch(`"offset":1`)
}

func TestTheAPIIsPostOnly(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{})
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
		answer, _ := in.call(method, in.ops+"/api/publish", "")
		if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, answer.StatusCode, answer.Header.Get("Allow"))
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz"} {
		if answer, _ := in.call("POST", in.ops+path, ""); answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, answer.StatusCode)
		}
	}
}

func TestTheAPIKey(t *testing.T) {
	t.Parallel()
	const body = `{"user":"u","data":1}`
	in := start(t, gateway.Config{APIKey: "s3cret"})
	for _, c := range []struct {
		header string
		status int
	}{
		{"Authorization: Bearer s3cret", http.StatusOK},
		{"X-Nothing: here", http.StatusUnauthorized},
		{"Authorization: Bearer ", http.StatusUnauthorized},
		{"Authorization: Bearer s3cre", http.StatusUnauthorized},
		{"Authorization: Bearer s3crets", http.StatusUnauthorized},
		{"Authorization: s3cret", http.StatusUnauthorized},
		{"Authorization: Basic s3cret", http.StatusUnauthorized},
	} {
		status, text := in.publishAPI(body, c.header)
		if status != c.status || (status == http.StatusUnauthorized) != strings.HasPrefix(text, `{"code":"forbidden",`) {
			t.Errorf("%s: %d %s", c.header, status, text)
		}
		if status != http.StatusOK && strings.Contains(text, "s3cret") {
			t.Errorf("the key is told: %s", text)
		}
	}
	// The key is enough, through a proxy and from a page too.
	if status, text := in.publishAPI(body, "Authorization: Bearer s3cret", "X-Forwarded-For: 192.0.2.1", "Origin: https://example.com"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	open := start(t, gateway.Config{})
	for _, header := range []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Origin: http://127.0.0.1", "Origin: null"} {
		if status, text := open.publishAPI(body, header); status != http.StatusForbidden || !strings.HasPrefix(text, `{"code":"forbidden",`) {
			t.Errorf("%s: %d %s", header, status, text)
		}
	}
	open.wantAPI(body, http.StatusOK, `{"instances":0}`)
}
