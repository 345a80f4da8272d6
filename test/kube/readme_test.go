package kube

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(chartDir + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lookup finds a value by its path, such as drain.seconds.
func lookup(in map[string]any, path string) (any, bool) {
	var v any = in
	for part := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[part]; !ok {
			return nil, false
		}
	}
	return v, true
}

func TestTheTableHasTheDefaults(t *testing.T) {
	_, table, ok := strings.Cut(readme(t), "<!-- values -->\n")
	table, _, closed := strings.Cut(table, "<!-- /values -->")
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| .*\\|$").FindAllStringSubmatch(table, -1)
	if !ok || !closed || len(rows) != strings.Count(table, "\n")-2 || len(rows) < 20 {
		t.Fatalf("%d rows in\n%s", len(rows), table)
	}
	defaults := loadChart(t).Values
	for _, row := range rows {
		var want any
		if err := yaml.Unmarshal([]byte(row[2]), &want); err != nil {
			t.Errorf("%s: %v", row[1], err)
		}
		if got, there := lookup(defaults, row[1]); !there || !equal(t, got, want) {
			t.Errorf("%s is %v, the table has %v", row[1], got, want)
		}
	}
}

func equal(t *testing.T, a, b any) bool { // whatever kind of number they have
	t.Helper()
	same := func(v any) (out any) {
		b, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(b, &out)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	return reflect.DeepEqual(same(a), same(b))
}

// Whatever looks like a value in the pages, in backticks, is one.
func TestThePagesNameOnlyValuesThatThereAre(t *testing.T) {
	defaults := loadChart(t).Values
	known := flags(t)
	notes, err := os.ReadFile(chartDir + "/templates/NOTES.txt")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-zA-Z]+(?:\\.[a-zA-Z-]+)+)(?:: [^`]*)?`").FindAllStringSubmatch(readme(t), -1)
	named = append(named, regexp.MustCompile(`\b((?:networkPolicy|config|redis|secrets)\.[a-zA-Z-]+)(?: is | names | has |\.|$)`).FindAllStringSubmatch(string(notes), -1)...)
	found := 0
	for _, m := range named {
		path := m[1]
		head, option, _ := strings.Cut(path, ".")
		if _, ours := defaults[head]; !ours || strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".io") {
			continue
		}
		found++
		if _, there := lookup(defaults, path); there {
			continue
		}
		if head == "config" && strings.Contains(" "+strings.Join(known, " ")+" ", " "+option+" ") {
			continue
		}
		t.Errorf("%s is no value", path)
	}
	if found < 40 {
		t.Errorf("only %d values are named", found)
	}
}

func TestThePagesNameFilesThatThereAre(t *testing.T) {
	for _, m := range regexp.MustCompile("(?:`|-f )((?:deploy|examples)/[a-zA-Z/.-]+)").FindAllStringSubmatch(readme(t), -1) {
		path := m[1]
		if strings.HasPrefix(path, "examples/") {
			path = "deploy/helm/fanfare/" + path
		}
		if path == "deploy/Dockerfile" { // is tested by what builds it
			continue
		}
		if _, err := os.Stat(root + "/" + path); err != nil {
			t.Error(err)
		}
	}
}
