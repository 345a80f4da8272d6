package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/fanfare-ws/fanfare/client"
)

// Returner is a socket that comes back to a room with a position. It is as small as can be, since
// there are thousands, and has no goroutine: the race detector knows no more than 8,128.
type Returner struct {
	conn net.Conn
	in   *bufio.Reader
	next uint64 // offset of the message that must come now

	message []byte // what a message of the room begins with, up to its offset

	// What must not be, counted.
	Duplicated, Silent int
}

// stormTimeout bounds the life of a Returner.
const stormTimeout = 2 * time.Minute

// Return connects to an instance and joins a room from a position, without waiting for any answer.
func Return(ctx context.Context, socketURL, room string, from client.Position) (*Returner, error) {
	u, err := url.Parse(socketURL)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	r := &Returner{conn: conn, in: bufio.NewReaderSize(conn, 4096), next: from.Offset + 1}
	r.message = fmt.Appendf(nil, `{"type":"message","room":%q,"offset":`, room)
	command := fmt.Sprintf(`{"type":"join","room":%q,"since":{"epoch":%q,"offset":%d}}`, room, from.Epoch, from.Offset)
	packet := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", u.Path, u.Host)
	packet = append(packet, 0x81, 0x80|byte(len(command)), 0, 0, 0, 0) // a short text frame, masked with zeros
	_ = conn.SetDeadline(time.Now().Add(stormTimeout))
	if _, err := conn.Write(append(packet, command...)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return r, nil
}

// Recovered reads the answers to what Return sent. It is an error if the position was not believed.
func (r *Returner) Recovered() error {
	answer, err := http.ReadResponse(r.in, nil)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the handshake was answered with %s", answer.Status)
	}
	for _, want := range []string{"welcome", "joined"} {
		f, err := r.frame()
		if err != nil {
			return err
		}
		if f.Type != want || want == "joined" && !f.Recovered {
			return fmt.Errorf("got %+v, want %s", f, want)
		}
	}
	return nil
}

// Until reads messages up to an offset and counts those that are not the next one.
func (r *Returner) Until(offset uint64) error {
	for r.next <= offset {
		f, err := r.frame()
		switch {
		case err != nil:
			return fmt.Errorf("waiting for message %d: %w", r.next, err)
		case f.Type != "message":
			return fmt.Errorf("got %+v, want message %d", f, r.next)
		case f.Offset < r.next:
			r.Duplicated++
			continue
		case f.Offset > r.next:
			r.Silent++
		}
		r.next = f.Offset + 1
	}
	return nil
}

// Close breaks the connection.
func (r *Returner) Close() { _ = r.conn.Close() }

// frame is what a Returner looks at of one that it is sent.
type frame struct {
	Type      string
	Offset    uint64
	Recovered bool
}

func (r *Returner) frame() (f frame, err error) {
	head, err := r.in.Peek(2)
	for err == nil && head[0] == 0x89 && head[1] == 0 { // a ping, which need not be answered at once
		_, _ = r.in.Discard(2)
		head, err = r.in.Peek(2)
	}
	if err != nil {
		return f, err
	}
	if head[0] != 0x81 {
		return f, fmt.Errorf("a frame begins with %#x, want a whole text", head[0])
	}
	size, length := 2, int(head[1])
	if length == 126 {
		if head, err = r.in.Peek(4); err != nil {
			return f, err
		}
		size, length = 4, int(binary.BigEndian.Uint16(head[2:]))
	}
	whole, err := r.in.Peek(size + length)
	if err != nil {
		return f, err
	}
	if n, ok := bytes.CutPrefix(whole[size:], r.message); ok { // most are: half a million are not to be read as JSON
		n, _, _ = bytes.Cut(n, []byte(","))
		f.Type = "message"
		f.Offset, err = strconv.ParseUint(string(n), 10, 64)
	} else {
		err = json.Unmarshal(whole[size:], &f)
	}
	_, _ = r.in.Discard(len(whole))
	return f, err
}
