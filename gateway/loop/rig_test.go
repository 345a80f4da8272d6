package loop

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/gateway/frame"
	"github.com/fanfare-ws/fanfare/pubsub"
)

// patience is how long anything may take before a test fails.
const patience = 20 * time.Second

// rig is a group whose clock stands still: time passes when a test calls tick.
type rig struct {
	t     *testing.T
	g     *Group
	addr  string
	clock uint32
	wg    sync.WaitGroup

	passed chan net.Conn // to the HTTP server

	mu      sync.Mutex
	sockets []*Socket // in the order of their opening; guarded by mu
}

// newRig serves sockets that join the rooms in their URL's path: GET /one,two.
func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return newRigOn(t, cfg, ln)
}

func newRigOn(t *testing.T, cfg Config, ln net.Listener) *rig {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	r := &rig{t: t, addr: ln.Addr().String(), clock: 1, passed: make(chan net.Conn, 1)}
	var err error
	if r.g, err = New(cfg, testDoor{r}); err != nil {
		t.Fatal(err)
	}
	for _, l := range r.g.Loops() {
		r.wg.Go(l.run)
	}
	if err := r.g.Serve(ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	return r
}

func (r *rig) close() {
	r.g.Close()
	for _, l := range r.g.Loops() {
		l.Call(l.stop)
	}
	r.wg.Wait()
	r.g.streams.Wait()
}

// transports runs a test on each: Auto is io_uring where the kernel has it.
func transports(t *testing.T, test func(t *testing.T, tr Transport)) {
	for _, tr := range allTransports {
		t.Run(string(tr), func(t *testing.T) {
			t.Parallel()
			test(t, tr)
		})
	}
}

// eventually waits for a condition that nothing announces.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// on runs fn on a socket's loop and waits for it.
func (r *rig) on(s *Socket, fn func()) {
	r.t.Helper()
	r.onLoop(s.loop, fn)
}

func (r *rig) onLoop(l *Loop, fn func()) {
	r.t.Helper()
	done := make(chan struct{})
	if !l.Call(func() { fn(); close(done) }) {
		r.t.Fatal("the loop has ended")
	}
	<-done
}

// tick lets seconds pass.
func (r *rig) tick(n int) {
	for range n {
		r.clock++
		for _, l := range r.g.Loops() {
			r.onLoop(l, func() { l.tick(r.clock) })
		}
	}
}

// post hands one message to all loops.
func (r *rig) post(room, text string, offset uint64, skip uint64) {
	b := &Broadcast{Room: room, Skip: skip, Position: pubsub.Position{Epoch: 1, Offset: offset}}
	b.Frames[0] = frame.AppendFrame(nil, ws.OpText, []byte(text))
	for _, l := range r.g.Loops() {
		l.Post(b)
	}
}

// sum adds up a counter of all loops.
func (r *rig) closed(o Outcome) (n uint64) {
	for _, l := range r.g.Loops() {
		n += l.Stats().Closed[o].Load()
	}
	return n
}

// testDoor upgrades everything.
type testDoor struct{ r *rig }

func (d testDoor) Admit(block []byte, _ Peer, full bool) Verdict {
	if bytes.HasPrefix(block, []byte("GET /http ")) {
		return Verdict{HTTP: true}
	}
	out := new(bytes.Buffer)
	if _, err := ws.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(block), out}); err != nil {
		return Verdict{Response: out.Bytes()}
	}
	path, _, _ := strings.Cut(strings.TrimPrefix(string(block), "GET /"), " ")
	return Verdict{Response: out.Bytes(), Handler: &testHandler{r: d.r, rooms: path}}
}
func (testDoor) Refuse(r Refusal) []byte { return []byte("refused " + strconv.Itoa(int(r))) }
func (d testDoor) Pass(c net.Conn)       { d.r.passed <- c }

// testHandler answers each message `x` with `ack x`.
type testHandler struct {
	r     *rig
	rooms string
}

func (h *testHandler) Open(s *Socket) {
	for room := range strings.SplitSeq(h.rooms, ",") {
		if room != "" {
			s.Join(room, 0, pubsub.Position{})
		}
	}
	h.r.mu.Lock()
	h.r.sockets = append(h.r.sockets, s)
	h.r.mu.Unlock()
}
func (h *testHandler) Message(s *Socket, _ ws.OpCode, payload []byte) {
	sendText(s, "ack "+string(payload))
}
func (h *testHandler) Skipped(s *Socket, room string, pos pubsub.Position) {
	sendText(s, "gap "+room+" "+strconv.FormatUint(pos.Offset, 10))
}
func (h *testHandler) Closed(*Socket, Outcome) {}

func sendText(s *Socket, text string) { s.Send(frame.AppendFrame(nil, ws.OpText, []byte(text))) }

// midFrame sends a socket numbered messages of a room until one is half sent, and then calls fn
// before anything else can happen on the loop. It returns how many messages there were.
func (r *rig) midFrame(s *Socket, room string, fn func()) (n int) {
	r.t.Helper()
	r.on(s, func() {
		for ; s.mid == nil && n < 10_000; n++ {
			s.loop.now(room, big(n), 0)
		}
		if s.mid == nil {
			r.t.Error("no send ended within a frame")
		}
		fn()
	})
	return n
}

// now delivers a message on the loop's goroutine.
func (l *Loop) now(room, text string, offset uint64) {
	b := &Broadcast{Room: room, Position: pubsub.Position{Epoch: 1, Offset: offset}}
	b.Frames[0] = frame.AppendFrame(nil, ws.OpText, []byte(text))
	l.append(b)
	l.flush()
}

// numbered is a message of a size that tells its number; big ones are beyond what one send takes.
func numbered(i, size int) string {
	s := strconv.Itoa(i) + " "
	return s + strings.Repeat(string(rune('a'+i%26)), max(size-len(s), 0))
}

func big(i int) string { return numbered(i, 90_001) }
