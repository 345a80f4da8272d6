package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// What Redis says when it does not do a command, and what can be done about it.

// said reports whether err is Redis' own word, not a failure of the connection.
func said(err error) bool {
	var e goredis.Error
	return errors.As(err, &e)
}

func hasPrefix(err error, prefixes ...string) bool {
	for _, p := range prefixes {
		if goredis.HasErrorPrefix(err, p) {
			return true
		}
	}
	return false
}

// repeatable: Redis did not do the command, and may do it when it is asked again: it does not know
// the script (NOSCRIPT), the partition is on another server (MOVED), or is just being moved to one
// and the command's keys are not all here (ASK, TRYAGAIN). The server that they are moved to is not
// asked before the move is over: nobody listens on it yet.
func repeatable(err error) bool { return hasPrefix(err, "NOSCRIPT", "MOVED", "ASK", "TRYAGAIN") }

func isMoved(err error) bool { return hasPrefix(err, "MOVED") || errors.Is(err, errMoved) }

// unfit: the server cannot be written to at all: it is a replica, it has just started, or its
// cluster has no majority.
func unfit(err error) bool { return hasPrefix(err, "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN") }

// hopeless: the configuration is wrong, not the server away.
func hopeless(err error) bool {
	return hasPrefix(err, "WRONGPASS", "NOAUTH", "NOPERM", "AUTH", "DB index", "invalid password",
		"No such master", "unknown command", "This instance has cluster support disabled") || errors.Is(err, errIsCluster)
}

var errIsCluster = errors.New("this server is part of a cluster: write redis+cluster:// in its URL")

// What was refused is sent again so often, and so long after: half a second. Longer would hold up
// the partition's other rooms, when a slot takes long to be moved.
const (
	maxTries = 25
	tryAfter = 20 * time.Millisecond
)

// remedy does what can be done about a repeatable refusal. load: the script's source must be sent.
// ok: the commands may be sent again now.
func (l *link) remedy(ctx context.Context, err error, try int) (load, ok bool) {
	if hasPrefix(err, "MOVED") {
		if l.b.servers.locator == nil {
			return false, false
		}
		l.b.servers.suspect(l.index, err)
	}
	load = hasPrefix(err, "NOSCRIPT")
	if try > 0 || !load && !isMoved(err) {
		pause(ctx, tryAfter)
	}
	return load, try < maxTries && ctx.Err() == nil
}

// unavailable wraps what Redis or the network said.
func unavailable(err error) error { return fmt.Errorf("%w: %w", pubsub.ErrUnavailable, err) }
