package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// shared is one memory broker under several instances. It works as long as one of them runs.
type shared struct {
	*flaky
	mu       sync.Mutex
	handlers []pubsub.Handler
	wanted   map[pubsub.Target]int
	running  sync.WaitGroup
	once     sync.Once
}

func newShared() *shared { return &shared{flaky: newFlaky(), wanted: make(map[pubsub.Target]int)} }

func (s *shared) Run(ctx context.Context, h pubsub.Handler) error {
	s.mu.Lock()
	s.handlers = append(s.handlers, h)
	s.mu.Unlock()
	s.once.Do(func() {
		all, stop := context.WithCancel(context.Background())
		var broker sync.WaitGroup
		broker.Go(func() { s.Broker.Run(all, s) })
		s.running.Add(1)
		go func() { s.running.Wait(); stop() }()
	})
	h.Up(nil)
	<-ctx.Done()
	return nil
}

// Deliver, Top and Up make shared the one handler of the broker: an instance drops what it does not
// want.
func (s *shared) Deliver(m pubsub.Message) {
	s.mu.Lock()
	hs := s.handlers
	s.mu.Unlock()
	for _, h := range hs {
		h.Deliver(m)
	}
}
func (s *shared) Top(string, pubsub.Position, bool) {}
func (s *shared) Up(error)                          {}

func (s *shared) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	s.mu.Lock()
	s.wanted[t]++
	s.mu.Unlock()
	s.Broker.Subscribe(t, done)
}

func (s *shared) Unsubscribe(t pubsub.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wanted[t]--; s.wanted[t] == 0 {
		s.Broker.Unsubscribe(t)
	}
}

func TestStoppingEndsTheSocketsAndTellsTheOthers(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		b := newShared()
		t.Cleanup(b.running.Done) // after those of the instances
		stays, goes := start(t, gateway.Config{Loop: c, Broker: b, Name: "b"}), start(t, gateway.Config{Loop: c, Broker: b})
		watcher := stays.dial("/ws/chat/watcher")
		stays.eventually("the watcher is a member", func() bool { return stays.metric("fanfare_members") == "1" })
		p, chat := goes.join("room"), goes.dial("/ws/chat/7")
		watcher.want("Client #7 joined the chat")
		chat.send("hello over there")
		watcher.want("Client #7 says: hello over there")
		stopped := make(chan error, 1)
		go func() { stopped <- goes.stop() }()
		p.wantMatch(`{"type":"drain","retry_ms":`)
		p.wantClose(1012)
		chat.wantClose(1012)
		p.conn.Close()
		chat.conn.Close()
		watcher.want("Client #7 left the chat")
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
		watcher.send("still here")
		if code, _ := stays.get(stays.ops + "/readyz"); code != 200 {
			t.Errorf("the other instance is %d", code)
		}
	})
}

func TestStoppingTakesNoLongerThanDrain(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Drain: time.Second})
		p := in.join("room") // never answers the close
		began := time.Now()
		stopped := make(chan error, 1)
		go func() { stopped <- in.stop() }()
		p.wantMatch(`{"type":"drain","retry_ms":`)
		f := p.next()
		if code, _ := ws.ParseCloseFrameData(f.Payload); code != 1012 {
			t.Fatalf("got %v %q, want close 1012", f.Header.OpCode, f.Payload)
		}
		// Meanwhile balancers are told, and nobody new is let in.
		if code, body := in.get(in.ops + "/readyz"); code != 503 || !strings.Contains(body, "draining") {
			t.Errorf("readyz: %d %s", code, body)
		}
		if code, _ := in.get(in.ops + "/healthz"); code != 200 {
			t.Errorf("healthz: %d", code)
		}
		if _, err := in.tryDial("/ws/echo"); err == nil {
			t.Error("a socket was let in")
		}
		if err := <-stopped; err != nil {
			t.Errorf("Run: %v", err)
		}
		if d := time.Since(began); d < time.Second || d > patience {
			t.Errorf("it took %s, want the second of Drain", d)
		}
	})
}

// The publish that a socket's end causes is not lost to a broker that is slow to answer.
func TestStoppingWaitsForWhatIsBeingPublished(t *testing.T) {
	b := &slowBroker{flaky: newFlaky(), held: make(chan func(), 10)}
	in := start(t, gateway.Config{Broker: b})
	chat := in.dial("/ws/chat/7")
	(<-b.held)() // joined
	stopped := make(chan error, 1)
	go func() { stopped <- in.stop() }()
	chat.wantClose(1012)
	chat.conn.Close()
	left := <-b.held
	in.eventually("the socket is gone", func() bool { return in.metric("fanfare_sockets_open") == "0" })
	select {
	case <-stopped:
		t.Fatal("it has stopped with a publish under way")
	case <-time.After(100 * time.Millisecond): // what must not happen has no event to wait for
	}
	left()
	if err := <-stopped; err != nil {
		t.Errorf("Run: %v", err)
	}
}

type slowBroker struct {
	*flaky
	held chan func()
}

func (b *slowBroker) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	b.held <- func() { b.flaky.Publish(m, done) }
}

func TestABrokerThatCannotWorkEndsRun(t *testing.T) {
	gw, err := gateway.New(gateway.Config{
		Public: listen(t), Ops: listen(t), Broker: brokenBroker{newFlaky()}, Logger: slog.New(slog.DiscardHandler),
	}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := gw.Run(t.Context()); !errors.Is(err, errWrongPassword) {
		t.Errorf("Run: %v", err)
	}
}

type brokenBroker struct{ *flaky }

func (brokenBroker) Run(_ context.Context, h pubsub.Handler) error {
	h.Up(nil)
	return errWrongPassword
}

var errWrongPassword = errors.New("wrong password")

func TestNothingIsLeftOfAGateway(t *testing.T) {
	before := runtime.NumGoroutine()
	transportsSerial(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Drain: time.Second})
		in.join("a", "b").conn.Close()
		in.dial("/ws/chat/1?token=x").conn.Close()
		in.join("a")
		if err := in.stop(); err != nil {
			t.Fatal(err)
		}
		http.DefaultClient.CloseIdleConnections()
		in.eventually("the goroutines are gone", func() bool { return runtime.NumGoroutine() <= before+2 })
	})
}

func transportsSerial(t *testing.T, test func(t *testing.T, c loop.Config)) {
	for _, tr := range []loop.Transport{loop.Auto, loop.Goroutine} {
		t.Run(string(tr), func(t *testing.T) { test(t, loop.Config{Transport: tr}) })
	}
}

func TestASocketEndsWithItsTokenUnlessAFreshOneComes(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Auth: authenticator(t)})
		token := mint(t, auth.Claims{User: "alice", TTL: 2 * time.Second})
		ends, stays, fooled := in.dial("/ws?token="+token), in.dial("/ws?token="+token), in.dial("/ws?token="+token)
		for _, p := range []*peer{ends, stays, fooled} {
			p.wantMatch("welcome")
		}
		stays.send(`{"type":"auth","token":"` + mint(t, auth.Claims{User: "alice"}) + `","id":1}`)
		stays.want(`{"type":"ack","id":1}`)
		no := `{"type":"error","id":1,"code":"forbidden","message":"the token is not valid for this socket's user"}`
		for _, bad := range []string{mint(t, auth.Claims{User: "bob"}), "nonsense", ""} {
			fooled.send(`{"type":"auth","token":"` + bad + `","id":1}`)
			fooled.want(no)
		}
		ends.wantClose(1008)
		fooled.wantClose(1008)
		stays.send(`{"type":"ping"}`)
		stays.want(`{"type":"pong"}`)
	})
}
