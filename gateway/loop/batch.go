package loop

// maxBatch is how many sends are handed over at a time. A batch is one raw system call where there
// is an io_uring, during which the garbage collector cannot stop the thread: it has to be short.
const maxBatch = 64

// outgoing is one send of a batch: bytes of a log for a member, or of a socket's own queue.
type outgoing struct {
	socket *Socket
	data   []byte
	log    *roomLog // nil: the socket's queue
	member int32    // index in the log's members
	count  uint32   // messages that end in data

	// Filled in by the sender.
	n      int  // bytes that were taken
	broken bool // the connection is
}

// sender sends a batch without waiting and fills in what became of it. No socket is in a batch
// twice, so a short send is followed by nothing.
type sender interface {
	send(batch []outgoing)
	close()
}

// oneByOne is the sender that makes a system call a socket.
type oneByOne struct{}

func (oneByOne) send(batch []outgoing) { sendEach(batch) }
func (oneByOne) close()                {}

func sendEach(batch []outgoing) {
	for i := range batch {
		o := &batch[i]
		n, ok := o.socket.write(o.data)
		o.n, o.broken = n, !ok
	}
}

// enqueue adds a send to the batch.
func (l *Loop) enqueue(o outgoing) {
	if o.socket.stream != nil { // a stream takes it without a system call
		one := [1]outgoing{o}
		sendEach(one[:])
		l.sent(&one[0])
		return
	}
	if len(l.batch) == maxBatch {
		l.submit()
	}
	o.socket.batched = true
	l.batch = append(l.batch, o)
}

// submit sends the batch.
func (l *Loop) submit() {
	if len(l.batch) == 0 {
		return
	}
	l.sender.send(l.batch)
	for i := range l.batch {
		l.sent(&l.batch[i])
	}
	clear(l.batch)
	l.batch = l.batch[:0]
}

// sent takes in what became of a send.
func (l *Loop) sent(o *outgoing) {
	s := o.socket
	s.batched = false
	if o.broken {
		l.gone = append(l.gone, s)
	}
	switch {
	case o.log != nil:
		l.sentLog(o)
	case !o.broken:
		l.sentOut(s, o.n)
	}
}
