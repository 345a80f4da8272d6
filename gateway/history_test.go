package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// flawed is a memory broker that fails as told.
type flawed struct {
	pubsub.Broker
	mu      sync.Mutex
	handler pubsub.Handler
	lose    map[uint64]bool // offsets that are not delivered, once
	reads   int
	fail    int           // reads that fail from now on
	hold    chan struct{} // not nil: the answers to reads wait for it
}

func newFlawed(history int) *flawed {
	return &flawed{
		Broker: memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: history, TTL: time.Minute}}}),
		lose:   make(map[uint64]bool),
	}
}

func (f *flawed) Run(ctx context.Context, h pubsub.Handler) error {
	f.mu.Lock()
	f.handler = h
	f.mu.Unlock()
	return f.Broker.Run(ctx, deliverer{h, f})
}

type deliverer struct {
	pubsub.Handler
	f *flawed
}

func (d deliverer) Deliver(m pubsub.Message) {
	d.f.mu.Lock()
	lost := d.f.lose[m.Position.Offset]
	delete(d.f.lose, m.Position.Offset)
	d.f.mu.Unlock()
	if !lost {
		d.Handler.Deliver(m)
	}
}

func (f *flawed) Read(room string, q pubsub.Query, done func(pubsub.History, error)) {
	f.mu.Lock()
	f.reads++
	failing := f.fail > 0
	if failing {
		f.fail--
	}
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		f.Broker.Read(room, q, func(h pubsub.History, err error) {
			if failing {
				h, err = pubsub.History{}, pubsub.ErrUnavailable
			}
			go func() {
				<-hold
				done(h, err)
			}()
		})
		return
	}
	if failing {
		f.Broker.Read(room, q, func(pubsub.History, error) { done(pubsub.History{}, pubsub.ErrUnavailable) })
		return
	}
	f.Broker.Read(room, q, done)
}

// top tells the gateway what the newest message is, as a broker does now and then.
func (f *flawed) top(room string, interrupted bool) {
	done := make(chan pubsub.Position, 1)
	f.Broker.Read(room, pubsub.Query{}, func(h pubsub.History, _ error) { done <- h.Top })
	f.handler.Top(room, <-done, interrupted)
}

func (p *peer) publish(room string, from, to int) {
	for n := from; n <= to; n++ {
		p.send(fmt.Sprintf(`{"type":"publish","room":%q,"data":%d,"echo":false,"id":%d}`, room, n, n))
		p.want(fmt.Sprintf(`{"type":"ack","id":%d,"offset":%d}`, n, n))
	}
}

func (p *peer) wantMessages(room string, from, to int) {
	p.t.Helper()
	for n := from; n <= to; n++ {
		p.want(fmt.Sprintf(`{"type":"message","room":%q,"offset":%d,"data":%d}`, room, n, n))
	}
}

// joined sends a join command and reads the answer.
func (p *peer) joined(command string) (epoch string, offset int, recovered *bool) {
	p.t.Helper()
	p.send(command)
	var j struct {
		Type, Epoch string
		Offset      int
		Recovered   *bool
	}
	text := p.wantMatch(`"type":"joined"`)
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		p.t.Fatal(err)
	}
	return j.Epoch, j.Offset, j.Recovered
}

func since(room, epoch string, offset int) string {
	return fmt.Sprintf(`{"type":"join","room":%q,"since":{"epoch":%q,"offset":%d}}`, room, epoch, offset)
}

func TestASocketThatComesBackGetsWhatItMissed(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		pub, a := in.join(), in.join()
		epoch, offset, recovered := a.joined(`{"type":"join","room":"r"}`)
		if epoch == "" || offset != 0 || recovered != nil {
			t.Fatalf("joined with %q %d %v", epoch, offset, recovered)
		}
		pub.publish("r", 1, 5)
		a.wantMessages("r", 1, 5)
		a.conn.Close()
		pub.publish("r", 6, 9)
		b := in.join()
		if _, offset, recovered := b.joined(since("r", epoch, 5)); offset != 9 || recovered == nil || !*recovered {
			t.Fatalf("joined at %d, recovered %v", offset, recovered)
		}
		b.wantMessages("r", 6, 9)
		pub.publish("r", 10, 11)
		b.wantMessages("r", 10, 11)
		// Again, as a member.
		if _, _, recovered := b.joined(since("r", epoch, 8)); recovered == nil || !*recovered {
			t.Fatal("not recovered as a member")
		}
		b.wantMessages("r", 9, 11)
	})
}

func TestAResumeThatCannotBeIsNotSaidToBeOne(t *testing.T) {
	in := start(t, gateway.Config{Broker: newFlawed(4)})
	pub := in.join()
	pub.publish("r", 1, 10)
	p := in.join()
	epoch, _, _ := p.joined(`{"type":"join","room":"r"}`)
	other, _, _ := p.joined(`{"type":"join","room":"other"}`)
	for what, command := range map[string]string{
		"a position no longer kept": since("r", epoch, 3),
		"from the future":           since("r", epoch, 11),
		"from another room":         since("r", other, 3),
		"an epoch that is none":     since("r", "zzz", 3),
	} {
		if _, offset, recovered := p.joined(command); offset != 10 || recovered == nil || *recovered {
			t.Errorf("%s: joined at %d, recovered %v", what, offset, recovered)
		}
	}
	if _, _, recovered := p.joined(since("r", epoch, 6)); !*recovered {
		t.Error("the oldest position that is kept was not recovered")
	}
	p.wantMessages("r", 7, 10)
	for _, command := range []string{
		`{"type":"join","room":"r","since":5,"id":1}`, `{"type":"join","room":"r","since":{"offset":1},"id":1}`,
		`{"type":"join","room":"r","since":{"epoch":"a","offset":-1},"id":1}`, `{"type":"join","room":"r","last":-1,"id":1}`,
	} {
		p.send(command)
		p.wantMatch(`{"type":"error","id":1,"code":"bad_request"`)
	}
}

func TestRecentHistory(t *testing.T) {
	in := start(t, gateway.Config{})
	pub := in.join()
	pub.publish("r", 1, 10)
	for _, last := range []int{3, 10, 500} {
		p := in.join()
		if _, offset, recovered := p.joined(fmt.Sprintf(`{"type":"join","room":"r","last":%d}`, last)); offset != 10 || recovered != nil {
			t.Fatalf("joined at %d, recovered %v", offset, recovered)
		}
		p.wantMessages("r", max(1, 11-last), 10)
		p.send(`{"type":"ping"}`)
		p.want(`{"type":"pong"}`)
	}
}

func TestAHoleIsFilledBeforeLaterMessages(t *testing.T) {
	f := newFlawed(256)
	for _, n := range []uint64{3, 4, 8} {
		f.lose[n] = true
	}
	in := start(t, gateway.Config{Broker: f})
	a, pub := in.join("r"), in.join()
	pub.publish("r", 1, 7)
	a.wantMessages("r", 1, 7)
	pub.publish("r", 8, 8) // the last one is lost: nothing comes after it
	f.top("r", false)
	a.wantMessages("r", 8, 8)
	if got := in.metric("fanfare_gaps_total"); got != "0" {
		t.Errorf("%s gaps", got)
	}
}

func TestAHoleThatCannotBeFilledIsAGap(t *testing.T) {
	f := newFlawed(2)
	for n := uint64(2); n <= 9; n++ {
		f.lose[n] = true
	}
	in := start(t, gateway.Config{Broker: f})
	a, pub := in.join(), in.join()
	epoch, _, _ := a.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, 10)
	a.wantMessages("r", 1, 1)
	a.want(fmt.Sprintf(`{"type":"gap","room":"r","epoch":%q,"offset":8}`, epoch))
	a.wantMessages("r", 9, 10)
}

func TestAReadThatFailsIsTriedAgain(t *testing.T) {
	f := newFlawed(256)
	f.lose[2], f.fail = true, 2
	in := start(t, gateway.Config{Broker: f})
	a, pub := in.join("r"), in.join()
	pub.publish("r", 1, 5)
	a.wantMessages("r", 1, 5)
}

func TestANewEpochIsAGapAndThenItsMessages(t *testing.T) {
	f := newFlawed(256)
	in := start(t, gateway.Config{Broker: f})
	a, pub := in.join(), in.join()
	old, _, _ := a.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, 3)
	a.wantMessages("r", 1, 3)
	var was uint64
	if _, err := fmt.Sscanf(old, "%x", &was); err != nil {
		t.Fatal(err)
	}
	renewed := make(chan pubsub.Position, 1)
	f.Renew("r", was, func(p pubsub.Position, _ error) { renewed <- p })
	epoch := fmt.Sprintf("%x", (<-renewed).Epoch)
	pub.publish("r", 1, 2)
	a.want(fmt.Sprintf(`{"type":"gap","room":"r","epoch":%q,"offset":0}`, epoch))
	a.wantMessages("r", 1, 2)
	if _, _, recovered := a.joined(since("r", old, 3)); *recovered {
		t.Error("a position of the old epoch was said to be recovered")
	}
}

func TestAHistoryThatWentBackGetsANewEpoch(t *testing.T) {
	// A second broker with the same epoch but other content stands for a replica that was
	// promoted without the newest messages.
	f := newFlawed(256)
	in := start(t, gateway.Config{Broker: f})
	a, pub := in.join(), in.join()
	old, _, _ := a.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, 3)
	a.wantMessages("r", 1, 3)
	f.mu.Lock()
	f.lose[4] = true
	h := f.handler
	f.mu.Unlock()
	pub.publish("r", 4, 4) // not heard here
	var epoch uint64
	if _, err := fmt.Sscanf(old, "%x", &epoch); err != nil {
		t.Fatal(err)
	}
	// The instance believes to have seen another message 4 than the history has.
	h.Deliver(pubsub.Message{Target: pubsub.Room("r"), Kind: pubsub.JSON, Payload: []byte(`"lost"`), Position: pubsub.Position{Epoch: epoch, Offset: 4}})
	a.want(`{"type":"message","room":"r","offset":4,"data":"lost"}`)
	f.top("r", true)
	gap := a.wantMatch(`{"type":"gap","room":"r","epoch":"`, `"offset":0}`)
	if strings.Contains(gap, old) {
		t.Fatalf("the epoch is still the old one: %s", gap)
	}
	pub.publish("r", 1, 2)
	a.wantMessages("r", 1, 2)
}

// The storm of thousands is in test/faults; here sockets come back one after the other, each away
// for longer than the one before, which is the worst order.
func TestAStormOfResumesIsFewReads(t *testing.T) {
	for what, messages := range map[string]int{"of few messages": 100, "of more than a window has": 2000} {
		t.Run(what, func(t *testing.T) {
			const sockets, few = 100, 12
			f := newFlawed(5000)
			in := start(t, gateway.Config{Rate: -1, Broker: f})
			pub := in.join()
			pub.publish("r", 1, messages)
			epoch, _, _ := in.join().joined(`{"type":"join","room":"r"}`)
			for i := range sockets {
				p := in.join()
				from := messages - (i+1)*messages/sockets
				if _, _, recovered := p.joined(since("r", epoch, from)); !*recovered {
					t.Fatalf("since %d: not recovered", from)
				}
				p.wantMessages("r", from+1, messages)
				p.conn.Close()
				if i%10 == 0 { // what is kept is not thrown away for a new message
					messages++
					pub.publish("r", messages, messages)
				}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.reads > few {
				t.Errorf("%d sockets came back with %d reads", sockets, f.reads)
			}
		})
	}
}

func TestAKeyMakesPublishingAgainHarmless(t *testing.T) {
	in := start(t, gateway.Config{})
	a, b := in.join("r"), in.join()
	for range 3 {
		b.send(`{"type":"publish","room":"r","data":"once","key":"k","id":1}`)
		b.want(`{"type":"ack","id":1,"offset":1}`)
	}
	b.send(`{"type":"publish","room":"r","data":"twice","id":2}`)
	b.want(`{"type":"ack","id":2,"offset":2}`)
	a.want(`{"type":"message","room":"r","offset":1,"data":"once"}`)
	a.want(`{"type":"message","room":"r","offset":2,"data":"twice"}`)
}

func TestAKeyWithoutHistoryIsRefused(t *testing.T) {
	in := start(t, gateway.Config{Broker: memory.New(memory.Config{})})
	p := in.join("r")
	p.send(`{"type":"publish","room":"r","data":1,"key":"k","id":1}`)
	p.want(`{"type":"error","id":1,"code":"bad_request","message":"this room keeps no history, so a key cannot be kept"}`)
	if _, _, recovered := p.joined(since("r", "abc", 3)); *recovered {
		t.Error("recovered in a room without history")
	}
}
