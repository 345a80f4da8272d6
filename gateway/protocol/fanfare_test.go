package protocol

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/auth"
	"github.com/fanfare-ws/fanfare/pubsub"
)

func TestWhatASocketIsTold(t *testing.T) {
	s := &session{t: t}
	Fanfare{}.Open(s)
	s.want(`{"type":"welcome","socket":"s-1","instance":"in\"1","user":"alice","ping":30}`)
	Fanfare{}.Leaving(s, 1500*time.Millisecond)
	s.want(`{"type":"drain","retry_ms":1500}`)
	Fanfare{}.Skipped(s, "r", pubsub.Position{Epoch: 16, Offset: 3})
	s.want(`{"type":"gap","room":"r","epoch":"10","offset":3}`)
	Fanfare{}.Closed(s)
	s.want()
	if (Fanfare{}).Encoding() != JSON {
		t.Error("fanfare.v1 is not JSON")
	}
}

func TestABadCommandIsAnsweredAndDoesNothing(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct{ send, want string }{
		{``, `not a JSON object`},
		{`7`, `not a JSON object`},
		{`[{"type":"ping"}]`, `not a JSON object`},
		{`{"type":"ping"} {}`, `not a JSON object`},
		{`{"type":"ping","id":1`, `not a JSON object`},
		{`null`, `type is needed`},
		{`{}`, `type is needed`},
		{`{"type":null}`, `type is needed`},
		{`{"type":1}`, `wrong type of type`},
		{`{"type":"Ping"}`, `unknown type: want join, leave, publish, send, auth or ping`},
		{`{"type":"ping","id":true}`, `id is a number or a string of at most 64 bytes`},
		{`{"type":"ping","id":[1]}`, `id is a number or a string of at most 64 bytes`},
		{`{"type":"ping","id":"` + long[:65] + `"}`, `id is a number or a string of at most 64 bytes`},
		{`{"type":"ping","id":` + strings.Repeat("1", 67) + `}`, `id is a number or a string of at most 64 bytes`},
		{`{"type":"join"}`, `a room's name is needed`},
		{`{"type":"join","room":""}`, `a room's name is needed`},
		{`{"type":"join","room":["r"]}`, `wrong type of room`},
		{`{"type":"join","room":"` + long + `"}`, `a room's name has at most 255 bytes`},
		{`{"type":"join","room":"a\nb"}`, `a room's name has no control characters`},
		{`{"type":"join","room":"a\u007f"}`, `a room's name has no control characters`},
		{`{"type":"join","room":"r","since":{}}`, `since is the epoch and the offset of the last message seen`},
		{`{"type":"join","room":"r","since":{"epoch":"` + long[:33] + `"}}`, `since is the epoch and the offset of the last message seen`},
		{`{"type":"join","room":"r","since":{"epoch":"1","offset":-1}}`, `wrong type of since.offset`},
		{`{"type":"join","room":"r","since":{"epoch":1}}`, `wrong type of since.epoch`},
		{`{"type":"join","room":"r","since":"1"}`, `wrong type of since`},
		{`{"type":"join","room":"r","last":-1}`, `last is a number of messages`},
		{`{"type":"join","room":"r","last":1.5}`, `wrong type of last`},
		{`{"type":"publish","room":"r"}`, `data is needed`},
		{`{"type":"publish","data":1}`, `a room's name is needed`},
		{`{"type":"publish","room":"r","data":1,"echo":"no"}`, `wrong type of echo`},
		{`{"type":"publish","room":"r","data":1,"key":5}`, `wrong type of key`},
		{`{"type":"publish","room":"r","data":1,"key":"` + long + `"}`, `a key has at most 255 bytes`},
		{`{"type":"send","user":"u"}`, `data is needed`},
		{`{"type":"send","data":1}`, `user is needed, at most 255 bytes`},
		{`{"type":"send","data":1,"user":"` + long + `"}`, `user is needed, at most 255 bytes`},
		{`{"type":"auth","token":{}}`, `wrong type of token`},
	} {
		s := &session{t: t}
		s.text(Fanfare{}, c.send)
		s.want(`{"type":"error","code":"bad_request","message":"` + c.want + `"}`)
		if len(s.joins)+len(s.leaves)+len(s.publishes)+len(s.tokens)+len(s.ended) > 0 {
			t.Errorf("%s did something", c.send)
		}
	}
	s := &session{t: t}
	Fanfare{}.Message(s, ws.OpBinary, []byte(`{"type":"ping","id":1}`))
	s.want(`{"type":"error","code":"bad_request","message":"send text frames with one JSON object each"}`)
	s.text(Fanfare{}, `{"type":"join","room":7,"id":4}`)
	s.want(`{"type":"error","id":4,"code":"bad_request","message":"wrong type of room"}`)
}

func TestOverTheRateNothingIsDone(t *testing.T) {
	s := &session{t: t, limited: true}
	for _, c := range []struct{ send, id string }{
		{`{"type":"publish","room":"r","data":1,"id":"a"}`, `"id":"a",`}, {`{"type":"ping"}`, ``}, {`nonsense`, ``},
		{`{"type":"ping","id":{}}`, ``}, {`{"type":1,"id":2}`, `"id":2,`},
	} {
		s.text(Fanfare{}, c.send)
		s.want(`{"type":"error",` + c.id + `"code":"rate_limited","message":"too many messages"}`)
	}
	if len(s.publishes) > 0 {
		t.Error("it was published")
	}
}

func TestTheIDComesBackAsItIs(t *testing.T) {
	for _, id := range []string{`1`, `-0.50e+1`, `"a\"b\u00e9"`, `""`, `"` + strings.Repeat("x", 64) + `"`} {
		s := &session{t: t}
		s.text(Fanfare{}, `{"type":"ping","id": `+id+` }`)
		s.want(`{"type":"pong","id":` + id + `}`)
	}
	s := &session{t: t}
	s.text(Fanfare{}, `{"type":"ping","id":null,"what":"unknown"}`)
	s.want(`{"type":"pong"}`)
}

func TestJoin(t *testing.T) {
	at := pubsub.Position{Epoch: 0xabc, Offset: 9}
	for _, c := range []struct {
		fields string
		want   Want
		answer Joined
		text   string
	}{
		{``, Want{}, Joined{}, `}`},
		{``, Want{}, Joined{Position: at}, `,"epoch":"abc","offset":9}`},
		{``, Want{}, Joined{Position: pubsub.Position{Epoch: 1}}, `,"epoch":"1","offset":0}`},
		{`,"last":20`, Want{Last: 20}, Joined{Position: at, Missed: [][]byte{{1}, {2}}}, `,"epoch":"abc","offset":9}`},
		{`,"since":null,"last":0`, Want{}, Joined{}, `}`},
		{`,"since":{"epoch":"abc","offset":7}`, Want{Since: &pubsub.Position{Epoch: 0xabc, Offset: 7}},
			Joined{Position: at, Recovered: true, Missed: [][]byte{{8}, {9}}}, `,"epoch":"abc","offset":9,"recovered":true}`},
		{`,"since":{"epoch":"none of ours","offset":7}`, Want{Since: &pubsub.Position{Offset: 7}},
			Joined{Position: at}, `,"epoch":"abc","offset":9,"recovered":false}`},
		{`,"since":{"epoch":"1"},"last":3`, Want{Since: &pubsub.Position{Epoch: 1}, Last: 3}, Joined{}, `,"recovered":false}`},
	} {
		s := &session{t: t}
		s.text(Fanfare{}, `{"type":"join","room":"r\"1","id":5`+c.fields+`}`)
		s.want() // not before the session says so
		if diff := cmp.Diff(c.want, s.joins[0].want); diff != "" || s.joins[0].room != `r"1` {
			t.Errorf("%s: joins %q (-want +got):\n%s", c.fields, s.joins[0].room, diff)
		}
		s.joins[0].done(c.answer, nil)
		s.want(`{"type":"joined","room":"r\"1","id":5` + c.text)
		if diff := cmp.Diff(c.answer.Missed, s.replayed); diff != "" {
			t.Errorf("%s: replayed (-want +got):\n%s", c.fields, diff)
		}
	}
}

func TestLeave(t *testing.T) {
	s := &session{t: t}
	s.text(Fanfare{}, `{"type":"leave","room":"r","id":1}`)
	s.text(Fanfare{}, `{"type":"leave","room":"q","id":2}`)
	s.want()
	s.leaves[1].done(false)
	s.leaves[0].done(true)
	s.want(`{"type":"error","id":2,"code":"not_member","message":"not a member of this room"}`, `{"type":"left","room":"r","id":1}`)
}

func TestPublish(t *testing.T) {
	at := pubsub.Receipt{Position: pubsub.Position{Epoch: 3, Offset: 12}, Instances: 2}
	for _, c := range []struct {
		fields string
		want   pubsub.Message
		answer pubsub.Receipt
		text   string
	}{
		{`"data":{"a": [1, 2]}`, pubsub.Message{Payload: []byte(`{"a": [1, 2]}`)}, at, `,"offset":12}`},
		{`"data":null,"echo":true`, pubsub.Message{Payload: []byte(`null`)}, pubsub.Receipt{}, `}`},
		{`"data":"x","echo":false`, pubsub.Message{Payload: []byte(`"x"`), SkipOrigin: true}, at, `,"offset":12}`},
		{`"data":0,"echo":null,"key":"k\u0000"`, pubsub.Message{Payload: []byte(`0`), Key: "k\x00"}, at, `,"offset":12}`},
		{`"data":1,"key":"` + strings.Repeat("k", MaxKey) + `"`, pubsub.Message{Payload: []byte(`1`), Key: strings.Repeat("k", MaxKey)}, at, `,"offset":12}`},
	} {
		s := &session{t: t}
		s.text(Fanfare{}, `{"type":"publish","room":"r","id":3,`+c.fields+`}`)
		s.want() // not before the broker has it
		c.want.Target, c.want.Kind = pubsub.Room("r"), pubsub.JSON
		p := s.thePublish()
		if diff := cmp.Diff(c.want, p.m); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.fields, diff)
		}
		p.done(c.answer, nil)
		s.want(`{"type":"ack","id":3` + c.text)
	}
	s := &session{t: t, denied: auth.Publish}
	s.text(Fanfare{}, `{"type":"publish","room":"r","data":1,"id":3}`)
	s.want(`{"type":"error","id":3,"code":"forbidden","message":"not permitted in this room"}`)
	if len(s.publishes) > 0 {
		t.Error("published without the permission")
	}
}

func TestSend(t *testing.T) {
	for instances := range 3 {
		s := &session{t: t, denied: auth.Publish} // it needs no permission
		s.text(Fanfare{}, `{"type":"send","user":"bob","data":[ 1 ],"id":4}`)
		s.want()
		p := s.thePublish()
		if diff := cmp.Diff(pubsub.Message{Target: pubsub.User("bob"), Kind: pubsub.JSON, Payload: []byte(`[ 1 ]`)}, p.m); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		p.done(pubsub.Receipt{Instances: instances}, nil)
		s.want(fmt.Sprintf(`{"type":"ack","id":4,"instances":%d}`, instances))
	}
}

func TestAuth(t *testing.T) {
	s := &session{t: t}
	s.text(Fanfare{}, `{"type":"auth","token":"fresh","id":5}`)
	s.text(Fanfare{}, `{"type":"auth","id":6}`)
	s.want()
	if s.tokens[0].token != "fresh" || s.tokens[1].token != "" {
		t.Errorf("tokens %q and %q", s.tokens[0].token, s.tokens[1].token)
	}
	s.tokens[0].done(nil)
	s.tokens[1].done(errors.New("secret details"))
	s.want(`{"type":"ack","id":5}`, `{"type":"error","id":6,"code":"forbidden","message":"the token is not valid for this socket's user"}`)
}

func TestAnErrorIsToldAsItsCodeOnly(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{ErrForbidden, `"forbidden","message":"not permitted in this room"`},
		{ErrTooManyRooms, `"forbidden","message":"too many rooms on this socket"`},
		{pubsub.ErrNoHistory, `"bad_request","message":"this room keeps no history, so a key cannot be kept"`},
		{pubsub.ErrUnavailable, `"unavailable","message":"the broker is away: try again"`},
		{fmt.Errorf("asking 10.0.0.1: %w", pubsub.ErrUnavailable), `"unavailable","message":"the broker is away: try again"`},
		{pubsub.ErrClosed, `"unavailable","message":"the broker is away: try again"`},
		{errors.New("secret details"), `"internal","message":"internal error"`},
	} {
		s := &session{t: t}
		s.text(Fanfare{}, `{"type":"join","room":"r","since":{"epoch":"1"},"id":1}`)
		s.joins[0].done(Joined{}, c.err)
		s.text(Fanfare{}, `{"type":"publish","room":"r","data":1,"id":1}`)
		s.thePublish().done(pubsub.Receipt{}, c.err)
		s.text(Fanfare{}, `{"type":"send","user":"u","data":1,"id":1}`)
		s.thePublish().done(pubsub.Receipt{}, c.err)
		text := `{"type":"error","id":1,"code":` + c.want + `}`
		s.want(text, text, text)
		if len(s.replayed)+len(s.ended) > 0 {
			t.Errorf("%v did more than be told", c.err)
		}
	}
}
