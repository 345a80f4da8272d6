package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// redisError is an error that Redis said.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

// When another instance loads the script in the middle of our pipeline, what came before for the
// same room cannot be sent any more without overtaking what came after.
func TestWhatCannotBeSentAgainInOrderIsNotSent(t *testing.T) {
	t.Parallel()
	b, err := New(Config{URL: "redis://127.0.0.1:1"}) // nobody listens: what is sent again fails differently
	if err != nil {
		t.Fatal(err)
	}
	defer b.client.Close()
	const lost = redisError("NOSCRIPT No matching script. Please use EVAL.")
	var batch []publish
	var cmds []*goredis.Cmd
	for _, m := range []struct {
		room string
		lost bool
	}{{"a", true}, {"b", true}, {"b", false}, {"a", true}} {
		batch = append(batch, publish{m: pubsub.Message{Target: pubsub.Room(m.room)}})
		c := goredis.NewCmd(context.Background())
		if m.lost {
			c.SetErr(lost)
		}
		cmds = append(cmds, c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b.sendAgain(ctx, batch, cmds)
	for i, want := range []string{"sent", "lost", "done", "sent"} {
		got := "sent"
		switch err := cmds[i].Err(); err {
		case nil:
			got = "done"
		case lost:
			got = "lost"
		}
		if got != want {
			t.Errorf("message %d: %s (%v), want %s", i, got, cmds[i].Err(), want)
		}
	}
}

func TestABatchEndsAtItsSizeInMessagesAndBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ messages, size, want int }{
		{1, 0, 1}, {256, 10, 256}, {257, 10, 256}, {100, maxBatchBytes / 4, 4}, {3, 2 * maxBatchBytes, 1},
	} {
		ps := make([]publish, c.messages)
		payload := make([]byte, c.size)
		for i := range ps {
			ps[i].m.Payload = payload
		}
		if got := batchSize(ps); got != c.want {
			t.Errorf("%s: %d, want %d", fmt.Sprint(c), got, c.want)
		}
	}
}
