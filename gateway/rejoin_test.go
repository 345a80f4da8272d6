package gateway_test

import (
	"encoding/json"
	"testing"

	"github.com/gobwas/ws/wsutil"

	"github.com/fanfare-ws/fanfare/gateway"
)

func TestAMemberThatResumesGetsWhatFollowsOnceAndInOrder(t *testing.T) {
	in := start(t, gateway.Config{Rate: -1, Broker: newFlawed(100_000)})
	a, pub := in.join(), in.join()
	epoch, _, _ := a.joined(`{"type":"join","room":"r"}`)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // publishes as fast as it can, without waiting for acks
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if wsutil.WriteClientText(pub.conn, []byte(`{"type":"publish","room":"r","data":0,"echo":false}`)) != nil {
				return
			}
			if _, err := pub.tryNext(); err != nil { // one ack for each
				return
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	seen := 0 // up to here
	for range 300 {
		from := max(0, seen-3)
		a.send(since("r", epoch, from))
		for resumed := false; ; {
			var m struct {
				Type      string
				Offset    int
				Recovered bool
			}
			if err := json.Unmarshal(a.next().Payload, &m); err != nil {
				t.Fatal(err)
			}
			switch {
			case m.Type == "joined" && m.Recovered && !resumed:
				seen, resumed = from, true
			case m.Type == "message" && m.Offset == seen+1:
				seen++
			default:
				t.Fatalf("%s at %d (recovered %v) after %d", m.Type, m.Offset, m.Recovered, seen)
			}
			if resumed && seen >= from+8 {
				break
			}
		}
	}
}
