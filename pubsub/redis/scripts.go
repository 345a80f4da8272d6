package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

//go:embed publish.lua
var publishSource string

//go:embed read.lua
var readSource string

//go:embed renew.lua
var renewSource string

// script is called by its digest in pipelines. Static.
type script struct {
	source, digest string
}

var (
	publishScript = newScript(publishSource)
	readScript    = newScript(readSource)
	renewScript   = newScript(renewSource)
)

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source: source, digest: hex.EncodeToString(sum[:])}
}

// command calls the script with keys and args, as one list. load has the source sent along, after
// which the server knows the script.
func (s *script) command(ctx context.Context, load bool, keys int, args ...any) *goredis.Cmd {
	all := make([]any, 3, 3+len(args))
	all[0], all[1], all[2] = "evalsha", s.digest, keys
	if load {
		all[0], all[1] = "eval", s.source
	}
	return goredis.NewCmd(ctx, append(all, args...)...)
}

// loadScripts makes the server know the scripts, so that the first call needs no second try.
func (l *link) loadScripts(ctx context.Context) error {
	client, err := l.b.servers.client(ctx, l.index)
	if err != nil {
		return err
	}
	pipe := client.Pipeline()
	pipe.ScriptLoad(ctx, publishScript.source)
	pipe.ScriptLoad(ctx, readScript.source)
	pipe.ScriptLoad(ctx, renewScript.source)
	_, err = pipe.Exec(ctx)
	return err
}

// newEpoch is an epoch for a room that has none.
func newEpoch() string { return strconv.FormatUint(1+rand.Uint64N(pubsub.MaxEpoch), 10) }

// metaTTL is how long a room's epoch outlives its last message, in milliseconds.
func metaTTL(keep pubsub.Retention) int64 { return (2*keep.TTL + time.Hour).Milliseconds() }
