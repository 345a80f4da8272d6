// Package pubsubtest is the contract of package pubsub as tests. A broker that passes [Run] can
// carry the gateway.
//
// It also has what tests of one broker need: [Start] runs a broker with a [Recorder] as its handler,
// and gives [Instance], whose methods wait for the answers.
package pubsubtest

import (
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// Cluster makes instances that share one backend.
type Cluster struct {
	// New makes a broker on the backend, not yet running.
	New func(t testing.TB, rs pubsub.Retentions, queue int) pubsub.Broker
	// Partition of a room or user by its name: only messages of one partition are known to come in the order in which
	// different targets' were published. nil: there is one.
	Partition func(name string) int
	// Interrupt cuts the connections on which the instances listen; nil: they have none.
	Interrupt func(t testing.TB)
	// Alone tells that a broker shares its backend with nobody: what needs two instances is then
	// done with one.
	Alone bool
}

// Patience is how long anything that must happen may take.
const Patience = 10 * time.Second

// The rooms that tests use, by their retention. Rooms of any other name have the last.
var retentions = pubsub.Retentions{
	{Match: "plain*"},
	{Match: "short*", History: 8, TTL: time.Minute},
	{Match: "brief*", History: 8, TTL: 300 * time.Millisecond},
	{Match: "*", History: 5000, TTL: time.Minute},
}

// Run runs all tests. start is called for each of them and gives a backend on which nothing was
// published yet.
func Run(t *testing.T, start func(t testing.TB) Cluster) {
	for _, test := range []struct {
		name string
		f    func(*testing.T, Cluster)
	}{
		{"messages arrive in order and once on every instance", inOrder},
		{"a message arrives unchanged", unchanged},
		{"names may be odd", oddNames},
		{"what nobody subscribed is not delivered", notSubscribed},
		{"unsubscribe ends the delivery", unsubscribe},
		{"subscribing twice delivers once", subscribeTwice},
		{"nothing published after subscribe is missed", nothingMissed},
		{"a target that comes and goes misses nothing while it is there", comesAndGoes},
		{"a room without history has no positions", noHistory},
		{"a user is reached on every instance that has it", users},
		{"rooms and users of one name are two targets", roomOrUser},
		{"offsets are dense and the same everywhere", dense},
		{"an empty room has an epoch that its first message keeps", emptyRoom},
		{"a part of the history can be read", readParts},
		{"history holds what was asked for and ends with the top", trimmed},
		{"history goes when its time has passed", expiry},
		{"a key publishes once", keys},
		{"a key is its room's own", keysOfRooms},
		{"a key publishes once also at the same time", keysAtOnce},
		{"a renewed history begins at 1 in a new epoch", renew},
		{"an epoch is renewed once", renewAtOnce},
		{"after an interruption the top is told, with a word about it", interruption},
		{"calls before Run are answered once it runs", beforeRun},
		{"calls after Run are answered with ErrClosed", afterRun},
		{"Run ends with every callback answered once", everyCallback},
		{"a full queue refuses and does not wait", fullQueue},
		{"callbacks may call the broker", reentrant},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.f(t, start(t))
		})
	}
}

// pair starts two instances; the same one twice when the broker is alone.
func pair(t testing.TB, c Cluster) (a, b *Instance) {
	t.Helper()
	a = Start(t, c.New(t, retentions, 0))
	if c.Alone {
		return a, a
	}
	return a, Start(t, c.New(t, retentions, 0))
}

// instances are the different ones of a and b.
func instances(a, b *Instance) []*Instance {
	if a == b {
		return []*Instance{a}
	}
	return []*Instance{a, b}
}
