package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// server speaks just enough fanfare.v1, and does wrong what a test tells it to.
type server struct {
	// Static after start. All are called with mu held.
	reject  func(nth int) int                                    // HTTP status for the nth connection, 0: let in
	deliver func(to *peer, n int, message string) (out []string) // what a member gets for the room's nth message
	write   func(to *peer, message string) error                 // how a text message is sent
	join    func(p *peer, room string) string                    // the answer to a join, "" for none
	ack     func(n int, ack string) string                       // the answer to the room's nth message, "" for none
	silent  bool                                                 // never answers the upgrade

	url string
	wg  sync.WaitGroup

	mu    sync.Mutex
	asked []string // request targets
	auth  []string // Authorization headers
	nth   int
	rooms map[string]*serverRoom
	conns []net.Conn
}

type serverRoom struct {
	offset  int
	history []string
	members []*peer
}

// peer is one socket on the server's side.
type peer struct {
	net.Conn
	nth       int // connection
	publishes bool
	held      string
	gone      bool
}

// start makes the server listen; it ends with the test.
func (s *server) start(t *testing.T) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "ws://" + ln.Addr().String() + "/ws"
	s.rooms = map[string]*serverRoom{}
	s.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			p := &peer{Conn: conn, nth: s.nth}
			s.nth++
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(p) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *server) serve(p *peer) {
	defer p.Close()
	if s.silent {
		_, _ = io.Copy(io.Discard, p)
		return
	}
	up := ws.Upgrader{
		OnRequest: func(uri []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked = append(s.asked, string(uri))
			return nil
		},
		OnHeader: func(key, value []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if string(key) == "Authorization" {
				s.auth = append(s.auth, string(value))
			}
			return nil
		},
		Protocol: func(name []byte) bool { return string(name) == "fanfare.v1" },
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.reject != nil {
				if status := s.reject(p.nth); status != 0 {
					return nil, ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(http.StatusText(status)))
				}
			}
			return nil, nil
		},
	}
	if _, err := up.Upgrade(p); err != nil {
		return
	}
	s.mu.Lock()
	_ = s.text(p, `{"type":"welcome","socket":"1","instance":"test","user":"","ping":30}`)
	s.mu.Unlock()
	for {
		op, payload, err := readFrame(p)
		if err != nil || op == ws.OpClose {
			return
		}
		s.mu.Lock()
		if op == ws.OpText {
			s.command(p, payload)
		}
		s.mu.Unlock()
	}
}

func (s *server) command(p *peer, payload []byte) {
	var m struct {
		Type, Room string
		ID, Last   int
		Data       json.RawMessage
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		panic(fmt.Sprintf("the generator sent %q: %v", payload, err))
	}
	room := s.rooms[m.Room]
	if room == nil {
		room = &serverRoom{}
		s.rooms[m.Room] = room
	}
	switch m.Type {
	case "join":
		answer := fmt.Sprintf(`{"type":"joined","room":%q,"id":%d,"epoch":1,"offset":0}`, m.Room, m.ID)
		if s.join != nil {
			answer = s.join(p, m.Room)
		}
		if strings.Contains(answer, `"joined"`) && !slices.Contains(room.members, p) {
			room.members = append(room.members, p)
		}
		if answer != "" {
			_ = s.text(p, answer)
		}
		for _, old := range room.history[max(len(room.history)-m.Last, 0):] {
			_ = s.text(p, old)
		}
	case "publish":
		room.offset++
		p.publishes = true
		message := fmt.Sprintf(`{"type":"message","room":%q,"from":"u%d","offset":%d,"data":%s}`, m.Room, p.nth, room.offset, m.Data)
		room.history = append(room.history, message)
		s.publish(room, message)
		ack := fmt.Sprintf(`{"type":"ack","id":%d,"offset":%d}`, m.ID, room.offset)
		if s.ack != nil {
			ack = s.ack(room.offset, ack)
		}
		if ack != "" {
			_ = s.text(p, ack)
		}
	}
}

func (s *server) publish(room *serverRoom, message string) {
	for _, to := range room.members {
		if to.gone {
			continue
		}
		out := []string{message}
		if s.deliver != nil {
			out = s.deliver(to, room.offset, message)
		}
		for _, m := range out {
			if s.text(to, m) != nil {
				to.gone = true
			}
		}
	}
}

func (s *server) text(p *peer, message string) error {
	if s.write != nil {
		return s.write(p, message)
	}
	return ws.WriteFrame(p, ws.NewTextFrame([]byte(message)))
}

// once makes a deliver of one that wrongs only one member, from the room's nth message on: the
// first that has published nothing, so that the run goes on without it.
func once(nth int, wrong func(to *peer, n int, message string) []string) func(*peer, int, string) []string {
	var victim *peer
	return func(to *peer, n int, message string) []string {
		if victim == nil && n >= nth && !to.publishes {
			victim = to
		}
		if to != victim {
			return []string{message}
		}
		return wrong(to, n, message)
	}
}

// readFrame reads one frame, which it trusts, and unmasks it.
func readFrame(r io.Reader) (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(r)
	if err != nil {
		return 0, nil, err
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(r, payload)
	if h.Masked {
		ws.Cipher(payload, h.Mask, 0)
	}
	return h.OpCode, payload, err
}
