package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fanfare-ws/fanfare/client"
)

// Publisher publishes one numbered message after the other, each with a key, and sends a message
// again until it is acknowledged.
type Publisher struct {
	// Static after construction. Pace is the time between messages, Size about that of one in bytes.
	Dial   func(context.Context, *rand.Rand, client.Options) (*client.Conn, error)
	Pace   time.Duration
	Size   int
	ledger *Ledger
	number int
	rooms  []string
	rng    *rand.Rand

	stop    chan struct{} // closed: the message under way is the last
	unfit   atomic.Pointer[error]
	begun   atomic.Int64 // when the newest acknowledged message was first sent, Unix ns
	away    atomic.Int64 // answers `unavailable`
	slowest atomic.Int64 // of those, ns
	again   atomic.Int64 // messages sent again
	conn    *client.Conn // owned by Run
}

// NewPublisher returns one. It makes its choices with rng.
func NewPublisher(l *Ledger, number int, rooms []string, rng *rand.Rand) *Publisher {
	return &Publisher{ledger: l, number: number, rooms: rooms, rng: rng, stop: make(chan struct{})}
}

// answerTimeout is how long a publisher waits for an answer before it tries another instance.
const answerTimeout = 10 * time.Second

// Stop has Run return when the message under way is acknowledged.
func (p *Publisher) Stop() { close(p.stop) }

// Begun is when the newest acknowledged message was first sent.
func (p *Publisher) Begun() time.Time { return time.Unix(0, p.begun.Load()) }

// Err is an answer that is neither an ack nor `unavailable`.
func (p *Publisher) Err() error {
	if e := p.unfit.Load(); e != nil {
		return *e
	}
	return nil
}

// Run publishes until Stop is called, or ctx ends: then the message under way is given up.
func (p *Publisher) Run(ctx context.Context) {
	defer func() {
		if p.conn != nil {
			p.conn.Close()
		}
	}()
	for n := 1; ; n++ {
		room := p.rooms[p.rng.IntN(len(p.rooms))]
		if !p.publish(ctx, room, Number{p.number, n}) {
			return
		}
		select {
		case <-p.stop:
			return
		default:
			wait(ctx, around(p.rng, p.Pace))
		}
	}
}

// publish returns false when it has given up.
func (p *Publisher) publish(ctx context.Context, room string, n Number) bool {
	data := json.RawMessage(fmt.Sprintf(`{"p":%d,"n":%d,"pad":"%s"}`, n.Publisher, n.N, strings.Repeat("x", p.Size)))
	command := client.Command{Type: "publish", Room: room, Data: data, Key: "key-" + n.String()}
	begun := time.Now()
	for try := 0; ; try++ {
		if try == 1 {
			p.again.Add(1)
			p.ledger.Again(n)
		}
		answer, err := p.send(ctx, command)
		if err == nil {
			p.ledger.Acked(room, n, answer.Position.Offset)
			p.begun.Store(begun.UnixNano())
			return true
		}
		if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code != "unavailable" {
			err = fmt.Errorf("publishing %v: %w", n, err)
			p.unfit.Store(&err)
			return false
		}
		if !backoff(ctx, p.rng, try) {
			return false
		}
	}
}

// send sends a message once. A connection on which no answer came is given up.
func (p *Publisher) send(ctx context.Context, command client.Command) (client.Answer, error) {
	if p.conn == nil {
		dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		conn, err := p.Dial(dialCtx, p.rng, client.Options{})
		if err != nil {
			return client.Answer{}, err
		}
		p.conn = conn
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	sent := time.Now()
	answer, err := p.conn.Do(ctx, command)
	if err == nil {
		return answer, nil
	}
	if _, refused := errors.AsType[*client.Error](err); refused {
		p.away.Add(1)
		p.slowest.Store(max(p.slowest.Load(), int64(time.Since(sent))))
		return answer, err
	}
	p.conn.Close()
	p.conn = nil
	return answer, err
}
