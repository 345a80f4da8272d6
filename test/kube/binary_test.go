package kube

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var tempDir string // of this run; static after TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fanfare-kube")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	tempDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// binary is cmd/fanfare of this tree, built once.
var binary = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("go", "build", "-o", tempDir, "./cmd/fanfare")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return filepath.Join(tempDir, "fanfare"), nil
})

func built(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// flags are those that fanfare serve --help names.
func flags(t *testing.T) (names []string) {
	t.Helper()
	out, err := exec.Command(built(t), "serve", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^  --([a-z-]+)`).FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	if len(names) < 30 {
		t.Fatalf("only %v in\n%s", names, out)
	}
	return names
}

// chartsOwn are the options that a values file cannot give in config, since the chart does.
var chartsOwn = []string{
	"api-key", "config", "drain", "drain-delay", "jwt-key", "jwt-key-file", "listen", "name", "ops", "redis", "tls-cert", "tls-key",
}

// A new flag of fanfare serve is an option of the chart as well, or one that the chart sets itself.
func TestTheSchemaKnowsEveryOption(t *testing.T) {
	b, err := os.ReadFile(chartDir + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Config struct {
				Properties           map[string]any
				AdditionalProperties *bool
			}
		}
	}
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	config := schema.Properties.Config
	if config.AdditionalProperties == nil || *config.AdditionalProperties {
		t.Error("the schema takes unknown options")
	}
	known := flags(t)
	for _, name := range known {
		_, there := config.Properties[name]
		if own := slices.Contains(chartsOwn, name); own == there {
			t.Errorf("--%s: in config of values.schema.json %v, set by the chart %v: want one of them", name, there, own)
		}
	}
	for name := range config.Properties {
		if !slices.Contains(known, name) && name != "rooms" { // rooms are for the file alone
			t.Errorf("config.%s in values.schema.json is no flag of fanfare serve", name)
		}
	}
}

// What the schema lets be chosen from is what the binary chooses from. It says so itself, when it is
// given something else.
func TestTheSchemaHasTheBinarysChoices(t *testing.T) {
	wants := regexp.MustCompile(`--([a-z-]+) "none-of-them": want ([a-z_]+(?: or [a-z_]+)*)`)
	seen := 0
	for _, name := range flags(t) {
		out, _ := exec.Command(built(t), "serve", "--"+name+"=none-of-them", "--history=-1").CombinedOutput() // ends in any case
		m := wants.FindStringSubmatch(string(out))
		if m == nil || m[1] != name {
			continue
		}
		seen++
		for _, choice := range append(strings.Split(m[2], " or "), "none-of-them") {
			doc := "config: {" + name + ": " + choice + "}"
			if name == "serve" {
				doc = "config: {serve: [" + choice + "]}"
			}
			_, err := render(loadChart(t), values(t, doc))
			refused := err != nil && strings.Contains(err.Error(), "/config/"+name)
			if refused != (choice == "none-of-them") {
				t.Errorf("%s: %v", doc, err)
			}
		}
	}
	if seen < 7 {
		t.Errorf("only %d flags told what they want", seen)
	}
}

// All that the chart hands to the binary are options that it has.
func TestTheChartSetsOnlyOptionsThatThereAre(t *testing.T) {
	known := flags(t)
	for name, doc := range examples(t) {
		w := mustRender(t, doc)
		_, c := w.gateway(t)
		if len(c.Command) != 0 || c.Args[0] != "serve" {
			t.Errorf("%s: runs %v %v", name, c.Command, c.Args)
		}
		for _, a := range c.Args[1:] {
			flag, _, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
			if !slices.Contains(known, flag) {
				t.Errorf("%s: argument %s", name, a)
			}
		}
		for _, e := range c.Env {
			option, ours := strings.CutPrefix(e.Name, "FANFARE_")
			if ours && !slices.Contains(known, strings.ReplaceAll(strings.ToLower(option), "_", "-")) {
				t.Errorf("%s: variable %s", name, e.Name)
			}
		}
		for option := range w.config(t) {
			if !slices.Contains(known, option) && option != "rooms" {
				t.Errorf("%s: option %s", name, option)
			}
		}
		if cfg := w.config(t); cfg["listen"] != ":8080" || cfg["ops"] != ":9090" || c.Ports[0].ContainerPort != 8080 || c.Ports[1].ContainerPort != 9090 {
			t.Errorf("%s: listens at %v and %v, ports %v", name, cfg["listen"], cfg["ops"], c.Ports)
		}
	}
}
