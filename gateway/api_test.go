package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// publish asks the API.
func (in *instance) publish(body, authorization string, headers ...string) (int, string) {
	in.t.Helper()
	req, err := http.NewRequest("POST", in.ops+"/api/publish", strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}

func TestABackendPublishes(t *testing.T) {
	in := start(t, gateway.Config{})
	member, chat, alice := in.join("news"), in.dial("/ws/chat/1?room=news"), in.dial("/ws?token=alice")
	alice.wantMatch("welcome")
	in.eventually("1 is a member", func() bool { return in.metric("fanfare_members") == "2" })
	member.want(`{"type":"message","room":"news","from":"1","offset":1,"data":"Client #1 joined the chat"}`)
	if code, body := in.publish(`{"room":"news","data":{"a": [1, "ü"]}}`, ""); code != 200 || body != `{"offset":2}` {
		t.Fatalf("got %d %s", code, body)
	}
	member.want(`{"type":"message","room":"news","offset":2,"data":{"a": [1, "ü"]}}`)
	chat.want(`{"a": [1, "ü"]}`)
	if code, body := in.publish(`{"user":"alice","data":null}`, ""); code != 200 || body != `{"instances":1}` {
		t.Fatalf("got %d %s", code, body)
	}
	alice.want(`{"type":"direct","data":null}`)
	if code, body := in.publish(`{"user":"nobody","data":1}`, ""); code != 200 || body != `{"instances":0}` {
		t.Fatalf("got %d %s", code, body)
	}
}

func TestWrongBodiesOfTheAPIAreRefused(t *testing.T) {
	in := start(t, gateway.Config{Loop: loop.Config{MaxMessage: 1000}})
	for _, body := range []string{
		``, `null`, `[]`, `"x"`, `{`, `{}`, `{"room":"r"}`, `{"data":1}`, `{"room":"r","user":"u","data":1}`,
		`{"room":"","data":1}`, `{"room":7,"data":1}`, `{"room":"a\u0000b","data":1}`, `{"room":"` + strings.Repeat("r", 256) + `","data":1}`,
		`{"user":"` + strings.Repeat("u", 256) + `","data":1}`, `{"room":"r","data":1,"more":2}`,
		`{"room":"r","data":1} {"room":"r","data":2}`, `{"room":"r","data":1}}`, `{"room":"r","data":}`, "{\"room\":\"r\",\"data\":\"\x01\"}",
	} {
		if code, answer := in.publish(body, ""); code != 400 || !strings.Contains(answer, `"code":"bad_request"`) {
			t.Errorf("%.60s: got %d %s, want 400", body, code, answer)
		}
	}
	if code, answer := in.publish(`{"room":"r","data":"`+strings.Repeat("x", 1000)+`"}`, ""); code != 413 || !strings.Contains(answer, `"code":"too_large"`) {
		t.Errorf("too large: got %d %s, want 413", code, answer)
	}
	if code, _ := in.get(in.ops + "/api/publish"); code != 405 {
		t.Errorf("GET: got %d, want 405", code)
	}
	if n := in.metric("fanfare_messages_published_total"); n != "0" {
		t.Errorf("%s messages were published", n)
	}
}

func TestTheAPIKey(t *testing.T) {
	in := start(t, gateway.Config{APIKey: "key"})
	for authorization, want := range map[string]int{"Bearer key": 200, "Bearer keys": 401, "Bearer ke": 401, "Bearer ": 401, "Basic key": 401, "key": 401, "": 401} {
		if code, _ := in.publish(`{"room":"r","data":1}`, authorization); code != want {
			t.Errorf("Authorization %q: got %d, want %d", authorization, code, want)
		}
	}
	// With a key it does not matter where from.
	if code, _ := in.publish(`{"room":"r","data":1}`, "Bearer key", "X-Forwarded-For: 192.0.2.1", "Origin: https://x.example"); code != 200 {
		t.Errorf("through a proxy: got %d", code)
	}
	open := start(t, gateway.Config{})
	for _, header := range []string{"X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Origin: https://x.example", "Origin: null"} {
		if code, _ := open.publish(`{"room":"r","data":1}`, "", header); code != 403 {
			t.Errorf("%s: got %d, want 403", header, code)
		}
	}
}
