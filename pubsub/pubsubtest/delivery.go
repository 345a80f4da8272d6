package pubsubtest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// barrier waits until i has what the given instances published before to rooms and users of the names,
// and is done with what it unsubscribed of them. For each name it publishes to a fresh room whose messages come the same way.
func barrier(t testing.TB, c Cluster, i *Instance, from []*Instance, names ...string) {
	t.Helper()
	for _, name := range names {
		room := ""
		for n := len(i.Now().Messages); room == "" || c.Partition != nil && c.Partition(room) != c.Partition(name); n++ {
			room = fmt.Sprintf("plain-barrier-%s-%p-%d", name, i, n)
		}
		i.Subscribe(pubsub.Room(room))
		for n, f := range from {
			f.Text(room, "")
			i.Messages(t, pubsub.Room(room), n+1)
		}
	}
}

func inOrder(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	const publishers, each = 4, 300
	rooms := []string{"plain", "kept"}
	for _, room := range rooms {
		a.Subscribe(pubsub.Room(room))
		b.Subscribe(pubsub.Room(room))
	}
	var answered sync.WaitGroup
	for p := range publishers {
		from := []*Instance{a, b}[p%2]
		answered.Go(func() {
			for n := range each {
				for _, room := range rooms {
					answered.Add(1)
					m := pubsub.Message{Target: pubsub.Room(room), Payload: fmt.Appendf(nil, "%d %d", p, n)}
					from.Broker.Publish(m, func(_ pubsub.Receipt, err error) {
						if err != nil {
							t.Errorf("publish: %v", err)
						}
						answered.Done()
					})
				}
			}
		})
	}
	answered.Wait()
	for _, i := range instances(a, b) {
		barrier(t, c, i, instances(a, b), rooms...)
		got := i.Now()
		for _, room := range rooms {
			next := make(map[int]int)
			ms := got.Of(pubsub.Room(room))
			for k, m := range ms {
				var p, n int
				if _, err := fmt.Sscanf(string(m.Payload), "%d %d", &p, &n); err != nil {
					t.Fatalf("%s: payload %q", room, m.Payload)
				}
				if n != next[p] {
					t.Fatalf("%s: publisher %d: message %d came when %d was next", room, p, n, next[p])
				}
				next[p]++
				if room == "kept" && m.Position.Offset != uint64(k+1) {
					t.Fatalf("message %d has offset %d", k+1, m.Position.Offset)
				}
			}
			if len(ms) != publishers*each {
				t.Errorf("%s: %d messages came, want %d", room, len(ms), publishers*each)
			}
		}
	}
}

func unchanged(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	origin := pubsub.Origin{Instance: 1<<64 - 1, Socket: 1 << 63, Sent: -5}
	messages := []pubsub.Message{
		{},
		{Payload: []byte("hällo, 世界")},
		{Kind: pubsub.Binary, Payload: all[:]},
		{Kind: pubsub.Binary, Payload: []byte{}},
		{Kind: pubsub.Binary, Payload: []byte{1}},
		{Kind: pubsub.Binary, Payload: []byte{0}},
		{Kind: pubsub.JSON, Payload: []byte(`{"a": [1, "\u0000", null]}`)},
		{Payload: []byte("\x01\x00 is no envelope here"), From: "ann"},
		{From: strings.Repeat("ü", 100), Payload: []byte("x")},
		{Origin: origin, SkipOrigin: true, Payload: []byte("x")},
		{Origin: origin, From: "ann", Payload: []byte("x")},
		{SkipOrigin: true, Payload: []byte("x")},
		{Kind: pubsub.Binary, Payload: []byte(strings.Repeat("\x00big\xff", 50_000))},
		{Key: "not delivered", Payload: []byte("x")},
	}
	for _, target := range []pubsub.Target{pubsub.Room("plain"), pubsub.Room("kept"), pubsub.User("ann")} {
		b.Subscribe(target)
		var want []pubsub.Message
		for _, m := range messages {
			if m.Key != "" && target == pubsub.Room("plain") {
				continue // which keeps none
			}
			m.Target = target
			m.Position = a.Publish(m).Position
			m.Key = ""
			want = append(want, m)
		}
		got := b.Messages(t, target, len(want))
		if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
			t.Errorf("%+v: delivered (-want +got):\n%s", target, diff)
		}
		if target == pubsub.Room("kept") {
			h := b.Read("kept", pubsub.Query{Since: true})
			if diff := cmp.Diff(want, h.Messages, cmp.Comparer(bytes.Equal)); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		}
	}
}

func oddNames(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	names := []string{":", "a:b", "a", "{", "}", "{0}", "{}x", "a}b{c", "*", "?", "[a]", " ", "\t", "a b", "\x00", "\r\n",
		"世界", "👋🏽", "%3A", "%", "ROOM", "__proto__", "\xff\xfe", strings.Repeat("r", 255), strings.Repeat("é", 127)}
	for _, name := range names {
		for _, target := range []pubsub.Target{pubsub.Room(name), pubsub.Room("plain" + name), pubsub.User(name)} {
			b.Subscribe(target)
			m := pubsub.Message{Target: target, Key: name, From: "x", Payload: []byte("to " + strings.ToValidUTF8(name, "?"))}
			if strings.HasPrefix(target.Name, "plain") {
				m.Key = ""
			}
			a.Publish(m)
		}
	}
	for _, name := range names {
		for _, target := range []pubsub.Target{pubsub.Room(name), pubsub.Room("plain" + name), pubsub.User(name)} {
			got := b.Messages(t, target, 1)
			if want := "to " + strings.ToValidUTF8(name, "?"); len(got) != 1 || string(got[0].Payload) != want {
				t.Errorf("%+v got %+v, want one, %q", target, got, want)
			}
		}
		if h := b.Read(name, pubsub.Query{Last: 5}); len(h.Messages) != 1 || h.Messages[0].Target.Name != name {
			t.Errorf("history of %q: %+v", name, h)
		}
	}
}

func notSubscribed(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	b.Subscribe(pubsub.Room("kept-wanted"))
	for _, target := range []pubsub.Target{pubsub.Room("kept"), pubsub.Room("plain"), pubsub.User("ann")} {
		if r := a.Publish(pubsub.Message{Target: target}); r.Instances != 0 {
			t.Errorf("%+v: a receipt of %d instances, want none", target, r.Instances)
		}
	}
	a.Text("kept-wanted", "x")
	b.Messages(t, pubsub.Room("kept-wanted"), 1)
	for _, i := range instances(a, b) {
		for _, m := range i.Now().Messages {
			if m.Target.Name != "kept-wanted" {
				t.Errorf("delivered without a subscription: %+v", m)
			}
		}
	}
}

func unsubscribe(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	targets := []pubsub.Target{pubsub.Room("kept"), pubsub.Room("plain"), pubsub.User("ann")}
	for _, target := range targets {
		b.Broker.Unsubscribe(target) // what is not subscribed
		b.Subscribe(target)
		a.Publish(pubsub.Message{Target: target})
		b.Messages(t, target, 1)
		b.Broker.Unsubscribe(target)
	}
	barrier(t, c, b, []*Instance{a}, "kept", "plain", "ann")
	for _, target := range targets {
		a.Publish(pubsub.Message{Target: target})
	}
	barrier(t, c, b, []*Instance{a}, "kept", "plain", "ann")
	for _, target := range targets {
		if got := b.Now().Of(target); len(got) != 1 {
			t.Errorf("%+v: %d messages, want only the one before", target, len(got))
		}
	}
	for _, target := range targets {
		b.Subscribe(target)
		a.Publish(pubsub.Message{Target: target})
		b.Messages(t, target, 2)
	}
}

func subscribeTwice(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	room := pubsub.Room("kept")
	b.Subscribe(room)
	first := a.Text("kept", "1")
	if at := b.Subscribe(room); at != first.Position {
		t.Errorf("subscribed again at %+v, want %+v", at, first.Position)
	}
	if r := a.Text("kept", "2"); r.Instances != 1 {
		t.Errorf("%d instances, want 1", r.Instances)
	}
	barrier(t, c, b, []*Instance{a}, "kept")
	if got := b.Now().Of(room); len(got) != 2 {
		t.Errorf("%d messages, want 2", len(got))
	}
	b.Broker.Unsubscribe(room) // ends it, however often it was subscribed
	barrier(t, c, b, []*Instance{a}, "kept")
	a.Text("kept", "3")
	barrier(t, c, b, []*Instance{a}, "kept")
	if got := b.Now().Of(room); len(got) != 2 {
		t.Errorf("%d messages after unsubscribe, want 2", len(got))
	}
}
