package faults_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

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
	if *rows != "" {
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

// sentence makes words of a test's name.
func sentence(name string) string {
	var out strings.Builder
	for i, r := range strings.TrimPrefix(name, "Test") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			out.WriteByte(' ')
		}
		if i > 0 {
			out.WriteString(strings.ToLower(string(r)))
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
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
