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
	browser := Start(t)

	// Alice enters through the form, Bob by a link.
	alice := Open(t, browser, pageA)
	alice.Do(
		chromedp.SetValue("#name", "alice"),
		chromedp.SendKeys("#room", "\n"),
	)
	alice.Await("#log .event", "You joined on instance a.")
	bob := Open(t, browser, pageB+"?name=bob&room=chat")
	bob.Await("#log .event", "You joined on instance b.")
	alice.Await("#state", "connected")
	bob.Await("#state", "connected")
	alice.Await("#instance", "a")
	bob.Await("#instance", "b")

	// Each knows the other.
	alice.Await("#log .event", "bob joined.")
	alice.Await("#roster li", "bobon b")
	bob.Await("#roster li", "aliceon a")
	alice.Await("#count", "2")

	// Each sees what the other says, once, as text whatever it holds.
	alice.Say("hello <img src=x onerror=alert(1)> <b>bold</b>")
	bob.Await(".message .body", "hello <img src=x onerror=alert(1)> <b>bold</b>")
	bob.Say("hello yourself")
	alice.Await(".message .body", "hello yourself")
	alice.Await(".message .who", "bob")
	alice.Await(".message.own .body", "hello <img")
	alice.Await("#ack", "ms")
	if n := bob.Count(".message .body *", ""); n != 0 {
		t.Errorf("%d elements were made from a message", n)
	}
	for _, p := range []*Tab{alice, bob} {
		if n := p.Count(".message .body", "hello "); n != 2 {
			t.Errorf("%d messages are shown, not 2", n)
		}
	}

	// Instance b crashes: Bob's tab says so, offers to try at once, and comes back by itself.
	crash()
	bob.Await("#log .event", "Connection to instance b lost.")
	bob.Await("#state", "connect") // "connection lost" or "reconnecting"
	restart()
	bob.Await("#log .event", "Back on instance b.")
	bob.Await("#state", "connected")
	alice.Say("are you back?")
	bob.Await(".message .body", "are you back?")
	bob.Say("I am")
	alice.Await(".message .body", "I am")
	if n := bob.Count(".message .body", "are you back?"); n != 1 {
		t.Errorf("a message after the reconnect is shown %d times", n)
	}

	// Bob's tab is closed.
	bob.Close()
	alice.Await("#log .event", "bob left.")
	alice.Await("#count", "1")
}

func host(t *testing.T, pageURL string) string {
	t.Helper()
	u, err := url.Parse(pageURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
