// Package browser tests the demo page in a real browser, headless Chromium, against real gateways. What
// drives the browser is for other tests too.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browserEnv is the environment variable that may name the browser.
const browserEnv = "FANFARE_TEST_BROWSER"

// Start runs a browser until the test ends and returns a context of chromedp for tabs. Without a browser the test fails.
func Start(t *testing.T) context.Context {
	t.Helper()
	path := os.Getenv(browserEnv)
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	if path == "" {
		t.Fatalf("this test needs Chromium: install it (Debian: chromium) or name one in %s", browserEnv)
	}
	// A directory of our own rather than t.TempDir: the browser may write while it ends.
	profile, err := os.MkdirTemp("", "fanfare-browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	// The list has headless, no-first-run, disable-background-networking and disable-sync.
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.NoSandbox, // tests may run as root in a container
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1100, 750),
		chromedp.WSURLReadTimeout(time.Minute),
	)
	ctx, cancelTimeout := context.WithTimeout(context.Background(), 3*time.Minute)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	ctx, cancel := chromedp.NewContext(ctx)
	t.Cleanup(func() { cancel(); cancelAllocator(); cancelTimeout() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

// Tab is one open page. What the page writes to the console as an error fails the test.
type Tab struct {
	t     *testing.T
	ctx   context.Context
	close context.CancelFunc
}

// Close closes the tab.
func (p *Tab) Close() { p.close() }

// Open opens a page in a new tab.
func Open(t *testing.T, browser context.Context, url string) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	p := &Tab{t: t, ctx: ctx, close: cancel}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	messages := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			// That a gateway is away is what some tests are about.
			if text := fmt.Sprint(m); (m.IsException() || fmt.Sprint(m.Type) == "error") && !strings.Contains(text, "WebSocket connection to") {
				t.Errorf("console of %s: %s", url, text)
			}
		}
	})
	t.Cleanup(func() { cancel(); reading.Wait() })
	p.Do(chromedp.Navigate(url))
	return p
}

// Do carries out actions; the test ends when one cannot be.
func (p *Tab) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// Await waits until some element that matches the selector contains the text.
func (p *Tab) Await(selector, text string) {
	p.t.Helper()
	_, err := chromedp.Run(p.ctx, chromedp.PollFunction[bool](
		`(selector, text) => [...document.querySelectorAll(selector)].some((e) => e.textContent.includes(text))`,
		chromedp.WithPollingArgs(selector, text),
		chromedp.WithPollingInterval(50*time.Millisecond), // not by frames: a hidden tab draws none
		chromedp.WithPollingTimeout(20*time.Second)))
	if err != nil {
		p.t.Fatalf("waiting for %q in %s: %v\nthe page shows: %s", text, selector, err, p.Text("body"))
	}
}

// Count of the elements that match the selector and contain the text.
func (p *Tab) Count(selector, text string) int {
	p.t.Helper()
	n, err := chromedp.Run(p.ctx, chromedp.Evaluate[int](fmt.Sprintf(
		`[...document.querySelectorAll(%q)].filter((e) => e.textContent.includes(%q)).length`, selector, text)))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// Text is what an element shows.
func (p *Tab) Text(selector string) string {
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q).innerText`, selector)))
	if err != nil {
		return err.Error()
	}
	return text
}

// Say types a message and presses Enter.
func (p *Tab) Say(text string) {
	p.t.Helper()
	p.Do(chromedp.SendKeys("#text", text+"\n"))
}
