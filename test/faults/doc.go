// Package faults shows that nothing acknowledged is lost, whatever happens to an instance, the
// network or Redis: real instances and a real Redis are disturbed under load, and what every
// subscriber was sent is held against what the publishers were acknowledged.
//
// # The checker
//
// A [Publisher] numbers its messages, gives each an idempotency key, and sends a message again with
// the same key until it is acknowledged. A [Subscriber] remembers the newest position of each room,
// and after the loss of its connection joins any instance with it. A [Ledger] keeps what was
// acknowledged, and a [Stream] for each subscriber and room in which it judges what arrives:
//
//	lost        acknowledged, never seen, and no gap told that covers it
//	duplicated  seen twice; a new epoch has forgotten the keys of the one before, so what was sent
//	            again across its beginning is no duplicate
//	reordered   before what was published before it
//	silent gap  an offset that is no message's and that no gap told of, or recovered that was not
//	misplaced   at another offset than acknowledged, or two messages at one position
//
// All of them must be 0. Gaps told are counted, and the acknowledged messages that a subscriber has
// never seen because of them; in scenarios in which nothing is really lost, they must be 0 too.
//
// # Running it
//
// `go test -race ./test/faults` runs the short scenarios, `test/faults/run --long` all of them,
// `test/faults/run --table` writes what they measured into docs/reliability.md. A scenario's
// choices come from a seed, which its output has and -seed repeats.
package faults
