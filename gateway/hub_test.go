package gateway_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

func TestCommandsInOnePacketAreDoneInTheirOrder(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c})
		p := in.dial("/ws")
		p.wantMatch("welcome")
		var packet []byte
		for i, command := range []string{`"join"`, `"leave"`, `"join"`, `"join"`, `"leave"`, `"leave"`} {
			text := fmt.Sprintf(`{"type":%s,"room":"r","id":%d}`, command, i)
			packet = append(packet, ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame([]byte(text))))...)
		}
		if _, err := p.conn.Write(packet); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`{"type":"joined","room":"r","id":0,`, `{"type":"left","room":"r","id":1}`, `{"type":"joined","room":"r","id":2,`,
			`{"type":"joined","room":"r","id":3,`, `{"type":"left","room":"r","id":4}`, `{"type":"error","id":5,"code":"not_member"`,
		} {
			p.wantMatch(want)
		}
		p.send(`{"type":"publish","room":"r","data":1,"id":6}`)
		p.want(`{"type":"ack","id":6,"offset":1}`) // and is no member
		if m := in.metric("fanfare_members"); m != "0" {
			t.Errorf("%s members", m)
		}
	})
}

func TestARoomHasBothEncodings(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		b := newFlaky()
		in := start(t, gateway.Config{Loop: c, Broker: b})
		p := in.join("both")
		chat := in.dial("/ws/chat/7?room=both")
		p.want(`{"type":"message","room":"both","from":"7","offset":1,"data":"Client #7 joined the chat"}`)
		chat.write(ws.OpBinary, true, "\x00\xff")
		p.want(`{"type":"message","room":"both","from":"7","offset":2,"data_base64":"AP8="}`)
		chat.send(`"quoted"`)
		p.want(`{"type":"message","room":"both","from":"7","offset":3,"data":"Client #7 says: \"quoted\""}`)
		p.send(`{"type":"publish","room":"both","data":{"a":[]},"echo":false}`)
		p.want(`{"type":"ack","offset":4}`)
		chat.want(`{"a":[]}`)
		for _, payload := range []string{"plain", "\xff"} { // by a program that knows nothing of us
			b.h.Deliver(pubsub.Message{Target: pubsub.Room("both"), Kind: pubsub.Foreign, Payload: []byte(payload)})
		}
		p.want(`{"type":"message","room":"both","data":"plain"}`)
		p.want(`{"type":"message","room":"both","data_base64":"/w=="}`)
		chat.want("plain")
		if f := chat.next(); f.Header.OpCode != ws.OpBinary || string(f.Payload) != "\xff" {
			t.Errorf("got %v %q", f.Header.OpCode, f.Payload)
		}
	})
}

// counting notes what is subscribed, and can deliver while a subscription is being confirmed.
type counting struct {
	*flaky
	mu       sync.Mutex
	now      map[string]bool
	log      []string
	fail     error // of the next subscription
	previous []pubsub.Message
}

func (c *counting) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now[t.Name] = true
	c.log = append(c.log, "+"+t.Name)
	early, fail := c.previous, c.fail
	c.previous, c.fail = nil, nil
	go func() {
		for _, m := range early {
			c.h.Deliver(m)
		}
		if fail != nil {
			done(pubsub.Position{}, fail)
			return
		}
		done(pubsub.Position{Epoch: 1, Offset: 2}, nil)
	}()
}

func (c *counting) Unsubscribe(t pubsub.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.now, t.Name)
	c.log = append(c.log, "-"+t.Name)
}

func (c *counting) subscribed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.log, " ")
}

func TestSubscriptionsFollowInterest(t *testing.T) {
	b := &counting{flaky: newFlaky(), now: map[string]bool{}}
	in := start(t, gateway.Config{Broker: b})
	one, two := in.join("r"), in.join("r")
	one.send(`{"type":"leave","room":"r"}`)
	one.want(`{"type":"left","room":"r"}`)
	if got := b.subscribed(); got != "+r" {
		t.Fatalf("subscriptions: %s", got)
	}
	two.conn.Close()
	in.eventually("it is unsubscribed", func() bool { return b.subscribed() == "+r -r" })
	one.send(`{"type":"join","room":"r"}`)
	one.wantMatch("joined")
	one.send(`{"type":"leave","room":"r"}`)
	one.want(`{"type":"left","room":"r"}`)
	one.send(`{"type":"join","room":"r"}`) // within the moment that it lingers
	one.wantMatch("joined")
	if got := b.subscribed(); got != "+r -r +r" {
		t.Errorf("subscriptions: %s", got)
	}
}

func TestJoiningIsFreeOfRaces(t *testing.T) {
	message := func(offset uint64, text string) pubsub.Message {
		return pubsub.Message{Target: pubsub.Room("r"), Payload: []byte(text), Position: pubsub.Position{Epoch: 1, Offset: offset}}
	}
	b := &counting{flaky: newFlaky(), now: map[string]bool{}}
	// What comes before the answer and is in its position is not sent again; what is not, is.
	b.previous = []pubsub.Message{message(1, "one"), message(2, "two"), message(3, "three")}
	in := start(t, gateway.Config{Broker: b})
	p := in.dial("/ws")
	p.wantMatch("welcome")
	p.send(`{"type":"join","room":"r"}`)
	p.want(`{"type":"joined","room":"r","epoch":"1","offset":2}`)
	p.want(`{"type":"message","room":"r","offset":3,"data":"three"}`)
	b.h.Deliver(message(3, "three"))
	b.h.Deliver(message(4, "four"))
	p.want(`{"type":"message","room":"r","offset":4,"data":"four"}`)
	q := in.dial("/ws")
	q.wantMatch("welcome")
	q.send(`{"type":"join","room":"r"}`)
	q.want(`{"type":"joined","room":"r","epoch":"1","offset":4}`)
}

func TestAFailedSubscriptionIsTriedAgain(t *testing.T) {
	b := &counting{flaky: newFlaky(), now: map[string]bool{}, fail: pubsub.ErrUnavailable}
	in := start(t, gateway.Config{Broker: b})
	p := in.dial("/ws")
	p.wantMatch("welcome")
	p.send(`{"type":"join","room":"r","id":1}`)
	p.want(`{"type":"error","id":1,"code":"unavailable","message":"the broker is away: try again"}`)
	p.send(`{"type":"leave","room":"r","id":2}`)
	p.wantMatch("not_member")
	p.send(`{"type":"join","room":"r","id":3}`)
	p.wantMatch(`{"type":"joined","room":"r","id":3`)
}

func TestTheLogHasNeitherTokensNorPayloads(t *testing.T) {
	var out lockedBuffer
	in := start(t, gateway.Config{
		Auth: authenticator(t), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	in.dial("/ws?token=s3cr3t", "Authorization: Bearer s3cr3t", "Cookie: session=s3cr3t").wantClose(1008)
	p := in.dial("/ws/echo?token=s3cr3t")
	p.send("s3cr3t")
	p.wantMatch("s3cr3t")
	p.conn.Close()
	in.ask("GET /ws?token=s3cr3t HTTP/1.1\r\n" + handshake + "Sec-WebSocket-Protocol: s3cr3t\r\n\r\n")
	in.eventually("the end is logged", func() bool { return strings.Contains(out.String(), "outcome=lost") })
	if log := out.String(); strings.Contains(log, "s3cr3t") || !strings.Contains(log, "credential refused") || !strings.Contains(log, "client=127.0.0.1") {
		t.Errorf("the log is\n%s", log)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
