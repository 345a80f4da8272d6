package gateway

import (
	"bytes"
	"time"

	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/gateway/loop"
	"github.com/fanfare-ws/fanfare/gateway/protocol"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// This file keeps the promise that members see a room's messages in order, each once, and are told
// where that cannot be: a hole in the offsets is filled from the broker's history before later
// messages are released; what cannot be filled becomes a gap. Sockets that come back are served
// from the window of newest messages kept here, which one read in flight a room extends.
//
// Everything here is called with interest.mu held, and nothing waits.

// kept is a message in a room's window, with its wire bytes, made once an encoding.
type kept struct {
	m      pubsub.Message
	frames [loop.Encodings][]byte
}

func (k *kept) frame(enc loop.Encoding) []byte {
	switch {
	case k.frames[enc] != nil:
	case enc&protocol.Deflated != 0:
		k.frames[enc] = frame.Deflate(k.frame(enc &^ protocol.Deflated))
	default:
		size := len(k.m.Payload) + len(k.m.Target.Name) + len(k.m.From) + 96
		k.frames[enc] = protocol.Encode(make([]byte, 0, size), enc, &k.m)
	}
	return k.frames[enc]
}

func (k *kept) size() int {
	n := len(k.m.Payload) + 256
	for _, f := range k.frames {
		n += len(f)
	}
	return n
}

const (
	// maxWindow bounds a room's window, windowBudget all windows of an instance, in bytes.
	maxWindow    = 256 << 10
	windowBudget = 64 << 20
	// maxWindowLen bounds the messages in it.
	maxWindowLen = 512
	// wideFor is how long a window is kept beyond its own bounds after a read for sockets that come
	// back: where there is one there may be thousands.
	wideFor = 5 * time.Second
	// maxEarly bounds the messages of a room that are held back; beyond it they are forgotten,
	// and read from the history instead.
	maxEarly = 4096
)

// deliver takes a message that the broker has just brought.
func (h *hub) deliver(in *interest, m *pubsub.Message) {
	at := m.Position
	switch {
	case in.gone: // no window is kept that nobody would take back
	case !in.active || in.hole:
		if len(in.early) == maxEarly {
			in.early, in.earlyRead = nil, 0
		}
		in.early = append(in.early, *m)
	case at.Offset == 0 || in.pos.Epoch == 0:
		h.forward(in, m)
	case at.Epoch == in.pos.Epoch && at.Offset <= in.pos.Offset:
		// It came from the history already, unless it is another one than came: see diverged.
		if in.differs(m) {
			in.hole, in.verify, in.suspect = true, true, at.Offset
			h.settle(in)
		}
	case at.Epoch == in.pos.Epoch && at.Offset == in.pos.Offset+1:
		h.forward(in, m)
	default:
		in.hole = true
		in.early = append(in.early, *m)
		h.settle(in)
	}
}

// forward encodes a message and posts it to the loops that have members.
func (h *hub) forward(in *interest, m *pubsub.Message) {
	if m.Position.Offset != 0 {
		in.pos = m.Position
	}
	k := kept{m: *m}
	for _, on := range in.members {
		for enc, n := range on {
			if n > 0 {
				k.frame(loop.Encoding(enc))
			}
		}
	}
	b := &loop.Broadcast{Room: in.target.Name, Frames: k.frames, Position: in.pos}
	if m.Origin.Instance == h.gw.instance {
		b.Sent = m.Origin.Sent
		if m.SkipOrigin {
			b.Skip = m.Origin.Socket
		}
	}
	h.post(in, b)
	if m.Position.Offset != 0 && in.pos.Epoch != 0 {
		in.window = append(in.window, k)
		h.grew(in, k.size())
		h.trim(in)
	}
}

// trim keeps a window within the bounds, unless a read is under way: what it brings is to join the
// window, and to be there until those who wait for it are served, and those who come right after.
func (h *hub) trim(in *interest) {
	switch {
	case in.reading || in.merging:
	case h.kept.Load() > windowBudget:
		h.shrink(in, maxWindow, 1) // the newest: to see that it is still the same
	case in.wide.IsZero():
		h.shrink(in, maxWindow, maxWindowLen)
	}
}

// widen keeps a window as it is for wideFor, or as long as there is memory for it.
func (h *hub) widen(in *interest) {
	if in.wide.IsZero() {
		h.laterMu.Lock()
		h.wide = append(h.wide, in)
		h.laterMu.Unlock()
	}
	in.wide = time.Now()
}

// narrow trims the windows that were kept wide for long enough.
func (h *hub) narrow(now time.Time) {
	h.laterMu.Lock()
	wide := h.wide
	h.wide = nil
	h.laterMu.Unlock()
	still := wide[:0]
	for _, in := range wide {
		in.mu.Lock()
		if !in.gone && now.Sub(in.wide) < wideFor {
			still = append(still, in)
		} else {
			in.wide = time.Time{}
			h.trim(in)
		}
		in.mu.Unlock()
	}
	h.laterMu.Lock()
	h.wide = append(h.wide, still...)
	h.laterMu.Unlock()
}

// post hands wire bytes to the loops that have members.
func (h *hub) post(in *interest, b *loop.Broadcast) {
	for i, on := range in.members {
		if on == [loop.Encodings]int32{} {
			continue
		}
		h.gw.loops.Loops()[i].Post(b)
	}
}

// gap moves to a position that cannot be reached message by message, and tells the members.
func (h *hub) gap(in *interest, to pubsub.Position) {
	if in.pos.Epoch != to.Epoch {
		in.suspect = 0
	}
	in.pos = to
	h.shrink(in, 0, 0)
	h.gw.metrics.gaps.Inc()
	notice := protocol.EncodeGap(in.target.Name, to)
	h.post(in, &loop.Broadcast{
		Room: in.target.Name, Position: to,
		Frames: [loop.Encodings][]byte{protocol.JSON: notice, protocol.JSON | protocol.Deflated: notice},
	})
}

func (h *hub) grew(in *interest, n int) {
	in.windowBytes += n
	h.kept.Add(int64(n))
}

// shrink drops the oldest messages of a window until it is within the bounds.
func (h *hub) shrink(in *interest, size, length int) {
	n := 0
	for n < len(in.window) && (in.windowBytes > size || len(in.window)-n > length) {
		h.grew(in, -in.window[n].size())
		n++
	}
	if n == len(in.window) {
		in.window = nil
		return
	}
	clear(in.window[:n])
	in.window = in.window[n:]
}

// settle does what can be done with what is here, and asks the broker for the rest: one read in
// flight a room.
func (h *hub) settle(in *interest) {
	if in.reading || !in.active {
		return
	}
	after, need := uint64(0), false
	want := func(a uint64) {
		if !need || a < after {
			after, need = a, true
		}
	}
	if in.hole {
		a := in.pos.Offset
		if in.verify && a > 0 {
			a = in.doubtful() - 1 // to see that it is still the same
		}
		want(a)
	}
	waiting := in.resumes[:0]
	for _, w := range in.resumes {
		if a, ok := h.answer(in, &w); !ok {
			waiting = append(waiting, w)
			// Twice as far back as it was away: others come back who were away for longer.
			missed := in.pos.Offset - min(a, in.pos.Offset)
			want(a - min(a, missed))
		}
	}
	clear(in.resumes[len(waiting):])
	in.resumes = waiting
	if !need {
		return
	}
	in.reading, in.earlyRead = true, len(in.early)
	hole, verify, resume := in.hole, in.verify, len(waiting) > 0
	h.broker.Read(in.target.Name, pubsub.Query{Since: true, After: after}, func(got pubsub.History, err error) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.reading = false
		switch {
		case in.gone:
			return
		case err != nil:
			h.unread(in)
			return
		case in.hole && !hole, in.verify && !verify: // that came up since: it may be too old to tell
			h.settle(in)
			return
		}
		if resume {
			h.widen(in)
		}
		in.merging = true
		if h.merge(in, after, got) {
			h.settle(in)
		}
		in.merging = false
		h.trim(in)
	})
}

// unread: the history could not be read. Those who will not wait are told; the rest is tried again.
func (h *hub) unread(in *interest) {
	in.resumes = tellImpatient(in.resumes)
	for i := range in.resumes {
		in.resumes[i].asked = false
	}
	h.retry(in)
}

// retry has settle called again in a moment.
func (h *hub) retry(in *interest) {
	h.laterMu.Lock()
	h.failed = append(h.failed, in)
	h.laterMu.Unlock()
}

// retryAll goes on where the broker could not be asked.
func (h *hub) retryAll() {
	h.laterMu.Lock()
	failed := h.failed
	h.failed = nil
	h.laterMu.Unlock()
	for _, in := range failed {
		in.mu.Lock()
		if !in.gone {
			h.settle(in)
		}
		in.mu.Unlock()
	}
}

// answer tells a socket that comes back what it missed, if that is known; else it says after which
// offset it is to be read. That something cannot be had is only said after the history was read:
// this instance may be behind, in its offsets or its epoch.
func (h *hub) answer(in *interest, w *waiter) (after uint64, ok bool) {
	lost := protocol.Joined{Position: in.pos}
	sure := w.asked && !in.hole
	resume := w.want.Since != nil
	from := in.pos.Offset - min(uint64(w.want.Last), in.pos.Offset)
	if resume {
		from = w.want.Since.Offset
	}
	switch {
	case resume && (in.pos.Epoch == 0 || w.want.Since.Epoch == 0): // there is no history, or no such epoch
		w.tell(lost, nil)
		return 0, true
	case resume && (w.want.Since.Epoch != in.pos.Epoch || from > in.pos.Offset):
		if !sure {
			w.asked = true
			return in.pos.Offset, false
		}
		w.tell(lost, nil)
		return 0, true
	case from == in.pos.Offset:
	case len(in.window) == 0 || in.window[0].m.Position.Offset > from+1:
		if !sure {
			w.asked = true
			return from, false
		}
		if resume {
			w.tell(lost, nil)
			return 0, true
		}
	}
	j := protocol.Joined{Position: in.pos, Recovered: resume}
	for i := range in.window {
		if k := &in.window[i]; k.m.Position.Offset > from {
			made := k.frames[w.enc] != nil
			j.Missed = append(j.Missed, k.frame(w.enc))
			if !made {
				h.grew(in, len(k.frames[w.enc]))
			}
		}
	}
	h.gw.metrics.recovered.Add(float64(len(j.Missed)))
	w.tell(j, nil)
	return 0, true
}

// merge takes in what was read after an offset. It reports whether to go on at once.
func (h *hub) merge(in *interest, after uint64, got pubsub.History) bool {
	top := got.Top
	if top.Epoch != in.pos.Epoch {
		h.gap(in, pubsub.Position{Epoch: top.Epoch})
		in.verify = false
		if in.hole = after > 0; in.hole {
			return true // the new epoch is to be read from its beginning
		}
	}
	if h.diverged(in, got) {
		in.hole, in.verify = true, true
		h.renew(in)
		return false
	}
	if in.verify {
		in.verify, in.suspect = false, 0
	}
	h.prepend(in, got.Messages)
	for i := range got.Messages {
		m := &got.Messages[i]
		if m.Position.Offset <= in.pos.Offset {
			continue
		}
		if m.Position.Offset != in.pos.Offset+1 {
			h.gap(in, pubsub.Position{Epoch: top.Epoch, Offset: m.Position.Offset - 1})
		}
		h.forward(in, m)
		h.gw.metrics.recovered.Inc()
	}
	if top.Offset > in.pos.Offset {
		h.gap(in, top)
	}
	h.release(in)
	return true
}

// release delivers what was held back. A message that came before the read and is not in it was
// not published by the rules, and is dropped.
func (h *hub) release(in *interest) {
	early, read := in.early, in.earlyRead
	in.hole, in.early, in.earlyRead = false, nil, 0
	for i := range early {
		m := &early[i]
		known := m.Position.Offset == 0 || m.Position.Epoch == in.pos.Epoch && m.Position.Offset <= in.pos.Offset+1
		if in.hole || known || i >= read {
			h.deliver(in, m)
		}
	}
}

// doubtful is the offset of the first message that is to be compared, the last one if in doubt.
func (in *interest) doubtful() uint64 {
	if len(in.window) == 0 || in.suspect == 0 || in.suspect > in.pos.Offset {
		return in.pos.Offset
	}
	return max(in.suspect, in.window[0].m.Position.Offset)
}

// diverged tells whether the history is no longer the one that members here have seen: a replica
// was promoted that lacks the newest messages. By now others may have been published in their
// place, and some after them may have been forwarded here before this instance knew.
func (h *hub) diverged(in *interest, got pubsub.History) bool {
	if in.verify && got.Top.Offset < in.pos.Offset {
		return true
	}
	for i := range got.Messages {
		if in.differs(&got.Messages[i]) {
			return true
		}
	}
	return false
}

// differs tells whether another message was forwarded at the offset. Of older ones than the
// window has that is not known.
func (in *interest) differs(is *pubsub.Message) bool {
	if len(in.window) == 0 || is.Position.Offset < in.window[0].m.Position.Offset || is.Position.Offset > in.pos.Offset {
		return false
	}
	was := &in.window[is.Position.Offset-in.window[0].m.Position.Offset].m
	return was.Origin != is.Origin || was.From != is.From || !bytes.Equal(was.Payload, is.Payload)
}

// renew has a new epoch made of a history that went back.
func (h *hub) renew(in *interest) {
	in.reading = true
	h.broker.Renew(in.target.Name, in.pos.Epoch, func(at pubsub.Position, err error) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.reading = false
		if in.gone {
			return
		}
		if err != nil {
			in.suspect = 1 // all that is known is to be compared again
			h.retry(in)
			return
		}
		in.verify, in.hole = false, true
		h.gap(in, pubsub.Position{Epoch: at.Epoch})
		h.settle(in)
	})
}

// prepend puts messages that were read before those of the window, if they join it.
func (h *hub) prepend(in *interest, older []pubsub.Message) {
	first := in.pos.Offset + 1
	if len(in.window) > 0 {
		first = in.window[0].m.Position.Offset
	}
	n := 0
	for n < len(older) && older[n].Position.Offset < first {
		n++
	}
	if n == 0 || older[n-1].Position.Offset != first-1 {
		return
	}
	window := make([]kept, 0, n+len(in.window))
	for i := range older[:n] {
		k := kept{m: older[i]}
		window = append(window, k)
		h.grew(in, k.size())
	}
	in.window = append(window, in.window...)
}

// Top compares the newest position that the broker knows with what arrived. After an interruption
// even what did arrive is held against the history.
func (h *hub) Top(room string, top pubsub.Position, interrupted bool) {
	h.mu.RLock()
	in := h.interest[pubsub.Room(room)]
	h.mu.RUnlock()
	if in == nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.active || in.pos.Epoch == 0 {
		return
	}
	in.verify = in.verify || interrupted
	if in.verify || top.Epoch != in.pos.Epoch || top.Offset > in.pos.Offset {
		in.hole = true
	}
	h.settle(in)
}
