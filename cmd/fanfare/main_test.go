package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-ws/fanfare/auth"
)

// fanfare carries out a command line and returns what it printed.
func fanfare(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out bytes.Buffer
	err = run(ctx, args, &out, io.Discard)
	return out.String(), err
}

// serving runs a gateway on free ports until the test ends, and returns its URLs by the words before
// them: page, socket, ops. The test fails unless it then ends without an error.
func serving(t *testing.T, args ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--log-level", "error"}, args...)
		err := run(ctx, args, stdout, os.Stderr)
		stdout.CloseWithError(err)
		done <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	urls := make(map[string]string)
	lines := bufio.NewScanner(out)
	for urls["ops"] == "" && lines.Scan() { // the last one printed
		if words := strings.Fields(lines.Text()); len(words) == 2 {
			urls[words[0]] = words[1]
		}
	}
	if err := lines.Err(); err != nil || urls["ops"] == "" {
		t.Fatalf("no URLs: %v", err)
	}
	return urls
}

func TestServeSaysWhereToLookAtWhatIsOn(t *testing.T) {
	urls := serving(t)
	if !strings.HasPrefix(urls["page"], "http://127.0.0.1:") || !strings.HasSuffix(urls["socket"], "/ws") {
		t.Errorf("got %v", urls)
	}
	urls = serving(t, "--serve", "echo")
	if urls["page"] != "" || !strings.HasSuffix(urls["socket"], "/ws/echo") {
		t.Errorf("with --serve echo got %v", urls)
	}
}

func TestServeReportsWhatCannotBe(t *testing.T) {
	for want, args := range map[string][]string{
		"--listen: ":      {"--listen", "127.0.0.1:nope"},
		"--ops: ":         {"--listen", "127.0.0.1:0", "--ops", "127.0.0.1:nope"},
		"--tls-cert: ":    {"--tls-cert", "no-such.pem", "--tls-key", "no-such.pem"},
		"redis://":        {"--redis", "http://localhost"},
		"no-such-key":     {"--auth", "jwt", "--jwt-key-file", "no-such-key"},
		"app.example":     {"--origins", "app.example"},
		"--slow \"drop\"": {"--slow", "drop"},
	} {
		if _, err := fanfare(t, append([]string{"serve"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("serve %v: got %v, want it to say %q", args, err, want)
		}
	}
}

func TestATokenThatIsMintedIsAccepted(t *testing.T) {
	const key = "a secret of at least thirty-two bytes"
	out, err := fanfare(t, "token", "--user", "alice", "--jwt-key", key, "--room", "team-*=join,publish", "--room", "news=join", "--jwt-audience", "a", "--jwt-issuer", "i", "--ttl", "5m")
	if err != nil {
		t.Fatal(err)
	}
	j, err := auth.NewJWT(auth.JWTConfig{Key: key, Audience: "a", Issuer: "i"})
	if err != nil {
		t.Fatal(err)
	}
	who, err := j.Authenticate(t.Context(), auth.Credential{Token: strings.TrimSuffix(out, "\n")})
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(who.Expires); who.User != "alice" || left < 4*time.Minute || left > 6*time.Minute {
		t.Errorf("user %q with %v left, want alice with 5m", who.User, left)
	}
	if p := who.Permissions; !p.Allow("team-a", auth.Join|auth.Publish) || !p.Allow("news", auth.Join) || p.Allow("news", auth.Publish) || p.Allow("x", auth.Join) {
		t.Errorf("permissions are %v", p)
	}
}

func TestTheKeyOfATokenMayBeInTheEnvironmentAndIsNeverShown(t *testing.T) {
	t.Setenv("FANFARE_JWT_KEY", "do-not-show-me")
	if out, err := fanfare(t, "token", "--user", "alice"); err != nil || strings.Count(out, ".") != 2 {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := fanfare(t, "token", "--help"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "--jwt-key secret") || strings.Contains(out, "do-not-show-me") {
		t.Errorf("help is %q, %v", out, err)
	}
}

func TestCommandsSayWhatTheyNeed(t *testing.T) {
	for want, args := range map[string][]string{
		"--jwt-key or --jwt-key-file is needed":         {"token", "--user", "alice"},
		`unexpected argument "alice"`:                   {"token", "alice"},
		"minting a token: ":                             {"token", "--jwt-key", "k"},
		`invalid value "x" for flag -ttl`:               {"token", "--ttl", "x"},
		"one message is needed, after the flags, not 0": {"publish"},
		"one message is needed, after the flags, not 3": {"publish", "hello", "--room", "x"},
		"give one of them":                              {"publish", "--room", "r", "--user", "u", "x"},
		"see fanfare tail --help":                       {"tail", "--rooms", "x"},
		`unknown command "bnech"`:                       {"bnech"},
	} {
		if _, err := fanfare(t, args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("fanfare %v: got %v, want it to say %q", args, err, want)
		}
	}
}

func TestTailPrintsWhatIsPublished(t *testing.T) {
	urls := serving(t, "--api-key", "sesame", "--name", "here")
	t.Setenv("FANFARE_API_KEY", "sesame")

	ctx, stop := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	joined, stderr := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"tail", "--url", urls["socket"], "--token", "alice", "news"}, stdout, stderr)
	}()
	if line, err := bufio.NewReader(joined).ReadString('\n'); line != "joined news\n" {
		t.Fatalf("tail says %q, %v", line, err)
	}
	lines := bufio.NewReader(out)
	for _, c := range []struct{ args, answer, line string }{
		{`--room news {"a":"<b>"}`, `{"offset":1}`, `{"room":"news","offset":1,"data":{"a":"<b>"}}`},
		{`--room news plain`, `{"offset":2}`, `{"room":"news","offset":2,"data":"plain"}`},
		{`--user alice 5`, `{"instances":1}`, `{"data":5}`},
	} {
		ops := strings.TrimPrefix(urls["ops"], "http://") // both forms are taken
		answer, err := fanfare(t, append([]string{"publish", "--ops", ops}, strings.Fields(c.args)...)...)
		if err != nil || answer != c.answer+"\n" {
			t.Errorf("publish %s: %q, %v; want %s", c.args, answer, err, c.answer)
		}
		if line, err := lines.ReadString('\n'); line != c.line+"\n" {
			t.Errorf("tail printed %q, %v; want %s", line, err, c.line)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("tail, interrupted: %v", err)
	}

	if _, err := fanfare(t, "publish", "--ops", urls["ops"], "--api-key", "wrong", "x"); err == nil || !strings.HasPrefix(err.Error(), "401 Unauthorized: ") {
		t.Errorf("a wrong key: %v", err)
	}
}

func TestTailTellsThatItsTokenIsRefused(t *testing.T) {
	urls := serving(t, "--auth", "jwt", "--jwt-key", "a secret of at least thirty-two bytes")
	if _, err := fanfare(t, "tail", "--url", urls["socket"], "--token", "alice"); err == nil || !strings.Contains(err.Error(), "1008") {
		t.Errorf("got %v, want the close code 1008", err)
	}
}

func TestVersionAndHelp(t *testing.T) {
	if out, err := fanfare(t, "version"); err != nil || !strings.HasPrefix(out, "fanfare ") || strings.Count(out, "\n") != 1 {
		t.Errorf("version is %q, %v", out, err)
	}
	if out, err := fanfare(t, "help"); err != nil || out != usage {
		t.Errorf("help is %q, %v", out, err)
	}
	for _, command := range []string{"serve", "config", "health", "token", "publish", "tail"} {
		out, err := fanfare(t, command, "--help")
		if !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "fanfare "+command) || !strings.Contains(out, "  --") {
			t.Errorf("%s --help is %q, %v", command, out, err)
		}
	}
}
