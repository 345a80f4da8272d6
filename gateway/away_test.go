package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// moody is a memory broker that goes away and comes back as told. As the contract says, publishes
// and reads fail while it is away, and subscriptions wait.
type moody struct {
	pubsub.Broker
	mu      sync.Mutex
	handler pubsub.Handler
	gone    bool
	asked   int      // subscriptions that wait
	waiting []func() // to be asked when it is back
}

func newMoody() *moody {
	return &moody{Broker: memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: 256, TTL: time.Minute}}})}
}

func (b *moody) Run(ctx context.Context, h pubsub.Handler) error {
	b.mu.Lock()
	b.handler = h
	b.mu.Unlock()
	return b.Broker.Run(ctx, h)
}

// stall makes it go away without a word.
func (b *moody) stall() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = true
}

// leave makes it go away, and say why.
func (b *moody) leave(why error) {
	b.stall()
	b.handler.Up(why)
}

func (b *moody) back() {
	b.mu.Lock()
	b.gone = false
	waiting := b.waiting
	b.waiting, b.asked = nil, 0
	b.mu.Unlock()
	for _, ask := range waiting {
		ask()
	}
	b.handler.Up(nil)
}

// away reports whether it is; on its goroutine, fail is called then.
func (b *moody) away(fail func()) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		b.Broker.Read("", pubsub.Query{}, func(pubsub.History, error) { fail() })
	}
	return b.gone
}

func (b *moody) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	if !b.away(func() { done(pubsub.Receipt{}, pubsub.ErrUnavailable) }) {
		b.Broker.Publish(m, done)
	}
}

func (b *moody) Read(room string, q pubsub.Query, done func(pubsub.History, error)) {
	if !b.away(func() { done(pubsub.History{}, pubsub.ErrUnavailable) }) {
		b.Broker.Read(room, q, done)
	}
}

func (b *moody) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		b.asked++
		b.waiting = append(b.waiting, func() { b.Broker.Subscribe(t, done) })
		return
	}
	b.Broker.Subscribe(t, done)
}

var errRefused = errors.New("connection refused")

const unavailable1 = `{"type":"error","id":1,"code":"unavailable","message":"the broker is away: try again"}`

func TestWithTheBrokerAwaySocketsStayAndAreTold(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		b := newMoody()
		in := start(t, gateway.Config{Broker: b, Loop: c})
		member := in.join("r")
		b.leave(errRefused)
		late := in.dial("/ws?token=alice") // a user's messages cannot come yet, but the welcome does
		late.wantMatch(`"type":"welcome"`)
		for _, command := range []string{
			`{"type":"join","room":"new","id":1}`, `{"type":"join","room":"new","last":5,"id":1}`, `{"type":"publish","room":"r","data":1,"id":1}`,
			`{"type":"publish","room":"r","data":1,"key":"k","id":1}`, `{"type":"send","user":"alice","data":1,"id":1}`,
		} {
			late.send(command)
			late.want(unavailable1)
		}
		late.send(`{"type":"leave","room":"new","id":2}`)
		late.wantMatch(`"not_member"`)
		late.joined(`{"type":"join","room":"r"}`) // this instance is in it already
		late.send(`{"type":"leave","room":"r","id":2}`)
		late.want(`{"type":"left","room":"r","id":2}`)
		for _, p := range []*peer{member, late} {
			p.send(`{"type":"ping"}`)
			p.want(`{"type":"pong"}`)
		}
		b.back()
		late.joined(`{"type":"join","room":"new"}`)
		late.send(`{"type":"publish","room":"r","data":"again","key":"k","id":3}`)
		late.want(`{"type":"ack","id":3,"offset":1}`)
		member.want(`{"type":"message","room":"r","from":"alice","offset":1,"data":"again"}`)
		member.send(`{"type":"send","user":"alice","data":1,"id":4}`)
		member.want(`{"type":"ack","id":4,"instances":1}`)
		late.want(`{"type":"direct","data":1}`)
	})
}

func TestAJoinUnderWayFailsWhenTheBrokerGoes(t *testing.T) {
	t.Parallel()
	b := newMoody()
	in := start(t, gateway.Config{Broker: b})
	p := in.join()
	b.stall()
	p.send(`{"type":"join","room":"r","id":1}`)
	in.eventually("the room is being subscribed", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.asked == 1
	})
	b.leave(errRefused)
	p.want(unavailable1)
	b.back()
	p.joined(`{"type":"join","room":"r"}`)
}

func TestChatWaitsForTheBroker(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		b := newMoody()
		in := start(t, gateway.Config{Broker: b, Loop: c})
		p := in.join()
		b.leave(errRefused)
		chat := in.dial("/ws/chat/9?room=late")
		chat.send("are you there?")
		// The user's name and the room wait, one after the other.
		in.eventually("the text has arrived", func() bool { return in.metric("fanfare_messages_received_total") == "1" })
		b.back()
		in.eventually("9 has spoken", func() bool { return in.metric("fanfare_messages_published_total") == "2" })
		p.joined(`{"type":"join","room":"late","last":5}`)
		p.want(`{"type":"message","room":"late","from":"9","offset":1,"data":"Client #9 joined the chat"}`)
		p.want(`{"type":"message","room":"late","from":"9","offset":2,"data":"Client #9 says: are you there?"}`)
		p.send(`{"type":"publish","room":"late","data":"yes"}`)
		chat.want(`"yes"`)
	})
}

func TestAChatIsClosedRatherThanItsTextLost(t *testing.T) {
	t.Parallel()
	b := newMoody()
	in := start(t, gateway.Config{Broker: b})
	chat := in.dial("/ws/chat/9")
	in.eventually("9 is a member", func() bool { return in.metric("fanfare_members") == "1" })
	b.leave(errRefused)
	chat.send("are you there?")
	chat.wantClose(1013)
}

func TestTheAPISaysThatTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	b := newMoody()
	in := start(t, gateway.Config{Broker: b})
	b.leave(errRefused)
	for _, body := range []string{`{"room":"r","data":1}`, `{"user":"u","data":1}`, `{"room":"r","data":1,"key":"k"}`} {
		answer, text := in.call("POST", in.ops+"/api/publish", body)
		want := `{"code":"unavailable","message":"the broker is away: try again"}` + "\n"
		if answer.StatusCode != http.StatusServiceUnavailable || text != want {
			t.Errorf("%s: %d %s", body, answer.StatusCode, text)
		}
	}
	if got := in.metric("fanfare_publish_failed_total"); got != "3" {
		t.Errorf("%s publishes failed", got)
	}
	b.back()
	if answer, text := in.call("POST", in.ops+"/api/publish", `{"room":"r","data":1,"key":"k"}`); answer.StatusCode != http.StatusOK || text != `{"offset":1}`+"\n" {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
}
