package gateway_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/gobwas/ws/wsutil"

	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/pubsub"
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
	for range 100 {
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

func TestAResumeIsServedHoweverMuchThisInstanceMissed(t *testing.T) {
	const known, seen, all = 200, 300, 2000
	f := newFlawed(5000)
	for n := uint64(known + 1); n <= all; n++ {
		f.lose[n] = true
	}
	in := start(t, gateway.Config{Rate: -1, Broker: f})
	stays, pub := in.join(), in.join()
	epoch, _, _ := stays.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, known)
	stays.wantMessages("r", 1, known)
	pub.publish("r", known+1, all) // not heard here
	// The first comes from another instance, and is ahead of this one.
	for _, from := range []int{seen, 1} {
		p := in.join()
		if _, offset, recovered := p.joined(since("r", epoch, from)); offset != all || recovered == nil || !*recovered {
			t.Errorf("since %d: joined at %d, recovered %v", from, offset, *recovered)
			continue
		}
		p.wantMessages("r", from+1, all)
	}
	stays.wantMessages("r", known+1, all)
}

func TestAResumeIsServedHoweverMuchComesWhileTheHistoryIsRead(t *testing.T) {
	const before, all = 1000, 2000
	f := newFlawed(5000)
	in := start(t, gateway.Config{Rate: -1, Broker: f})
	stays, pub, back := in.join(), in.join(), in.join()
	epoch, _, _ := stays.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, before)
	stays.wantMessages("r", 1, before)
	hold := make(chan struct{})
	f.mu.Lock()
	f.hold = hold
	f.mu.Unlock()
	back.send(since("r", epoch, 1))
	in.eventually("the history is read", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.reads > 0
	})
	pub.publish("r", before+1, all)
	stays.wantMessages("r", before+1, all)
	close(hold)
	back.wantMatch(`"type":"joined"`, fmt.Sprintf(`"offset":%d,"recovered":true`, all))
	back.wantMessages("r", 2, all)
}

func TestAResumeFromAnEpochThatThisInstanceHasNotHeardOfIsServed(t *testing.T) {
	f := newFlawed(256)
	in := start(t, gateway.Config{Broker: f})
	stays, pub := in.join(), in.join()
	old, _, _ := stays.joined(`{"type":"join","room":"r"}`)
	pub.publish("r", 1, 3)
	stays.wantMessages("r", 1, 3)
	var was uint64
	if _, err := fmt.Sscanf(old, "%x", &was); err != nil {
		t.Fatal(err)
	}
	renewed := make(chan pubsub.Position, 1)
	f.Renew("r", was, func(p pubsub.Position, _ error) { renewed <- p })
	epoch := fmt.Sprintf("%x", (<-renewed).Epoch)
	f.mu.Lock()
	for n := uint64(1); n <= 5; n++ {
		f.lose[n] = true
	}
	f.mu.Unlock()
	pub.publish("r", 1, 5) // not heard here
	// Its client saw the new epoch's first messages on another instance.
	back := in.join()
	if at, offset, recovered := back.joined(since("r", epoch, 3)); at != epoch || offset != 5 || recovered == nil || !*recovered {
		t.Fatalf("joined at %s %d, recovered %v", at, offset, *recovered)
	}
	back.wantMessages("r", 4, 5)
	stays.want(fmt.Sprintf(`{"type":"gap","room":"r","epoch":%q,"offset":0}`, epoch))
	stays.wantMessages("r", 1, 5)
	if at, offset, recovered := in.join().joined(since("r", old, 3)); at != epoch || offset != 5 || *recovered {
		t.Errorf("since the old epoch: joined at %s %d, recovered %v", at, offset, *recovered)
	}
}

func TestARoomsCommandsWaitForAResumeUnderWay(t *testing.T) {
	for _, c := range []struct {
		what      string
		fails     bool
		recovered string
	}{
		{"that is served", false, `{"type":"joined","room":"r","id":1,`},
		{"that fails", true, `{"type":"error","id":1,"code":"unavailable"`},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFlawed(5000)
			in := start(t, gateway.Config{Rate: -1, Broker: f})
			stays, pub, back := in.join(), in.join(), in.join()
			epoch, _, _ := stays.joined(`{"type":"join","room":"r"}`)
			pub.publish("r", 1, 1000) // more than an instance keeps
			stays.wantMessages("r", 1, 1000)
			f.mu.Lock()
			hold := make(chan struct{})
			if f.hold = hold; c.fails {
				f.fail = 1
			}
			f.mu.Unlock()
			back.send(fmt.Sprintf(`{"type":"join","room":"r","id":1,"since":{"epoch":%q,"offset":998}}`, epoch)) // known here
			back.wantMatch(`"id":1`, `"recovered":true`)
			back.wantMessages("r", 999, 1000)
			for _, command := range []string{
				fmt.Sprintf(`{"type":"join","room":"r","id":1,"since":{"epoch":%q,"offset":1}}`, epoch), // to be read
				`{"type":"leave","room":"r","id":2}`, `{"type":"leave","room":"r","id":3}`, `{"type":"join","room":"r","id":4}`,
				`{"type":"ping"}`, // waits for nothing
			} {
				back.send(command)
			}
			back.want(`{"type":"pong"}`)
			close(hold)
			back.wantMatch(c.recovered)
			if !c.fails {
				back.wantMessages("r", 2, 1000)
			}
			back.want(`{"type":"left","room":"r","id":2}`)
			back.wantMatch(`{"type":"error","id":3,"code":"not_member"`)
			back.wantMatch(`{"type":"joined","room":"r","id":4,`)
			pub.publish("r", 1001, 1003)
			back.wantMessages("r", 1001, 1003)
			if n := in.metric("fanfare_members"); n != "2" {
				t.Errorf("%s members", n)
			}
		})
	}
}
