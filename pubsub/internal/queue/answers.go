package queue

// Answers gives answers on a goroutine of its own, so that a refusal never runs inside the call
// that is refused, where the caller may hold a lock. It has no bound of its own: answers do not
// wait, so that none pile up while Run runs.
type Answers struct {
	q *Queue[func()]
}

// NewAnswers makes Answers that begin once Run is called.
func NewAnswers() *Answers { return &Answers{q: New[func()](0)} }

// Add has f called. After Close it is called on a goroutine that nobody waits for, which ends at
// once because an answer does not wait.
func (a *Answers) Add(f func()) {
	if a.q.Put(f) != nil {
		go f()
	}
}

// Run gives answers until stop is closed, and then those that are left.
func (a *Answers) Run(stop <-chan struct{}) {
	var batch []func()
	for {
		select {
		case <-a.q.Wake():
			batch = a.q.Take(batch)
			for _, f := range batch {
				f()
			}
		case <-stop:
			for _, f := range a.q.Close() {
				f()
			}
			return
		}
	}
}
