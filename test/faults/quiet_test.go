package faults_test

import (
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fanfare-ws/fanfare/client"
	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// A quiet room's last message is lost on its way to the instance, and nothing comes after it: it is
// found within 15 s, and within 5 s of a connection that was lost and is back. What Redis is asked
// for it does not depend on the number of members.
func TestTheLastMessageOfAQuietRoomIsLost(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	var asked []int
	for _, members := range []int{1, 500} {
		redis := redistest.StartProcess(t)
		c := redis.Client(t)
		in := fanfaretest.Start(t, "--redis", redis.URL)
		conn, err := client.Dial(t.Context(), in.SocketURL, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Publish(t.Context(), "room", 1); err != nil {
			t.Fatal(err)
		}
		joined, err := conn.Join(t.Context(), "room")
		if err != nil {
			t.Fatal(err)
		}
		s := &storm{returned: make([]*faults.Returner, members)}
		s.each(func(i int) (err error) {
			if s.returned[i], err = faults.Return(t.Context(), in.SocketURL, "room", joined.Position); err == nil {
				err = s.returned[i].Recovered()
			}
			return err
		})
		s.fail(t)
		lost := func(offset uint64, within time.Duration) {
			t.Helper()
			publishUnheard(t, c, "room", offset)
			began := time.Now()
			s.each(func(i int) error { return s.returned[i].Until(offset) })
			s.fail(t)
			if took := time.Since(began); took > within {
				t.Errorf("%d members: message %d was found after %v, want %v", members, offset, took, within)
			} else {
				t.Logf("%d members: message %d was found after %v", members, offset, took)
			}
		}
		if err := c.ConfigResetStat(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		lost(2, 15*time.Second)
		asked = append(asked, calls(t, c, "evalsha"))
		if err := c.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
			t.Fatal(err)
		}
		lost(3, 5*time.Second)
		for _, r := range s.returned {
			if r.Duplicated+r.Silent > 0 {
				t.Errorf("%d duplicated, %d silent gaps", r.Duplicated, r.Silent)
			}
			r.Close()
		}
	}
	t.Logf("scripts called: %v", asked)
	if asked[1] > asked[0]+3 { // a comparison more or less, as it happens
		t.Errorf("%v scripts were called, want as many for 500 members as for one", asked)
	}
}

// publishUnheard does what publishing does, but for PUBLISH.
func publishUnheard(t *testing.T, c *goredis.Client, room string, offset uint64) {
	t.Helper()
	_, err := c.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
		p.XAdd(t.Context(), &goredis.XAddArgs{
			Stream: "fanfare:{0}:h:" + room, ID: fmt.Sprintf("%d-0", offset), Values: []string{"e", "\x01\x02" + fmt.Sprint(offset)},
		})
		p.HSet(t.Context(), "fanfare:{0}:m:"+room, "offset", offset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
