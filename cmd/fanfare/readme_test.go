package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// documents are the repository's own pages, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	paths := []string{"README.md", "ARCHITECTURE.md", "CHANGELOG.md"}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range found {
			paths = append(paths, strings.TrimPrefix(filepath.ToSlash(p), root+"/"))
		}
	}
	all := make(map[string]string)
	for _, p := range paths {
		b, err := os.ReadFile(filepath.Join(root, p))
		if err != nil {
			t.Fatal(err)
		}
		all[p] = string(b)
	}
	return all
}

var flagRow = regexp.MustCompile("^\\| `--([a-z-]+)` \\| (.+?) \\| .+ \\|$")

// The table in README.md is written by hand, since it is for people; this holds it to the code. A
// default in backticks is to be read as the flag's; other words stand for no default, and for that
// of --max-sockets, which depends on the machine.
func TestTheReadmeHasEveryFlagWithItsDefault(t *testing.T) {
	_, table, ok := strings.Cut(documents(t)["README.md"], "<!-- flags -->\n")
	table, _, closed := strings.Cut(table, "<!-- /flags -->")
	if !ok || !closed {
		t.Fatal("README.md has no <!-- flags --> … <!-- /flags -->")
	}
	fs := new(options).flags()
	seen := make(map[string]bool)
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[2:] { // below the heading
		row := flagRow.FindStringSubmatch(line)
		if row == nil {
			t.Errorf("this is no row of a flag: %s", line)
			continue
		}
		name, text := row[1], row[2]
		f := fs.Lookup(name)
		if f == nil || seen[name] {
			t.Errorf("--%s is no flag, or is there twice", name)
			continue
		}
		seen[name] = true
		value, quoted := strings.CutPrefix(text, "`")
		switch {
		case name == "max-sockets":
			if quoted || !strings.Contains(text, "RLIMIT_NOFILE") {
				t.Errorf("--%s: the default depends on the machine: want it said, got %s", name, text)
			}
		case !quoted:
			if f.DefValue != "" {
				t.Errorf("--%s: the default is %s, the README has %s", name, f.DefValue, text)
			}
		default:
			other := new(options).flags().Lookup(name).Value // 10m is 10m0s
			if err := other.Set(strings.TrimSuffix(value, "`")); err != nil || other.String() != f.DefValue {
				t.Errorf("--%s: the default is %s, the README has %s", name, f.DefValue, text)
			}
		}
	}
	fs.VisitAll(func(f *flag.Flag) {
		if !seen[f.Name] {
			t.Errorf("--%s has no row", f.Name)
		}
	})
}

func TestTheDocumentsNameOnlyFlagsThatThereAre(t *testing.T) {
	known := map[string]bool{"help": true}
	// Of test/faults/run, test/bench/run, docker compose, redis-cli.
	for _, other := range []string{"long", "table", "from", "build", "wait", "scale", "no-recreate", "bigkeys"} {
		known[other] = true
	}
	new(options).flags().VisitAll(func(f *flag.Flag) { known[f.Name] = true })
	for _, command := range []string{"health", "token", "publish", "tail", "bench"} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{command, "--help"}, &out, &out); err != nil && !errors.Is(err, flag.ErrHelp) {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^  --?([a-z-]+)`).FindAllStringSubmatch(out.String(), -1) {
			known[m[1]] = true
		}
	}
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^|[ `(\"])--([a-z][a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				t.Errorf("%s names --%s, which is no flag", path, m[1])
			}
		}
	}
}

func TestTheDocumentsLinkToWhatThereIs(t *testing.T) {
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || target == "" {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
	}
}

// A place in the code is written `gateway/hub.go:Deliver`.
func TestTheDocumentsNameFunctionsThatThereAre(t *testing.T) {
	found := 0
	for path, text := range documents(t) {
		for _, m := range regexp.MustCompile("`([a-z][a-z0-9_]*/[a-z0-9_/]+\\.(?:go|lua|js))(?::([A-Za-z]+))?`").FindAllStringSubmatch(text, -1) {
			found++
			b, err := os.ReadFile(filepath.Join(root, m[1]))
			if err != nil {
				t.Errorf("%s names %s: %v", path, m[1], err)
				continue
			}
			if m[2] != "" && !regexp.MustCompile(`(?m)^func (\([^)]*\) )?`+m[2]+`[\[(]`).Match(b) {
				t.Errorf("%s names %s in %s, which has no such function", path, m[2], m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no place in the code is named anywhere")
	}
}
