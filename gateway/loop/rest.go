package loop

import "time"

// A loop whose rooms get more than it could send one message at a time rests between two flushes, so
// that each send carries more (docs/decisions/0034). It goes on reading from descriptors meanwhile; what
// is in its inbox, a stream's bytes included, waits for the end of the rest.

const (
	restTime  = 15 * time.Millisecond  // the length of a rest: what it may add to a message's delay
	restFrom  = 200 * time.Microsecond // flushes shorter than this have no rest
	restBytes = 32 << 10               // nor those whose sends carry so much, of which more is not cheaper
)

// carried is what the sends of a flush carried of rooms' messages, in all.
type carried struct{ sends, messages, bytes int }

func (c *carried) add(messages uint32, bytes uint64) {
	c.sends++
	c.messages += int(messages)
	c.bytes += int(bytes)
}

// pause has the loop rest after a flush that took so long and ended now, if one send a message would
// have taken more time than has gone by since the last flush that sent any.
func (l *Loop) pause(took time.Duration, now time.Time) {
	c := l.carried
	if c.sends == 0 {
		return
	}
	span := now.Sub(l.sentAt)
	l.carried, l.sentAt = carried{}, now
	if took < restFrom || c.bytes/c.sends >= restBytes {
		return
	}
	if apart := took * time.Duration(c.messages) / time.Duration(c.sends); apart > span {
		l.restUntil = now.Add(restTime)
	}
}

// resting reports whether it is too early to flush.
func (l *Loop) resting() bool {
	if !l.restUntil.IsZero() && !time.Now().Before(l.restUntil) {
		l.restUntil = time.Time{}
	}
	return !l.restUntil.IsZero()
}
