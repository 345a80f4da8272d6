package gateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// flaky is a broker that can be away.
type flaky struct {
	pubsub.Broker
	mu   sync.Mutex
	h    pubsub.Handler
	away error
}

func newFlaky() *flaky {
	return &flaky{Broker: memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: 10}}})}
}

func (f *flaky) Run(ctx context.Context, h pubsub.Handler) error {
	f.mu.Lock()
	f.h = h
	f.mu.Unlock()
	return f.Broker.Run(ctx, h)
}

// up tells the gateway what became of the broker.
func (f *flaky) up(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away = err
	f.h.Up(err)
}

func (f *flaky) isAway() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away != nil
}

func (f *flaky) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	if f.isAway() {
		go done(pubsub.Receipt{}, pubsub.ErrUnavailable)
		return
	}
	f.Broker.Publish(m, done)
}

func (f *flaky) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	if !f.isAway() { // else it is never confirmed
		f.Broker.Subscribe(t, done)
	}
}

func (in *instance) get(url string) (int, string) {
	in.t.Helper()
	res, err := http.Get(url)
	if err != nil {
		in.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestMetricsAreWhatTheDesignNames(t *testing.T) {
	in := start(t, gateway.Config{Version: "v1.2.3"})
	p := in.join("secret-room")
	p.send(`{"type":"publish","room":"secret-room","data":"payload","id":1}`)
	p.wantMatch()
	p.wantMatch()
	in.dial("/ws?token=secret-user").wantMatch("welcome")
	in.eventually("the message was delivered", func() bool { return in.metric("fanfare_messages_delivered_total") == "1" })
	_, body := in.get(in.ops + "/metrics")
	for line, value := range map[string]string{
		"fanfare_sockets_open": "2", "fanfare_sockets_max": ".+", "fanfare_sockets_opened_total": "2",
		"fanfare_messages_received_total": "2", "fanfare_messages_published_total": "1", "fanfare_messages_delivered_total": "1",
		"fanfare_publish_failed_total": "0", "fanfare_received_bytes_total": `[1-9]\d*`, "fanfare_sent_bytes_total": `[1-9]\d*`,
		"fanfare_rooms": "1", "fanfare_members": "1", "fanfare_publish_seconds_count": "1", "fanfare_delivery_seconds_count": "1",
		"fanfare_broker_up": "1", `fanfare_slow_members_total\{action="closed"\}`: "0", `fanfare_slow_members_total\{action="skipped"\}`: "0",
		"fanfare_loop_tick_seconds_count": ".+", `fanfare_loop_inbox_depth\{loop="0"\}`: `\d+`,
		`fanfare_build_info\{goversion="go.+",version="v1.2.3"\}`: "1", "go_goroutines": ".+", "process_open_fds": ".+",
	} {
		if !regexp.MustCompile("(?m)^" + line + " " + value + "$").MatchString(body) {
			t.Errorf("no line %s %s", line, value)
		}
	}
	for o := range loop.Outcomes {
		if !strings.Contains(body, `fanfare_sockets_closed_total{outcome="`+o.String()+`"} `) {
			t.Errorf("no outcome %s", o)
		}
	}
	for _, reason := range []string{"malformed", "header_too_large", "timeout", "crowded", "full", "stopping", "origin", "unauthorized", "subprotocol", "forbidden"} {
		if !strings.Contains(body, `fanfare_handshakes_rejected_total{reason="`+reason+`"} 0`) {
			t.Errorf("no reason %s", reason)
		}
	}
	if s := regexp.MustCompile("secret-(room|user)|127.0.0.1|payload").FindString(body); s != "" {
		t.Errorf("%q is in the metrics", s)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "# HELP fanfare_") && len(strings.Fields(line)) < 5 {
			t.Errorf("no help: %s", line)
		}
	}
}

func TestReadinessFollowsTheBrokerAndHealthDoesNot(t *testing.T) {
	b := newFlaky()
	in := start(t, gateway.Config{Broker: b})
	p, chat := in.join("room"), in.dial("/ws/chat/1")
	in.eventually("1 is a member", func() bool { return in.metric("fanfare_members") == "2" })
	b.up(errors.New("connection refused"))
	if code, body := in.get(in.ops + "/readyz"); code != 503 || !strings.Contains(body, "the broker is away") {
		t.Errorf("readyz: %d %s", code, body)
	}
	for _, url := range []string{in.ops, "http://" + in.public} {
		if code, body := in.get(url + "/healthz"); code != 200 || body != "ok\n" {
			t.Errorf("healthz: %d %s", code, body)
		}
	}
	if m := in.metric("fanfare_broker_up"); m != "0" {
		t.Errorf("fanfare_broker_up is %s", m)
	}
	// Sockets stay, and who wants something of the broker is told at once.
	unavailable := `{"type":"error","id":2,"code":"unavailable","message":"the broker is away: try again"}`
	p.send(`{"type":"publish","room":"room","data":1,"id":2}`)
	p.want(unavailable)
	p.send(`{"type":"join","room":"new","id":2}`)
	p.want(unavailable)
	p.send(`{"type":"send","user":"u","data":1,"id":2}`)
	p.want(unavailable)
	chat.send("lost?")
	chat.wantClose(1013) // plain chat has no words for it
	if code, body := in.publish(`{"room":"room","data":1}`, ""); code != 503 || !strings.Contains(body, `"unavailable"`) {
		t.Errorf("API: %d %s", code, body)
	}
	late := in.dial("/ws?token=alice") // and new ones are welcome
	late.wantMatch("welcome")
	b.up(nil)
	if code, _ := in.get(in.ops + "/readyz"); code != 200 {
		t.Errorf("readyz: %d after the broker came back", code)
	}
	p.send(`{"type":"publish","room":"room","data":1,"id":3}`)
	if both := p.wantMatch() + p.wantMatch(); !strings.Contains(both, `"message"`) || !strings.Contains(both, `"ack"`) {
		t.Fatalf("got %s, want the message and its ack", both)
	}
}

func TestProfilesAreOnTheOpsPortAlone(t *testing.T) {
	in := start(t, gateway.Config{})
	if code, body := in.get(in.ops + "/debug/pprof/"); code != 200 || !strings.Contains(body, "goroutine") {
		t.Errorf("pprof: %d", code)
	}
	for _, path := range []string{"/debug/pprof/", "/metrics", "/readyz", "/api/publish"} {
		if code, _ := in.get("http://" + in.public + path); code != 404 {
			t.Errorf("%s on the public port: %d, want 404", path, code)
		}
	}
}

func TestThePagesAndWhatIsSwitchedOff(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		for path, part := range map[string]string{"/": "<!doctype html>", "/fanfare.js": "export"} {
			if code, body := in.get("http://" + in.public + path); code != 200 || !strings.Contains(strings.ToLower(body), part) {
				t.Errorf("%s: %d", path, code)
			}
		}
		paths := map[string]string{"fanfare": "/ws", "chat": "/ws/chat/1", "echo": "/ws/echo", "secure": "/ws/secure?token=x", "page": "/"}
		for on := range paths {
			in := start(t, gateway.Config{Loop: c, Serve: []string{on}})
			for serve, path := range paths {
				want := map[bool]int{true: 101, false: 404}[serve == on]
				if serve == "page" && on == "page" {
					want = 200
				}
				if res := in.ask("GET " + path + " HTTP/1.1\r\n" + handshake + "\r\n"); res.StatusCode != want {
					t.Errorf("--serve %s: %s is %s, want %d", on, path, res.Status, want)
				}
			}
			if code, _ := in.get("http://" + in.public + "/healthz"); code != 200 {
				t.Errorf("--serve %s: healthz is %d", on, code)
			}
		}
	})
}
