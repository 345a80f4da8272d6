package pubsubtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
)

func noHistory(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	if at := b.Subscribe(pubsub.Room("plain")); at != (pubsub.Position{}) {
		t.Errorf("subscribed at %+v", at)
	}
	for range 2 {
		r := a.Text("plain", "x")
		if r.Position != (pubsub.Position{}) || r.Instances != 1 {
			t.Errorf("receipt %+v, want one instance and no position", r)
		}
	}
	for _, m := range b.Messages(t, pubsub.Room("plain"), 2) {
		if m.Position != (pubsub.Position{}) {
			t.Errorf("delivered with %+v", m.Position)
		}
	}
	_, err := a.TryPublish(pubsub.Message{Target: pubsub.Room("plain"), Key: "k", Payload: []byte("x")})
	if !errors.Is(err, pubsub.ErrNoHistory) {
		t.Errorf("published with a key: %v, want ErrNoHistory", err)
	}
	a.Publish(pubsub.Message{Target: pubsub.User("plain"), Key: "k"}) // a user's means nothing
	barrier(t, c, b, []*Instance{a}, "plain")
	if got := b.Now().Of(pubsub.Room("plain")); len(got) != 2 {
		t.Errorf("%d messages came, want the 2 without a key", len(got))
	}
	if at := a.Renew("plain", 1); at != (pubsub.Position{}) {
		t.Errorf("renewed to %+v", at)
	}
	for _, q := range []pubsub.Query{{}, {Since: true}, {Last: 3}} {
		if h := b.Read("plain", q); h.Top != (pubsub.Position{}) || len(h.Messages) != 0 {
			t.Errorf("%+v: %+v", q, h)
		}
	}
}

// dense: receipts, deliveries and history agree about positions 1, 2, 3 …
func dense(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	const n = 300
	for _, i := range instances(a, b) {
		i.Subscribe(pubsub.Room("kept"))
	}
	var mu sync.Mutex
	receipts := make(map[pubsub.Position]string)
	var answered sync.WaitGroup
	for k := range n {
		answered.Add(1)
		text := fmt.Sprint(k)
		from := []*Instance{a, b}[k%2]
		from.Broker.Publish(pubsub.Message{Target: pubsub.Room("kept"), Payload: []byte(text)}, func(r pubsub.Receipt, err error) {
			defer answered.Done()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("publish: %v", err)
			}
			receipts[r.Position] = text
		})
	}
	answered.Wait()
	h := a.Read("kept", pubsub.Query{Since: true})
	if len(receipts) != n || len(h.Messages) != n || h.Top.Offset != n {
		t.Fatalf("%d positions, %d messages of history, top %+v; want %d", len(receipts), len(h.Messages), h.Top, n)
	}
	if e := h.Top.Epoch; e < 1 || e > pubsub.MaxEpoch {
		t.Errorf("epoch %d", e)
	}
	for what, ms := range map[string][]pubsub.Message{
		"history": h.Messages, "a": a.Messages(t, pubsub.Room("kept"), n), "b": b.Messages(t, pubsub.Room("kept"), n),
	} {
		for k, m := range ms {
			if want := (pubsub.Position{Epoch: h.Top.Epoch, Offset: uint64(k + 1)}); m.Position != want {
				t.Fatalf("%s: message %d has %+v, want %+v", what, k, m.Position, want)
			}
			if receipts[m.Position] != string(m.Payload) {
				t.Fatalf("%s: at %+v is %q, its receipt was for %q", what, m.Position, m.Payload, receipts[m.Position])
			}
		}
	}
}

func emptyRoom(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	read := a.Read("kept-a", pubsub.Query{Last: 1})
	if read.Top.Epoch == 0 || read.Top.Offset != 0 || len(read.Messages) != 0 {
		t.Errorf("an empty room's history is %+v", read)
	}
	if at := b.Subscribe(pubsub.Room("kept-a")); at != read.Top {
		t.Errorf("subscribed at %+v, read at %+v", at, read.Top)
	}
	at := b.Subscribe(pubsub.Room("kept-b"))
	if at.Epoch == 0 || at.Offset != 0 {
		t.Errorf("subscribed to an empty room at %+v", at)
	}
	for name, epoch := range map[string]uint64{"kept-a": read.Top.Epoch, "kept-b": at.Epoch} {
		if r := a.Text(name, "x"); r.Position != (pubsub.Position{Epoch: epoch, Offset: 1}) {
			t.Errorf("%s: the first message has %+v, the epoch was %d", name, r.Position, epoch)
		}
	}
	if read.Top.Epoch == at.Epoch {
		t.Error("two rooms have the same epoch")
	}
}

func readParts(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	for k := 1; k <= 5; k++ {
		a.Text("kept", fmt.Sprint(k))
	}
	for _, q := range []struct {
		query       pubsub.Query
		first, last int // 0: none
	}{
		{pubsub.Query{}, 0, 0},
		{pubsub.Query{Since: true}, 1, 5},
		{pubsub.Query{Since: true, After: 3}, 4, 5},
		{pubsub.Query{Since: true, After: 5}, 0, 0},
		{pubsub.Query{Since: true, After: 6}, 0, 0},
		{pubsub.Query{Since: true, After: 1<<64 - 1}, 0, 0},
		{pubsub.Query{Last: 1}, 5, 5},
		{pubsub.Query{Last: 4}, 2, 5},
		{pubsub.Query{Last: 5}, 1, 5},
		{pubsub.Query{Last: 1 << 40}, 1, 5},
		{pubsub.Query{Last: -1}, 0, 0},
	} {
		h := b.Read("kept", q.query)
		if h.Top.Offset != 5 || h.Top.Epoch == 0 {
			t.Errorf("%+v: top %+v", q.query, h.Top)
		}
		check(t, h)
		var first, last int
		if n := len(h.Messages); n > 0 {
			first, last = int(h.Messages[0].Position.Offset), int(h.Messages[n-1].Position.Offset)
		}
		if first != q.first || last != q.last {
			t.Errorf("%+v: offsets %d to %d, want %d to %d", q.query, first, last, q.first, q.last)
		}
	}
}

// check checks what holds of every history whose messages' payloads are their offsets.
func check(t testing.TB, h pubsub.History) {
	t.Helper()
	for k, m := range h.Messages {
		want := pubsub.Position{Epoch: h.Top.Epoch, Offset: h.Top.Offset - uint64(len(h.Messages)-1-k)}
		if m.Position != want || string(m.Payload) != fmt.Sprint(want.Offset) {
			t.Errorf("message %d is %q at %+v, want it at %+v", k, m.Payload, m.Position, want)
		}
	}
}

func trimmed(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	const n, kept = 1000, 8
	for k := 1; k <= n; k++ {
		a.Text("short", fmt.Sprint(k))
	}
	for _, q := range []pubsub.Query{{Since: true}, {Since: true, After: n - kept}, {Last: kept}, {Last: n}} {
		h := b.Read("short", q)
		check(t, h)
		if got := len(h.Messages); got < kept || got > n/2 || h.Top.Offset != n {
			t.Errorf("%+v: %d messages to %+v, want about %d", q, got, h.Top, kept)
		}
	}
}

func expiry(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	const ttl = 300 * time.Millisecond // of rooms brief*
	at := b.Subscribe(pubsub.Room("brief"))
	first := a.Publish(pubsub.Message{Target: pubsub.Room("brief"), Key: "k", Payload: []byte("1")})
	began := time.Now()
	for len(b.Read("brief", pubsub.Query{Since: true}).Messages) > 0 {
		if time.Since(began) > ttl+Patience {
			t.Fatal("the history does not expire")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if time.Since(began) < ttl/2 {
		t.Errorf("the history was gone after %v", time.Since(began))
	}
	// The room is still subscribed: its positions go on.
	again := a.Publish(pubsub.Message{Target: pubsub.Room("brief"), Key: "k", Payload: []byte("2")})
	if first.Position.Epoch != at.Epoch || again.Position != (pubsub.Position{Epoch: at.Epoch, Offset: 2}) {
		t.Errorf("subscribed at %+v, published at %+v and, after expiry, %+v", at, first.Position, again.Position)
	}
	b.Messages(t, pubsub.Room("brief"), 2)
	h := b.Read("brief", pubsub.Query{Since: true})
	check(t, h)
	if len(h.Messages) != 1 {
		t.Errorf("history after expiry: %+v", h)
	}
}

func keys(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	b.Subscribe(pubsub.Room("kept"))
	publish := func(i *Instance, key, text string) pubsub.Position {
		return i.Publish(pubsub.Message{Target: pubsub.Room("kept"), Key: key, Payload: []byte(text)}).Position
	}
	first := publish(a, "k", "1")
	other := publish(a, "K", "2")
	if again := publish(a, "k", "again"); again != first {
		t.Errorf("the second publish is at %+v, the first at %+v", again, first)
	}
	if again := publish(b, "k", "again"); again != first {
		t.Errorf("on the other instance it is at %+v, the first at %+v", again, first)
	}
	if other.Offset != 2 || publish(a, "", "3").Offset != 3 || publish(a, "", "4").Offset != 4 {
		t.Error("other keys and none are not distinct")
	}
	h := b.Read("kept", pubsub.Query{Since: true})
	check(t, h)
	if got := b.Messages(t, pubsub.Room("kept"), 4); len(got) != 4 || len(h.Messages) != 4 {
		t.Errorf("%d delivered, %d kept, want 4", len(got), len(h.Messages))
	}
}

func keysOfRooms(t *testing.T, c Cluster) {
	a, _ := pair(t, c)
	for _, of := range [][2]string{{"a", "b:c"}, {"a:b", "c"}, {"a%3Ab", "c"}, {"a", "c"}, {"b", "c"}, {"a:b:c", ":"}, {"a:b", "c::"}} {
		r := a.Publish(pubsub.Message{Target: pubsub.Room(of[0]), Key: of[1], Payload: []byte("x")})
		h := a.Read(of[0], pubsub.Query{})
		if r.Position != h.Top {
			t.Errorf("room %q, key %q: published at %+v, but the top is %+v", of[0], of[1], r.Position, h.Top)
		}
	}
}

func keysAtOnce(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	b.Subscribe(pubsub.Room("kept"))
	const n = 20
	positions := make(chan pubsub.Position, 2*n)
	for k := range 2 * n {
		from := []*Instance{a, b}[k%2]
		m := pubsub.Message{Target: pubsub.Room("kept"), Key: "k", Payload: []byte("1")}
		from.Broker.Publish(m, func(r pubsub.Receipt, err error) {
			if err != nil {
				t.Errorf("publish: %v", err)
			}
			positions <- r.Position
		})
	}
	first := <-positions
	for range 2*n - 1 {
		if at := <-positions; at != first || at.Offset != 1 {
			t.Fatalf("positions %+v and %+v", first, at)
		}
	}
	barrier(t, c, b, []*Instance{a, b}, "kept")
	if got := b.Now().Of(pubsub.Room("kept")); len(got) != 1 {
		t.Errorf("delivered %d times", len(got))
	}
}
