package faults_test

import (
	"hash/fnv"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/test/faults"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

// watchedPair is a master and a replica, and three sentinels that watch them.
func watchedPair(t *testing.T) (url string, master, replica *redistest.Server) {
	t.Helper()
	master = redistest.StartProcess(t)
	replica = redistest.StartReplica(t, master)
	var addrs []string
	var sentinels []*redistest.Server
	for range 3 {
		s := redistest.StartSentinel(t, "mymaster", master, 2)
		sentinels, addrs = append(sentinels, s), append(addrs, s.Addr)
	}
	for _, s := range sentinels {
		s.AwaitSentinels(t, "mymaster", 2)
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/0?master=mymaster", master, replica
}

func TestSentinelFailoverUnderLoad(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	url, master, _ := watchedPair(t)
	w := begin(t, faults.Plan{Redis: urls(2, url)})
	w.More(200)
	master.Stop(t)
	refused(t, w)
	w.Healed()
	stayed(t, w)
	end(t, w, gaps) // replication is asynchronous: a few messages may not have got to the replica
}

// With --ack-replicas nothing acknowledged is lost, also not told: members that stay have all of it.
func TestSentinelFailoverWithAckReplicas(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	url, master, replica := watchedPair(t)
	w := begin(t, faults.Plan{Redis: urls(2, url), Args: []string{"--ack-replicas", "1"}, Stay: 8, Churn: -1})
	w.More(200)
	master.Stop(t)
	refused(t, w)
	promoted := replica.Client(t)
	w.Until("the replica is promoted", func() bool {
		info, err := promoted.Info(t.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "role:master")
	})
	w.Sleep(time.Second)
	acked := w.Ledger.Count()
	w.Sleep(2 * time.Second)
	if n := w.Ledger.Count(); n != acked {
		t.Errorf("%d messages were acknowledged that no replica has", n-acked)
	}
	master.Restart(t) // the sentinels make it a replica
	w.Healed()
	stayed(t, w)
	if row := end(t, w, gaps); row.Tally.Told > 0 {
		t.Errorf("%d acknowledged messages were told lost", row.Tally.Told)
	}
}

func TestSentinelFailoverWithAnUnreplicatedTail(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	url, master, replica := watchedPair(t)
	w := begin(t, faults.Plan{Redis: urls(2, url), Rooms: 1})
	w.More(200)
	// The replica follows somebody who is not there; it keeps what it has.
	if err := replica.Client(t).ReplicaOf(t.Context(), "127.0.0.1", nobody(t)).Err(); err != nil {
		t.Fatal(err)
	}
	w.More(1 + w.Rand.IntN(20))
	master.Stop(t)
	refused(t, w)
	w.Healed()
	stayed(t, w)
	if row := end(t, w, gaps); row.Tally.Gaps < row.Tally.Streams {
		t.Errorf("%d gaps told to %d streams", row.Tally.Gaps, row.Tally.Streams)
	}
}

// nobody is a loopback port on which nobody listens.
func nobody(t *testing.T) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestClusterSlotMovedUnderLoad(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0)
	w := begin(t, faults.Plan{Redis: urls(2, c.URL)})
	for range 3 {
		w.More(100 + w.Rand.IntN(100))
		slot := c.Slot(t, partition(w.Rooms[w.Rand.IntN(len(w.Rooms))]))
		to := c.Masters[w.Rand.IntN(3)]
		if to == c.Owner(t, slot) {
			to = c.Masters[(w.Rand.IntN(2)+1+index(c.Masters, to))%3]
		}
		c.Move(t, slot, to, nil)
	}
	w.Healed()
	stayed(t, w)
	end(t, w, noGaps)
}

func TestClusterMasterReplaced(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	c := redistest.StartCluster(t, 3, 3)
	w := begin(t, faults.Plan{Redis: urls(2, c.URL)})
	w.More(200)
	c.Owner(t, c.Slot(t, partition(w.Rooms[0]))).Stop(t)
	refused(t, w)
	w.Healed()
	stayed(t, w)
	end(t, w, gaps) // as with sentinels
}

func index(servers []*redistest.Server, s *redistest.Server) int {
	for i := range servers {
		if servers[i] == s {
			return i
		}
	}
	return -1
}

// partition is the one of a room on a cluster, where there are 64.
func partition(room string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(room)) // never fails
	return int(h.Sum32() % 64)
}
