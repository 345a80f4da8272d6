package gateway_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fanfare-ws/fanfare/gateway"
)

// call makes a request; headers are lines without line ends.
func (in *instance) call(method, url, body string, headers ...string) (*http.Response, string) {
	in.t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	for _, line := range headers {
		k, v, _ := strings.Cut(line, ": ")
		r.Header.Add(k, v)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		in.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return answer, string(text)
}

func TestMetricsShowAllAndNobody(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{Name: "secret-instance", Version: "v1.2.3"})
	a := in.dial("/ws?token=secret-user")
	a.wantMatch(`"type":"welcome"`)
	a.joined(`{"type":"join","room":"secret-room"}`)
	a.publish("secret-room", 1, 3)
	a.send(`{"type":"publish","room":"secret-room","data":"secret-data"}`)
	a.wantMatch(`"offset":4`)
	a.wantMatch(`"offset":4`)
	in.dial("/ws/secure").wantClose(1008)
	in.call("GET", "http://"+in.public+"/", "")

	answer, page := in.call("GET", in.ops+"/metrics", "")
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	seen := make(map[string]bool)
	labels := regexp.MustCompile(`([a-z_]+)="`)
	for line := range strings.Lines(page) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !strings.HasPrefix(name, "fanfare_") {
			continue
		}
		seen[name] = true
		family, values, _ := strings.Cut(name, "{")
		seen[family] = true
		for _, l := range labels.FindAllStringSubmatch(values, -1) {
			if !slices.Contains([]string{"outcome", "reason", "action", "loop", "le", "version", "goversion"}, l[1]) {
				t.Errorf("label %s of %s", l[1], family)
			}
		}
	}
	for _, name := range []string{
		"fanfare_sockets_open", "fanfare_sockets_max", "fanfare_sockets_opened_total",
		`fanfare_sockets_closed_total{outcome="client_closed"}`, `fanfare_sockets_closed_total{outcome="slow"}`,
		`fanfare_sockets_closed_total{outcome="unauthorized"}`, `fanfare_sockets_closed_total{outcome="drained"}`,
		`fanfare_handshakes_rejected_total{reason="origin"}`, `fanfare_handshakes_rejected_total{reason="unauthorized"}`,
		`fanfare_handshakes_rejected_total{reason="full"}`, `fanfare_handshakes_rejected_total{reason="malformed"}`,
		"fanfare_messages_received_total", "fanfare_messages_published_total", "fanfare_publish_failed_total",
		"fanfare_messages_delivered_total", "fanfare_received_bytes_total", "fanfare_sent_bytes_total",
		"fanfare_rooms", "fanfare_members",
		"fanfare_publish_seconds_bucket", "fanfare_publish_seconds_count", "fanfare_delivery_seconds_bucket", "fanfare_delivery_seconds_count",
		"fanfare_broker_up", "fanfare_gaps_total", "fanfare_messages_recovered_total",
		`fanfare_slow_members_total{action="closed"}`, `fanfare_slow_members_total{action="skipped"}`,
		"fanfare_loop_tick_seconds_bucket", `fanfare_loop_inbox_depth{loop="0"}`, "fanfare_build_info",
		"go_goroutines", "process_open_fds",
	} {
		if !seen[name] && !strings.Contains(page, "\n"+name+" ") {
			t.Errorf("no %s", name)
		}
	}
	if strings.Contains(page, "secret") || strings.Contains(page, "127.0.0.1") {
		t.Error("the metrics tell of a room, a user or an address")
	}
	for name, want := range map[string]string{
		"fanfare_sockets_open": "1", "fanfare_sockets_opened_total": "2", "fanfare_messages_received_total": "5",
		"fanfare_messages_published_total": "4", "fanfare_publish_seconds_count": "4", "fanfare_rooms": "1", "fanfare_members": "1",
		"fanfare_broker_up": "1", `fanfare_sockets_closed_total{outcome="unauthorized"}`: "1",
		`fanfare_handshakes_rejected_total{reason="unauthorized"}`: "1",
	} {
		if got := in.metric(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if !strings.Contains(page, `version="v1.2.3"`) {
		t.Error("the version is not shown")
	}
}

func TestHealthIsOnBothPortsAndReadinessFollowsTheBroker(t *testing.T) {
	t.Parallel()
	b := newMoody()
	in := start(t, gateway.Config{Broker: b})
	check := func(ready int, reason, up string) {
		t.Helper()
		for _, url := range []string{in.ops + "/healthz", "http://" + in.public + "/healthz"} {
			if answer, text := in.call("GET", url, ""); answer.StatusCode != http.StatusOK || text != "ok\n" {
				t.Errorf("%s: %d %q", url, answer.StatusCode, text)
			}
		}
		if answer, text := in.call("GET", in.ops+"/readyz", ""); answer.StatusCode != ready || !strings.Contains(text, reason) {
			t.Errorf("readyz: %d %q, want %d %q", answer.StatusCode, text, ready, reason)
		}
		if got := in.metric("fanfare_broker_up"); got != up {
			t.Errorf("fanfare_broker_up is %s, want %s", got, up)
		}
	}
	check(http.StatusOK, "ready", "1")
	b.leave(errors.New("dialing: connection refused"))
	check(http.StatusServiceUnavailable, "dialing: connection refused", "0")
	b.back()
	check(http.StatusOK, "ready", "1")
	if got := in.status("http://" + in.public + "/readyz"); got != http.StatusNotFound {
		t.Errorf("readyz on the public port is %d", got)
	}
	for _, path := range []string{"/metrics", "/api/publish", "/debug/pprof/"} {
		if got := in.status("http://" + in.public + path); got != http.StatusNotFound {
			t.Errorf("%s on the public port is %d", path, got)
		}
	}
}

func TestProfilesAreOnTheOpsPort(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{})
	for path, part := range map[string]string{
		"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/cmdline": "-test.",
		"/debug/pprof/symbol": "num_symbols",
	} {
		if answer, text := in.call("GET", in.ops+path, ""); answer.StatusCode != http.StatusOK || !strings.Contains(text, part) {
			t.Errorf("%s: %d %.100q", path, answer.StatusCode, text)
		}
	}
	for _, path := range []string{"/", "/api/", "/ws", "/nothing"} {
		if got := in.status(in.ops + path); got != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, got)
		}
	}
}
