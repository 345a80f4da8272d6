// Package test holds what is true of the repository as a whole.
package test

import (
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/fanfare-ws/fanfare"

type pkg struct {
	ImportPath                         string
	Doc                                string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) (all []pkg) {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,GoFiles,Imports,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below reports whether an import path is one of these packages or below one.
func below(path string, roots ...string) bool {
	for _, r := range roots {
		if path == r || strings.HasPrefix(path, r+"/") {
			return true
		}
	}
	return false
}

func TestArrowsRunOneWay(t *testing.T) {
	in := func(parts ...string) (out []string) {
		for _, p := range parts {
			out = append(out, module+"/"+p)
		}
		return out
	}
	rules := []struct {
		what    string   // an import
		allowed []string // only below these
	}{
		{"github.com/gobwas/ws", in("gateway", "client", "cmd/fanfare/bench", "test")},
		{"github.com/redis/go-redis/v9", in("pubsub/redis", "test")},
		{"github.com/testcontainers/testcontainers-go", in("test")},
		{"github.com/chromedp/chromedp", in("test")},
		{module + "/cmd", in("cmd", "test")},
		{module + "/gateway", in("gateway", "cmd", "test")},
		{module + "/test", in("test", "pubsub", "gateway", "cmd", "client")},
	}
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			for _, r := range rules {
				if below(imp, r.what) && !below(p.ImportPath, r.allowed...) {
					t.Errorf("%s imports %s, which is only for %v", p.ImportPath, imp, r.allowed)
				}
			}
			switch {
			case below(p.ImportPath, module+"/auth") && below(imp, module):
				t.Errorf("%s imports %s: auth imports nothing of ours", p.ImportPath, imp)
			case below(p.ImportPath, module+"/pubsub") && below(imp, module) && !below(imp, module+"/pubsub"):
				if !below(p.ImportPath, module+"/pubsub/pubsubtest") {
					t.Errorf("%s imports %s: pubsub imports nothing of ours", p.ImportPath, imp)
				}
			case below(imp, module+"/test") && !below(p.ImportPath, module+"/test"):
				t.Errorf("%s imports %s outside of its tests", p.ImportPath, imp)
			case p.ImportPath == module+"/gateway/frame" && below(imp, module):
				t.Errorf("%s imports %s: frame stands alone", p.ImportPath, imp)
			case below(p.ImportPath, module+"/gateway/loop") && below(imp, module+"/gateway/protocol", module+"/pubsub/redis", module+"/pubsub/memory"):
				t.Errorf("%s imports %s: the loop knows no protocol and no broker", p.ImportPath, imp)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package doc", p.ImportPath)
		}
	}
}
