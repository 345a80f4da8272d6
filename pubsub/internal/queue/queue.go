// Package queue holds what brokers have in common: a bounded queue that many goroutines fill
// without waiting and one empties in batches, and a goroutine that gives answers which may not be
// given on the caller's.
package queue

import (
	"errors"
	"sync"
)

// Why something was not taken in.
var (
	ErrFull   = errors.New("the queue is full")
	ErrClosed = errors.New("the queue is closed")
)

// spare is the size up to which a batch's memory is used again. What a burst needed beyond it goes
// back to the garbage collector.
const spare = 8192

// Queue is a queue with many producers and one consumer. Producers never wait; the consumer waits
// on [Queue.Wake] and takes everything at once.
type Queue[T any] struct {
	// Static after construction.
	max  int
	wake chan struct{}

	// Guarded by mu.
	mu     sync.Mutex
	items  []T
	closed bool
}

// New makes a queue in which up to max items wait; those that the consumer has taken no longer
// count. max 0: no bound.
func New[T any](max int) *Queue[T] {
	return &Queue[T]{max: max, wake: make(chan struct{}, 1)}
}

// Put appends v, or returns ErrFull or ErrClosed.
func (q *Queue[T]) Put(v T) error { return q.put(v, q.max) }

// Force appends v even when the queue is full: for what undoes something and cannot be refused.
func (q *Queue[T]) Force(v T) error { return q.put(v, 0) }

func (q *Queue[T]) put(v T, max int) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	if max > 0 && len(q.items) >= max {
		q.mu.Unlock()
		return ErrFull
	}
	q.items = append(q.items, v)
	first := len(q.items) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// Wake receives when the queue stops being empty. A wake-up may find the queue empty.
func (q *Queue[T]) Wake() <-chan struct{} { return q.wake }

// Take returns all that waits, in order, or an empty slice. used is the slice that an earlier Take
// returned and whose items are done with; its memory is used again. It may be nil.
func (q *Queue[T]) Take(used []T) []T {
	clear(used)
	if cap(used) > spare {
		used = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = used[:0]
	return items
}

// Close refuses further items and returns those that still waited.
func (q *Queue[T]) Close() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.closed = nil, true
	return items
}
