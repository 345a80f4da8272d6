package browser

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/fanfare-ws/fanfare/test/fanfaretest"
)

// metric is the value of a metric without labels.
func metric(t *testing.T, p *fanfaretest.Process, name string) float64 {
	t.Helper()
	r, err := http.Get(p.OpsURL + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// A browser negotiates compression by itself; neither it nor the page is told of it here.
func TestABrowserCompresses(t *testing.T) {
	a := fanfaretest.Start(t, "--compression", "deflate")
	chromium := Start(t)
	alice, bob := Open(t, chromium, a.PageURL+"?name=alice&room=chat"), Open(t, chromium, a.PageURL+"?name=bob&room=chat")
	alice.Await("#roster li", "bob")
	bob.Await("#roster li", "alice")
	if n := metric(t, a, "fanfare_sockets_compressed_total"); n != 2 {
		t.Errorf("%v sockets negotiated compression", n)
	}
	in, out := metric(t, a, "fanfare_received_bytes_total"), metric(t, a, "fanfare_sent_bytes_total")
	long := strings.Repeat("the same again and again, ", 150)
	alice.Do(chromedp.SetValue("#text", long), chromedp.SendKeys("#text", "\n"))
	for _, p := range []*Tab{alice, bob} {
		p.Await(".message .body", strings.TrimSpace(long))
	}
	in, out = metric(t, a, "fanfare_received_bytes_total")-in, metric(t, a, "fanfare_sent_bytes_total")-out
	if size := float64(len(long)); in > size/2 || out > size/2 {
		t.Errorf("a message of %v bytes took %v bytes in, and %v out to two tabs", size, in, out)
	}
}
