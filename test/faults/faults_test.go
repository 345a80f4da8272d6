package faults_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/faults"
)

var (
	seed = flag.Uint64("seed", 0, "`number` from which scenarios make their choices; 0: a new one each")
	long = flag.Bool("long", false, "run the long scenarios too")
	rows = flag.String("rows", "", "`file` to which every scenario appends its row")
)

func TestMain(m *testing.M) { os.Exit(fanfaretest.Main(m)) }

// begin starts a scenario's world. Its choices come from -seed.
func begin(t *testing.T, p faults.Plan) *faults.World {
	t.Helper()
	if p.Seed = *seed; p.Seed == 0 {
		p.Seed = 1 + rand.Uint64N(999_999)
	}
	return faults.Begin(t, p)
}

// end judges a scenario in which loss may be told (gaps), or must not be (noGaps).
func end(t *testing.T, w *faults.World, gapsMayBe bool) faults.Row {
	t.Helper()
	row := w.End(gapsMayBe)
	row.Scenario = sentence(t.Name())
	if *rows != "" && !t.Failed() {
		if err := row.Append(*rows); err != nil {
			t.Error(err)
		}
	}
	return row
}

const (
	gaps   = true
	noGaps = false
)

// names are words that a test's name cannot spell, and how they are written.
var names = strings.NewReplacer("redis", "Redis", "sentinel", "Sentinel", "sigkill", "SIGKILL", "pubsub", "pub/sub", "append only", "append-only",
	"read only", "read-only", "half open", "half-open", "ack replicas", "`--ack-replicas`", "client output buffer limit", "`client-output-buffer-limit`")

// sentence makes words of a test's name.
func sentence(name string) string {
	var words []string
	begin, number := 0, false
	name = strings.TrimPrefix(name, "Test")
	for i, r := range name {
		if digit := unicode.IsDigit(r); i > 0 && (unicode.IsUpper(r) || digit != number) {
			words = append(words, strings.ToLower(name[begin:i]))
			begin, number = i, digit
		} else {
			number = digit
		}
	}
	words = append(words, strings.ToLower(name[begin:]))
	out := names.Replace(strings.Join(words, " "))
	return strings.ToUpper(out[:1]) + out[1:]
}

func TestAScenarioIsNamedAsASentence(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"TestRedisPausedFor10s":                         "Redis paused for 10 s",
		"TestPubsubConnectionsKilled":                   "Pub/sub connections killed",
		"TestSubscriberCutOffByClientOutputBufferLimit": "Subscriber cut off by `client-output-buffer-limit`",
		"TestCursorsThatNoRoomHas":                      "Cursors that no room has",
	} {
		if got := sentence(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// onlyLong skips a long scenario in a short run.
func onlyLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("a long scenario: test/faults/run --long")
	}
}

// urls is a Redis' URL for each of n instances.
func urls(n int, url string) (all []string) {
	for range n {
		all = append(all, url)
	}
	return all
}
