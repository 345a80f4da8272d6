package gateway_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

func TestADrainTellsEverySocketAndSpreadsTheCloses(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Drain: 10 * time.Second})
		const sockets = 20 // so they are spread over one second
		peers := make([]*peer, sockets)
		for i := range peers {
			peers[i] = in.join("r")
		}
		chat := in.dial("/ws/chat/1?room=other")
		in.eventually("the chat socket has joined", func() bool { return in.metric("fanfare_members") == "21" })
		stopped := make(chan error, 1)
		began := time.Now()
		go func() { stopped <- in.stop() }()
		var first, last time.Duration
		waits := make(map[int]bool)
		for _, p := range peers {
			var notice struct {
				Type    string
				RetryMS int `json:"retry_ms"`
			}
			if err := json.Unmarshal([]byte(p.wantMatch(`{"type":"drain","retry_ms":`)), &notice); err != nil {
				t.Fatal(err)
			}
			waits[notice.RetryMS] = true
		}
		for i, p := range peers {
			f := p.next()
			if code, _ := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != 1012 {
				t.Fatalf("got %v %q, want close 1012", f.Header.OpCode, f.Payload)
			}
			at := time.Since(began)
			if i == 0 || at < first {
				first = at
			}
			last = max(last, at)
			p.conn.Close()
		}
		chat.wantClose(1012)
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
		if len(waits) < sockets/4 {
			t.Errorf("only %d different retry_ms for %d sockets", len(waits), sockets)
		}
		if last-first > 9*time.Second {
			t.Errorf("the closes took %v", last-first)
		}
	})
}

func TestAnInstanceServesOnWhileLoadBalancersNotice(t *testing.T) {
	in := start(t, gateway.Config{DrainDelay: time.Second})
	a := in.join("r")
	stopped := make(chan error, 1)
	go func() { stopped <- in.stop() }()
	in.eventually("readyz is 503", func() bool { return in.status(in.ops+"/readyz") == http.StatusServiceUnavailable })
	if got := in.status(in.ops + "/healthz"); got != http.StatusOK {
		t.Errorf("healthz is %d", got)
	}
	b := in.join() // still served
	b.send(`{"type":"publish","room":"r","data":1,"id":1}`)
	b.want(`{"type":"ack","id":1,"offset":1}`)
	a.wantMessages("r", 1, 1)
	for _, p := range []*peer{a, b} {
		p.wantMatch(`{"type":"drain","retry_ms":`)
		p.wantClose(1012)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}
