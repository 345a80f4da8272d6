package pubsubtest

import (
	"testing"

	"github.com/fanfare-ws/fanfare/pubsub"
)

func renew(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	room := pubsub.Room("kept")
	b.Subscribe(room)
	publish := func(i *Instance, key, text string) pubsub.Position {
		return i.Publish(pubsub.Message{Target: room, Key: key, Payload: []byte(text)}).Position
	}
	publish(a, "k", "1")
	old := publish(a, "", "2")
	renewed := b.Renew("kept", old.Epoch)
	if renewed.Epoch == old.Epoch || renewed.Epoch < 1 || renewed.Epoch > pubsub.MaxEpoch || renewed.Offset != 0 {
		t.Fatalf("renewed %+v to %+v, want a new epoch without messages", old, renewed)
	}
	for _, q := range []pubsub.Query{{}, {Since: true}, {Last: 5}} {
		if h := a.Read("kept", q); h.Top != renewed || len(h.Messages) != 0 {
			t.Errorf("%+v: %+v, want nothing at %+v", q, h, renewed)
		}
	}
	if at := publish(a, "", "1"); at != (pubsub.Position{Epoch: renewed.Epoch, Offset: 1}) {
		t.Errorf("the first message is at %+v, the new epoch is %d", at, renewed.Epoch)
	}
	for what, epoch := range map[string]uint64{"the old epoch": old.Epoch, "one that never was": renewed.Epoch ^ 1} {
		if at := a.Renew("kept", epoch); at != (pubsub.Position{Epoch: renewed.Epoch, Offset: 1}) {
			t.Errorf("renewed %s, and the position is %+v", what, at)
		}
	}
	check(t, b.Read("kept", pubsub.Query{Since: true}))
	if got := b.Messages(t, room, 3); got[2].Position != (pubsub.Position{Epoch: renewed.Epoch, Offset: 1}) {
		t.Errorf("delivered at %+v, the new epoch is %d", got[2].Position, renewed.Epoch)
	}
	if at := b.Subscribe(room); at != (pubsub.Position{Epoch: renewed.Epoch, Offset: 1}) {
		t.Errorf("subscribed again at %+v", at)
	}
}

// renewAtOnce: many find at the same time that a history went back.
func renewAtOnce(t *testing.T, c Cluster) {
	a, b := pair(t, c)
	old := a.Text("kept", "1").Position
	const n = 20
	positions := make(chan pubsub.Position, 2*n)
	for k := range 2 * n {
		[]*Instance{a, b}[k%2].Broker.Renew("kept", old.Epoch, func(at pubsub.Position, err error) {
			if err != nil {
				t.Errorf("renew: %v", err)
			}
			positions <- at
		})
	}
	first := <-positions
	if first.Epoch == old.Epoch || first.Offset != 0 {
		t.Errorf("renewed %+v to %+v", old, first)
	}
	for range 2*n - 1 {
		if at := <-positions; at != first {
			t.Fatalf("renewed to %+v and to %+v", first, at)
		}
	}
}

// interruption: what came while nobody listened is in the history, and the top tells of it.
func interruption(t *testing.T, c Cluster) {
	if c.Interrupt == nil {
		return
	}
	a, b := pair(t, c)
	rooms := []string{"kept-1", "kept-2", "kept-3"}
	at := make(map[string]pubsub.Position)
	for _, room := range rooms {
		b.Subscribe(pubsub.Room(room))
		b.Subscribe(pubsub.User(room))
		at[room] = a.Text(room, "before").Position
		b.Messages(t, pubsub.Room(room), 1)
	}
	b.Subscribe(pubsub.Room("plain"))
	if _, ok := b.Now().Interrupted(rooms[0]); ok {
		t.Error("told of an interruption that was none")
	}
	c.Interrupt(t)
	for _, room := range rooms {
		got := b.Wait(t, "the top after the interruption of "+room, func(r *Recorded) bool {
			_, ok := r.Interrupted(room)
			return ok
		})
		if top, _ := got.Interrupted(room); top != at[room] {
			t.Errorf("%s: the top is %+v, want %+v", room, top, at[room])
		}
		// It is told once all is subscribed again.
		at[room] = a.Text(room, "after").Position
		if got := b.Messages(t, pubsub.Room(room), 2); got[1].Position != at[room] {
			t.Errorf("%s: after the interruption %+v, want it at %+v", room, got[1], at[room])
		}
		b.Subscribe(pubsub.User(room)) // changes nothing, and is answered once it is subscribed again
		a.Publish(pubsub.Message{Target: pubsub.User(room)})
		b.Messages(t, pubsub.User(room), 1)
	}
	for _, top := range b.Now().Tops {
		if top.Room == "plain" {
			t.Errorf("told %+v of a room without history", top)
		}
	}
}
