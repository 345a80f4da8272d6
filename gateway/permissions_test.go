package gateway_test

import (
	"fmt"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/gateway"
	"github.com/fanfare-ws/fanfare/gateway/loop"
)

// rules reads permissions as they are written on a command line.
func rules(t *testing.T, list ...string) auth.Permissions {
	t.Helper()
	p := auth.Permissions{}
	for _, s := range list {
		r, err := auth.ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, r)
	}
	return p
}

// wantEnd reads a close frame with this code and reason.
func (p *peer) wantEnd(code ws.StatusCode, reason string) {
	p.t.Helper()
	f := p.next()
	got, why := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || got != code || why != reason {
		p.t.Fatalf("got %v %q, want close %d %q", f.Header.OpCode, f.Payload, code, reason)
	}
}

const forbidden1 = `{"type":"error","id":1,"code":"forbidden","message":"not permitted in this room"}`

func TestTheFirstCredentialCounts(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{Auth: authenticator(t)})
	header := func(user string) string { return "Authorization: Bearer " + mint(t, auth.Claims{User: user}) }
	entry := func(user string) string {
		return "Sec-WebSocket-Protocol: fanfare.v1, bearer." + mint(t, auth.Claims{User: user})
	}
	cookie := func(user string) string { return "Cookie: session=" + mint(t, auth.Claims{User: user}) }
	query := "/ws?token=" + mint(t, auth.Claims{User: "query"})
	in.dial(query, cookie("cookie"), entry("entry"), header("header")).wantMatch(`"user":"header"`)
	in.dial(query, cookie("cookie"), entry("entry")).wantMatch(`"user":"entry"`)
	in.dial(query, cookie("cookie")).wantMatch(`"user":"cookie"`)
	in.dial(query).wantMatch(`"user":"query"`)
	// A good one after it does not mend it.
	in.dial(query, "Cookie: session=nonsense").wantEnd(1008, "missing or invalid credential")
}

func TestHistoryNeedsItsPermission(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Auth: authenticator(t)})
		writer := in.dial("/ws?token=" + mint(t, auth.Claims{User: "root"}))
		writer.wantMatch(`"user":"root"`)
		epoch, _, _ := writer.joined(`{"type":"join","room":"news"}`)
		writer.publish("news", 1, 3)
		writer.publish("team-a", 1, 3)
		p := in.dial("/ws?token=" + mint(t, auth.Claims{User: "alice", Permissions: rules(t, "team-*=join,history", "news=join", "news-*=history")}))
		p.wantMatch(`"user":"alice"`)
		p.send(`{"type":"join","room":"news","last":1,"id":1}`)
		p.want(forbidden1)
		p.send(`{"type":"join","room":"news-1","last":1,"id":1}`) // to join needs one too
		p.want(forbidden1)
		// What was missed is not recovered; last means nothing beside since.
		for _, last := range []string{``, `,"last":2`} {
			p.send(fmt.Sprintf(`{"type":"join","room":"news","since":{"epoch":%q,"offset":1}%s,"id":2}`, epoch, last))
			p.want(fmt.Sprintf(`{"type":"joined","room":"news","id":2,"epoch":%q,"offset":3,"recovered":false}`, epoch))
		}
		writer.publish("news", 4, 4)
		const message = `{"type":"message","room":%q,"from":"root","offset":%d,"data":%[2]d}`
		p.want(fmt.Sprintf(message, "news", 4))
		epoch, _, _ = p.joined(`{"type":"join","room":"team-a","last":1}`)
		p.want(fmt.Sprintf(message, "team-a", 3))
		if _, _, recovered := p.joined(since("team-a", epoch, 1)); !*recovered {
			t.Error("not recovered with the permission")
		}
		p.want(fmt.Sprintf(message, "team-a", 2))
		p.want(fmt.Sprintf(message, "team-a", 3))
	})
}

func TestAFreshTokenBringsItsOwnPermissions(t *testing.T) {
	t.Parallel()
	in := start(t, gateway.Config{Auth: authenticator(t)})
	p := in.dial("/ws?token=" + mint(t, auth.Claims{User: "alice", Permissions: rules(t, "a=publish")}))
	p.wantMatch(`"user":"alice"`)
	check := func(room string, want string) {
		t.Helper()
		p.send(`{"type":"publish","room":"` + room + `","data":1,"id":1}`)
		p.want(want)
	}
	renew := func(user, want string, list ...string) {
		t.Helper()
		p.send(`{"type":"auth","token":"` + mint(t, auth.Claims{User: user, Permissions: rules(t, list...)}) + `","id":2}`)
		p.wantMatch(want)
	}
	check("a", `{"type":"ack","id":1,"offset":1}`)
	check("b", forbidden1)
	renew("bob", `"code":"forbidden"`, "b=publish") // another user's changes nothing
	check("a", `{"type":"ack","id":1,"offset":2}`)
	check("b", forbidden1)
	renew("alice", `{"type":"ack","id":2}`, "b=publish")
	check("a", forbidden1)
	check("b", `{"type":"ack","id":1,"offset":1}`)
	renew("alice", `{"type":"ack","id":2}`) // no rules: nothing is allowed
	check("b", forbidden1)
}

func TestAChatIsToldWhatItMayNot(t *testing.T) {
	transports(t, func(t *testing.T, c loop.Config) {
		in := start(t, gateway.Config{Loop: c, Auth: authenticator(t)})
		token := mint(t, auth.Claims{User: "alice", Permissions: rules(t, "talk=join,publish", "news=join")})
		in.dial("/ws/chat/1?token="+token).wantEnd(1008, "not permitted") // the room is chat
		in.dial("/ws/chat/1?room=other&token="+token).wantEnd(1008, "not permitted")
		reader := in.dial("/ws/chat/1?room=news&token=" + token)
		reader.send("may I?")
		reader.wantEnd(1008, "not permitted")
		a := in.dial("/ws/chat/2?room=talk&token=" + token)
		in.eventually("2 is a member", func() bool { return in.metric("fanfare_members") == "1" })
		b := in.dial("/ws/chat/3?room=talk&token=" + token)
		b.send("I may")
		a.want("Client #3 joined the chat")
		a.want("Client #3 says: I may")
	})
}

func TestJoiningAgainIsNoRoomMore(t *testing.T) {
	t.Parallel()
	f := newFlawed(256)
	in := start(t, gateway.Config{MaxRooms: 3, Broker: f})
	p, pub := in.join(), in.join()
	pub.publish("one", 1, 1)
	epoch, _, _ := p.joined(`{"type":"join","room":"one"}`)
	hold := make(chan struct{})
	f.mu.Lock()
	f.hold = hold
	f.mu.Unlock()
	const again = 3
	for range again { // they wait for the history
		p.send(since("one", epoch, 0))
	}
	p.joined(`{"type":"join","room":"two"}`)
	p.joined(`{"type":"join","room":"three"}`)
	p.send(`{"type":"join","room":"four","id":1}`)
	p.want(`{"type":"error","id":1,"code":"forbidden","message":"too many rooms on this socket"}`)
	close(hold)
	for range again {
		p.wantMatch(`"type":"joined","room":"one"`, `"recovered":true`)
		p.wantMessages("one", 1, 1)
	}
}
