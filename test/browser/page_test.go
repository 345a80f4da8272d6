package browser

import (
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/fanfare-ws/fanfare/test/fanfaretest"
	"github.com/fanfare-ws/fanfare/test/redistest"
)

func TestMain(m *testing.M) { os.Exit(fanfaretest.Main(m)) }

func TestTwoTabsOnTwoInstancesAreOneRoom(t *testing.T) {
	redis := redistest.Start(t)
	prefix := fmt.Sprintf("browser%d", time.Now().UnixNano()) // the Redis may be shared
	instance := func(name string, more ...string) *fanfaretest.Process {
		return fanfaretest.Start(t, append([]string{"--redis", redis.URL, "--redis-prefix", prefix, "--name", name}, more...)...)
	}
	a, b := instance("a"), instance("b")
	chat(t, a.PageURL, b.PageURL, b.Kill, func() { instance("b", "--listen", host(t, b.PageURL)) })
}

// chat is a conversation between a tab at instance a and one at instance b, during which b crashes
// and comes back.
func chat(t *testing.T, pageA, pageB string, crash, restart func()) {
	browser := startBrowser(t)

	// Alice enters through the form, Bob by a link.
	alice := openTab(t, browser, pageA)
	alice.do(
		chromedp.SetValue("#name", "alice"),
		chromedp.SendKeys("#room", "\n"),
	)
	alice.await("#log .event", "You joined on instance a.")
	bob := openTab(t, browser, pageB+"?name=bob&room=chat")
	bob.await("#log .event", "You joined on instance b.")
	alice.await("#state", "connected")
	bob.await("#state", "connected")
	alice.await("#instance", "a")
	bob.await("#instance", "b")

	// Each knows the other.
	alice.await("#log .event", "bob joined.")
	alice.await("#roster li", "bobon b")
	bob.await("#roster li", "aliceon a")
	alice.await("#count", "2")

	// Each sees what the other says, once, as text whatever it holds.
	alice.say("hello <img src=x onerror=alert(1)> <b>bold</b>")
	bob.await(".message .body", "hello <img src=x onerror=alert(1)> <b>bold</b>")
	bob.say("hello yourself")
	alice.await(".message .body", "hello yourself")
	alice.await(".message .who", "bob")
	alice.await(".message.own .body", "hello <img")
	alice.await("#ack", "ms")
	if n := bob.count(".message .body *", ""); n != 0 {
		t.Errorf("%d elements were made from a message", n)
	}
	for _, p := range []*tab{alice, bob} {
		if n := p.count(".message .body", "hello "); n != 2 {
			t.Errorf("%d messages are shown, not 2", n)
		}
	}

	// Instance b crashes: Bob's tab says so, offers to try at once, and comes back by itself.
	crash()
	bob.await("#log .event", "Connection to instance b lost.")
	bob.await("#state", "connect") // "connection lost" or "reconnecting"
	restart()
	bob.await("#log .event", "Back on instance b.")
	bob.await("#state", "connected")
	alice.say("are you back?")
	bob.await(".message .body", "are you back?")
	bob.say("I am")
	alice.await(".message .body", "I am")
	if n := bob.count(".message .body", "are you back?"); n != 1 {
		t.Errorf("a message after the reconnect is shown %d times", n)
	}

	// Bob's tab is closed.
	bob.close()
	alice.await("#log .event", "bob left.")
	alice.await("#count", "1")
}

func host(t *testing.T, pageURL string) string {
	t.Helper()
	u, err := url.Parse(pageURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
