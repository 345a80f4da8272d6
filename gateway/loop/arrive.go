package loop

import "time"

// Those who arrive get a part of a loop's time. While rooms are busy the door is shut for doorRest times
// as long as it took to hear and answer some of them, doorSlice or a bit more; before the next it accepts
// more than it lets in, so that the kernel's backlog has room for others: a client that finds none tries again
// after a second. Many who come at once wait before the door, and the rooms do not wait for them.
const (
	doorSlice = 100 * time.Microsecond // a tick
	doorRest  = 20
	maxAccept = 32                     // a tick, on each listener
	roomsBusy = 100 * time.Millisecond // since a room's message was sent
)

// listen begins to accept from a listening descriptor.
func (l *Loop) listen(fd int32) {
	l.ignore()
	l.listening = append(l.listening, fd)
	l.heed()
}

// ignore leaves the listeners' connections in the kernel's backlog.
func (l *Loop) ignore() {
	for _, fd := range l.listening {
		l.poller.ignore(fd)
	}
}

// heed has the poller report the listeners, which are not watched now, unless nobody is to be accepted.
func (l *Loop) heed() {
	for _, fd := range l.listening {
		if l.doorShut || l.failed {
			return
		}
		if err := l.poller.listen(fd); err != nil {
			l.fail("listening", err)
		}
	}
}

// fail has nobody accepted until the next second.
func (l *Loop) fail(what string, err error) {
	l.log.Warn(what, "error", err)
	l.failed = true
	l.ignore()
}

// accept takes what waits on the listeners, a bounded number at a time: the rooms go on.
func (l *Loop) accept() {
	if l.doorShut || l.failed {
		return // reported before that
	}
	for _, fd := range l.listening {
		for range maxAccept {
			conn, again, err := acceptFD(fd)
			if again {
				break
			}
			if err != nil { // out of descriptors or memory
				l.fail("accepting", err)
				return
			}
			if l.group.crowded() {
				l.group.door.Refuse(Crowded)
				closeFD(conn)
				continue
			}
			if o := l.group.place(l); o == l {
				l.arrive(conn)
			} else if !o.Call(func() { o.arrive(conn) }) {
				closeFD(conn)
				o.release()
			}
		}
	}
}

// arrive has a connection wait before the door.
func (l *Loop) arrive(fd int32) {
	if l.stopped {
		closeFD(fd)
		l.release()
		return
	}
	l.arrived = append(l.arrived, fd)
}

// turnAway closes the connections that wait before the door.
func (l *Loop) turnAway() {
	for _, fd := range l.arrived {
		closeFD(fd)
		l.release()
	}
	l.arrived = nil
}

// hold has a socket that spoke while the door is shut wait for its turn. It is not watched meanwhile: the poller would
// report it again and again.
func (l *Loop) hold(s *Socket) {
	s.state = waiting
	l.poller.remove(s.fd)
	l.spoken = append(l.spoken, s.Ref())
}

// mayLetIn reports whether somebody waits and the door is open.
func (l *Loop) mayLetIn() bool { return len(l.arrived)+len(l.spoken) > 0 && !l.doorShut }

// letIn hears those who wait, until the door's part of the tick is over.
func (l *Loop) letIn() {
	for l.mayLetIn() && l.doorTime < doorSlice {
		began := time.Now()
		if len(l.spoken) > 0 {
			if s := l.byRef(pop(&l.spoken)); s != nil {
				l.hear(s)
			}
		} else {
			l.adopt(pop(&l.arrived))
		}
		l.atDoor(began)
	}
}

func pop[T any](queue *[]T) (first T) {
	first = (*queue)[0]
	if *queue = (*queue)[1:]; len(*queue) == 0 {
		*queue = nil // whose memory goes back
	}
	return first
}

// atDoor takes the time since began for the door's.
func (l *Loop) atDoor(began time.Time) { l.doorTime += time.Since(began) }

// shutDoor has nobody accepted and let in for a while if it took too much time.
func (l *Loop) shutDoor() {
	spent := l.doorTime
	if spent < doorSlice {
		return
	}
	l.doorTime = 0
	if l.doorShut || time.Since(l.sentAt) >= roomsBusy {
		return
	}
	l.doorShut = true
	l.ignore()
	time.AfterFunc(spent*doorRest, func() { l.Call(l.openDoor) })
}

func (l *Loop) openDoor() {
	l.doorShut = false
	l.heed()
}
