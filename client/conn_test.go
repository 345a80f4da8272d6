package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/client"
)

func TestDialSendsTheTokenAndReadsTheWelcome(t *testing.T) {
	headers := make(chan string, 1)
	url := serve(t, func(p *peer) error {
		headers <- p.header.Get("Authorization")
		return errors.Join(p.welcome(), p.await())
	})
	c := dial(t, url, client.Options{Token: "secret"})
	want := client.Welcome{Socket: "s1", Instance: "a", User: "ann", Ping: 30 * time.Second}
	if diff := cmp.Diff(want, c.Welcome()); diff != "" {
		t.Error(diff)
	}
	if got := <-headers; got != "Bearer secret" {
		t.Errorf("Authorization: %q", got)
	}
}

func TestARefusedCredentialIsACloseError(t *testing.T) {
	url := serve(t, func(p *peer) error {
		return ws.WriteFrame(p, ws.NewCloseFrame(ws.NewCloseFrameBody(1008, "no credential")))
	})
	_, err := client.Dial(within(t), url+"?token=secret", client.Options{})
	var closed *client.CloseError
	if !errors.As(err, &closed) || *closed != (client.CloseError{Code: 1008, Reason: "no credential"}) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the token is in the error: %v", err)
	}
}

func TestCommandsGetTheirAnswersAndEventsArriveInOrder(t *testing.T) {
	const raw = `{"b":1,  "a":[1.0e2,"<&>"]}`
	url := serve(t, func(p *peer) error {
		if err := p.welcome(); err != nil {
			return err
		}
		for {
			c, err := p.next()
			if err != nil {
				return nil
			}
			switch c.Type {
			case "join":
				err = p.say(`{"type":"joined","room":%q,"id":%d,"epoch":"7","offset":%d,"recovered":true}`, c.Room, c.ID, c.Since.Offset)
			case "publish":
				err = errors.Join(
					p.say(`{"type":"message","room":%q,"from":"ann","offset":5,"data":%s}`, c.Room, c.Data),
					p.say(`{"type":"ack","id":%d,"offset":5}`, c.ID))
			case "send":
				err = errors.Join(
					p.say(`{"type":"ack","id":%d,"instances":2}`, c.ID),
					p.say(`{"type":"direct","from":"ann","data_base64":"AAE="}`),
					p.say(`{"type":"gap","room":"chat","epoch":"8","offset":3}`),
					p.say(`{"type":"drain","retry_ms":1500}`))
			case "leave":
				err = p.say(`{"type":"error","id":%d,"code":"not_member","message":"not joined"}`, c.ID)
			}
			if err != nil {
				return err
			}
		}
	})
	ctx, c := within(t), dial(t, url, client.Options{})

	joined, err := c.Resume(ctx, "chat", client.Position{Epoch: "7", Offset: 4})
	if err != nil || joined.Position != (client.Position{Epoch: "7", Offset: 4}) || joined.Recovered == nil || !*joined.Recovered {
		t.Errorf("Resume: %+v, %v", joined, err)
	}
	if ack, err := c.Publish(ctx, "chat", json.RawMessage(raw)); err != nil || ack.Offset != 5 {
		t.Errorf("Publish: %+v, %v", ack, err)
	}
	if n, err := c.Send(ctx, "bob", map[string]int{"a": 1}); err != nil || n != 2 {
		t.Errorf("Send: %d, %v", n, err)
	}
	var refused *client.Error
	if err := c.Leave(ctx, "chat"); !errors.As(err, &refused) || refused.Code != "not_member" {
		t.Errorf("Leave: %v", err)
	}
	for _, want := range []client.Event{
		client.Message{Room: "chat", From: "ann", Offset: 5, Data: json.RawMessage(raw)}, // byte for byte
		client.Direct{From: "ann", Binary: []byte{0, 1}},
		client.Gap{Room: "chat", Position: client.Position{Epoch: "8", Offset: 3}},
		client.Drain{Retry: 1500 * time.Millisecond},
	} {
		got, err := c.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := c.Publish(ctx, "chat", json.RawMessage(`{`)); err == nil {
		t.Error("published what is not JSON")
	}
}

func TestManyGoroutinesMayPublishAtOnce(t *testing.T) {
	url := serve(t, func(p *peer) error {
		if err := p.welcome(); err != nil {
			return err
		}
		for {
			c, err := p.next()
			if err != nil {
				return nil
			}
			if err := p.say(`{"type":"ack","id":%d,"offset":%s}`, c.ID, c.Data); err != nil {
				return err
			}
		}
	})
	ctx, c := within(t), dial(t, url, client.Options{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if ack, err := c.Publish(ctx, "chat", i+1); err != nil || ack.Offset != uint64(i+1) {
				t.Errorf("publish %d: %+v, %v", i+1, ack, err)
			}
		})
	}
	wg.Wait()
}

func TestFragmentsWithAPingBetweenAreOneMessage(t *testing.T) {
	ponged := make(chan string, 1)
	url := serve(t, func(p *peer) error {
		text := `{"type":"direct","from":"é","data":1}`
		err := errors.Join(p.welcome(),
			ws.WriteFrame(p, ws.NewFrame(ws.OpText, false, []byte(text[:26]))), // within é
			ws.WriteFrame(p, ws.NewPingFrame([]byte("hm"))),
			ws.WriteFrame(p, ws.NewFrame(ws.OpContinuation, true, []byte(text[26:]))))
		if err != nil {
			return err
		}
		op, payload, err := p.frame()
		ponged <- fmt.Sprintf("%t %s", op == ws.OpPong, payload)
		return errors.Join(err, p.await())
	})
	c := dial(t, url, client.Options{})
	got, err := c.Receive(within(t))
	if diff := cmp.Diff(client.Event(client.Direct{From: "é", Data: json.RawMessage("1")}), got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if got := <-ponged; got != "true hm" {
		t.Errorf("pong %q", got)
	}
}

func TestWhatBreaksTheProtocolOrTheLimitEndsTheConnection(t *testing.T) {
	for name, frame := range map[string][]byte{
		"2^62 bytes declared": {0x81, 127, 0x40, 0, 0, 0, 0, 0, 0, 0},
		"over the limit":      {0x81, 126, 0x04, 0x01},
		"masked":              {0x81, 0x80, 1, 2, 3, 4},
		"reserved bit":        {0xc1, 0},
		"no UTF-8":            {0x81, 1, 0xff},
		"binary":              {0x82, 0},
		"lone continuation":   {0x80, 0},
		"no JSON":             {0x81, 1, '!'},
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(p *peer) error {
				if err := p.welcome(); err != nil {
					return err
				}
				_, err := p.Write(frame)
				return errors.Join(err, p.await())
			})
			c := dial(t, url, client.Options{MaxMessage: 1024})
			if e, err := c.Receive(within(t)); err == nil {
				t.Errorf("received %v", e)
			}
			if _, err := c.Publish(within(t), "chat", 1); err == nil || err != c.Err() {
				t.Errorf("publish: %v, the connection: %v", err, c.Err())
			}
		})
	}
}

func TestAContextThatEndsLeavesTheConnectionUsable(t *testing.T) {
	url := serve(t, func(p *peer) error {
		if err := p.welcome(); err != nil {
			return err
		}
		for {
			c, err := p.next()
			if err != nil {
				return nil
			}
			if c.Room == "silent" {
				continue
			}
			if err := p.say(`{"type":"ack","id":%d,"offset":1}`, c.ID); err != nil {
				return err
			}
		}
	})
	c := dial(t, url, client.Options{})
	short, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Publish(short, "silent", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("publish: %v", err)
	}
	if _, err := c.Receive(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("receive: %v", err)
	}
	if _, err := c.Publish(within(t), "chat", 1); err != nil {
		t.Errorf("publish after a cancelled one: %v", err)
	}
}

func TestEventsThatWaitAreBoundedAndOutliveTheConnection(t *testing.T) {
	const n = 100
	url := serve(t, func(p *peer) error {
		if err := p.welcome(); err != nil {
			return err
		}
		for i := range n {
			if err := p.say(`{"type":"message","room":"chat","offset":%d,"data":0}`, i+1); err != nil {
				return err
			}
		}
		return errors.Join(
			ws.WriteFrame(p, ws.NewCloseFrame(ws.NewCloseFrameBody(1012, "leaving"))), p.await())
	})
	c := dial(t, url, client.Options{Buffer: 4})
	for i := range n {
		e, err := c.Receive(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if m := e.(client.Message); m.Offset != uint64(i+1) {
			t.Fatalf("message %d has offset %d", i+1, m.Offset)
		}
	}
	var closed *client.CloseError
	if _, err := c.Receive(within(t)); !errors.As(err, &closed) || closed.Code != 1012 {
		t.Errorf("at the end: %v", err)
	}
}

func TestCloseSaysGoodbyeAndEndsWhoWaits(t *testing.T) {
	code := make(chan ws.StatusCode, 1)
	url := serve(t, func(p *peer) error {
		if err := p.welcome(); err != nil {
			return err
		}
		_, payload, err := p.frame()
		c, _ := ws.ParseCloseFrameData(payload)
		code <- c
		return err
	})
	c := dial(t, url, client.Options{})
	ended := make(chan error, 1)
	go func() {
		_, err := c.Receive(context.Background())
		ended <- err
	}()
	c.Close()
	c.Close()
	if err := <-ended; !errors.Is(err, client.ErrClosed) {
		t.Errorf("receive: %v", err)
	}
	if got := <-code; got != ws.StatusNormalClosure {
		t.Errorf("close code %d", got)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	url := serve(t, func(p *peer) error { return p.await() }) // never a welcome
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Dial(ctx, url, client.Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func ExampleConn_Publish() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "ws://localhost:8080/ws", client.Options{Token: "ann"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if _, err := c.Join(ctx, "chat"); err != nil {
		fmt.Println(err)
		return
	}
	ack, err := c.Publish(ctx, "chat", map[string]string{"text": "hi"})
	fmt.Println(ack.Offset, err)
}
