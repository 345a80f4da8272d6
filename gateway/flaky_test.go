package gateway_test

import (
	"context"
	"sync"

	"github.com/fanfare-ws/fanfare/pubsub"
	"github.com/fanfare-ws/fanfare/pubsub/memory"
)

// flaky is a broker that can be away.
type flaky struct {
	pubsub.Broker
	mu   sync.Mutex
	h    pubsub.Handler
	away error
}

func newFlaky() *flaky {
	return &flaky{Broker: memory.New(memory.Config{Retentions: pubsub.Retentions{{Match: "*", History: 10}}})}
}

func (f *flaky) Run(ctx context.Context, h pubsub.Handler) error {
	f.mu.Lock()
	f.h = h
	f.mu.Unlock()
	return f.Broker.Run(ctx, h)
}

func (f *flaky) isAway() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away != nil
}

func (f *flaky) Publish(m pubsub.Message, done func(pubsub.Receipt, error)) {
	if f.isAway() {
		go done(pubsub.Receipt{}, pubsub.ErrUnavailable)
		return
	}
	f.Broker.Publish(m, done)
}

func (f *flaky) Subscribe(t pubsub.Target, done func(pubsub.Position, error)) {
	if !f.isAway() { // else it is never confirmed
		f.Broker.Subscribe(t, done)
	}
}
