package gateway_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// wentBack has a room of which an instance has delivered six messages, the last three of which the
// history has lost: a replica was promoted that lacks them.
func wentBack(t *testing.T) (f *flawed, stays, pub *peer, epoch string) {
	t.Helper()
	f = newFlawed(256)
	in := start(t, gateway.Config{Broker: f})
	stays, pub = in.join(), in.join()
	epoch, _, _ = stays.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, 3)
	stays.wantMessages("r", 1, 3)
	var e uint64
	if _, err := fmt.Sscanf(epoch, "%x", &e); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	h := f.handler
	f.mu.Unlock()
	for n := 4; n <= 6; n++ {
		h.Deliver(pubsub.Message{
			Target: pubsub.Room("r"), Kind: pubsub.JSON, Payload: []byte(`"lost"`),
			Position: pubsub.Position{Epoch: e, Offset: uint64(n)},
		})
		stays.want(fmt.Sprintf(`{"type":"message","room":"r","offset":%d,"data":"lost"}`, n))
	}
	return f, stays, pub, epoch
}

// wantNewEpoch reads a gap to the beginning of another epoch.
func (p *peer) wantNewEpoch(old string) {
	p.t.Helper()
	if gap := p.wantMatch(`{"type":"gap","room":"r","epoch":"`, `"offset":0}`); strings.Contains(gap, old) {
		p.t.Fatalf("the epoch is still the old one: %s", gap)
	}
}

func TestAnotherMessageAtAnOffsetThatWasDeliveredIsANewEpoch(t *testing.T) {
	_, stays, pub, epoch := wentBack(t)
	pub.publish("r", 4, 4) // nobody has said yet that anything was interrupted
	stays.wantNewEpoch(epoch)
	pub.publish("r", 1, 2)
	stays.wantMessages("r", 1, 2)
}

func TestAMessageThatHidesAHistoryThatWentBackDoesNot(t *testing.T) {
	f, stays, pub, epoch := wentBack(t)
	f.mu.Lock()
	f.lose[4], f.lose[5], f.lose[6] = true, true, true // published before this instance is back
	h := f.handler
	f.mu.Unlock()
	h.Up(errors.New("away"))
	pub.publish("r", 4, 7)
	h.Up(nil)
	stays.wantMessages("r", 7, 7) // it follows what was delivered, as far as one can see
	f.top("r", true)
	stays.wantNewEpoch(epoch)
	pub.publish("r", 1, 2)
	stays.wantMessages("r", 1, 2)
}

func TestTheSameMessageAgainIsNoNewEpoch(t *testing.T) {
	f := newFlawed(256)
	in := start(t, gateway.Config{Broker: f})
	stays, pub := in.join("r"), in.join()
	pub.publish("r", 1, 5)
	stays.wantMessages("r", 1, 5)
	done := make(chan pubsub.History, 1)
	f.Broker.Read("r", pubsub.Query{Since: true}, func(h pubsub.History, _ error) { done <- h })
	f.mu.Lock()
	h := f.handler
	f.mu.Unlock()
	for _, m := range (<-done).Messages {
		h.Deliver(m)
	}
	h.Up(errors.New("away"))
	h.Up(nil)
	f.top("r", true)
	pub.publish("r", 6, 6)
	stays.wantMessages("r", 6, 6)
	if got := in.metric("fanfare_gaps_total"); got != "0" {
		t.Errorf("%s gaps", got)
	}
}
