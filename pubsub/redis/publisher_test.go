package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	var batch []publish
	var cmds []*goredis.Cmd
	var want []bool
	for _, m := range []struct {
		room  string
		err   error
		again bool
	}{
		{"a", redisError("NOSCRIPT No matching script. Please use EVAL."), true},
		{"b", redisError("NOSCRIPT No matching script. Please use EVAL."), false},
		{"c", redisError("MOVED 1 127.0.0.1:1"), true},
		{"b", nil, false},
		{"d", redisError("OOM command not allowed"), false},
		{"e", redisError("TRYAGAIN Multiple keys request during rehashing of slot"), false},
		{"e", errOver, false},
		{"a", redisError("ASK 1 127.0.0.1:1"), true},
	} {
		batch = append(batch, publish{m: pubsub.Message{Target: pubsub.Room(m.room)}})
		c := goredis.NewCmd(context.Background())
		c.SetErr(m.err)
		cmds = append(cmds, c)
		want = append(want, m.again)
	}
	if diff := cmp.Diff(want, new(link).repeat(batch, cmds)); diff != "" {
		t.Errorf("sent again (-want +got):\n%s", diff)
	}
	if again := new(link).repeat(batch[3:5], cmds[3:5]); again != nil {
		t.Errorf("sent again %v, want none", again)
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
