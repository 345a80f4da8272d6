package gateway_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// stall makes a member that does not read fall behind until the metric counts one.
func stall(t *testing.T, in *instance, metric string) (slow, other *peer, sent int) {
	t.Helper()
	slow, other = in.join("room"), in.join("room")
	slow.conn.(*net.TCPConn).SetReadBuffer(32 << 10)
	for in.metric(metric) == "0" {
		if sent++; sent > 2000 {
			t.Fatal("never too slow")
		}
		if code, _ := in.publishAPI(fmt.Sprintf(`{"room":"room","data":[%d,"%s"]}`, sent, strings.Repeat("x", 60_000))); code != 200 {
			t.Fatalf("publish: %d", code)
		}
		other.wantMatch(fmt.Sprintf(`"data":[%d,`, sent))
	}
	return slow, other, sent
}

func TestASlowSocketIsToldWhy(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.SlowLimit = 100_000
		in := start(t, gateway.Config{Loop: c})
		slow, other, _ := stall(t, in, `fanfare_slow_members_total{action="closed"}`)
		f := slow.next()
		for i := 1; f.Header.OpCode == ws.OpText; i, f = i+1, slow.next() {
			if !strings.Contains(string(f.Payload), fmt.Sprintf(`"offset":%d,`, i)) {
				t.Fatalf("got %.100q, want message %d", f.Payload, i)
			}
		}
		if code, reason := ws.ParseCloseFrameData(f.Payload); code != 1013 || reason != "too slow" {
			t.Errorf("got %v %d %q, want close 1013", f.Header.OpCode, code, reason)
		}
		if n := in.metric(`fanfare_sockets_closed_total{outcome="slow"}`); n != "1" {
			t.Errorf("outcome slow counts %s", n)
		}
		other.send(`{"type":"ping"}`)
		other.want(`{"type":"pong"}`)
	})
}

func TestASkippedSocketIsToldWhatItMissed(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		c.SlowLimit, c.SlowSkip = 100_000, true
		in := start(t, gateway.Config{Loop: c})
		slow, _, sent := stall(t, in, `fanfare_slow_members_total{action="skipped"}`)
		gaps := 0
		for at := 0; at < sent; {
			text := slow.wantMatch()
			var room, epoch string
			if _, err := fmt.Sscanf(strings.NewReplacer(`"`, " ", ",", " ", ":", " ").Replace(text), "{ type   gap   room   %s   epoch   %s   offset  %d}", &room, &epoch, &at); err == nil {
				gaps++
			} else if at++; !strings.Contains(text[:min(len(text), 100)], fmt.Sprintf(`"offset":%d,`, at)) {
				t.Fatalf("got %.100q, want message %d or a gap", text, at)
			}
		}
		if gaps == 0 {
			t.Error("no gap was told")
		}
		slow.send(`{"type":"publish","room":"room","data":"live"}`)
		if both := slow.wantMatch() + slow.wantMatch(); !strings.Contains(both, `"live"`) {
			t.Errorf("got %s", both)
		}
	})
}
