package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/pubsub"
)

func TestRoomsOfTheFile(t *testing.T) {
	read := func(text string) (options, error) {
		path := filepath.Join(t.TempDir(), "fanfare.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var o options
		err := o.read([]string{"--config", path}, nil, nil)
		return o, err
	}
	o, err := read("history: 5\nrooms:\n  - {match: \"news.*\", history: 1000, ttl: 1h}\n  - {match: \"cursor.*\", history: 0}\n")
	if err != nil {
		t.Fatal(err)
	}
	want := pubsub.Retentions{{Match: "news.*", History: 1000, TTL: time.Hour}, {Match: "cursor.*"}}
	if d := cmp.Diff(want, o.Rooms); d != "" || o.History != 5 {
		t.Errorf("history %d, rooms (-want +got):\n%s", o.History, d)
	}
	for text, want := range map[string]string{
		"rooms: 5":                                "want a list",
		"rooms: [5]":                              "want match, history",
		"rooms: [{history: 5}]":                   "match is missing",
		"rooms: [{match: a}]":                     "history is missing",
		"rooms: [{match: a, history: -1}]":        "history \"-1\"",
		"rooms: [{match: a, history: 1, ttl: 3}]": "ttl \"3\"",
		"rooms: [{match: a, history: 1, x: 3}]":   "unknown key \"x\"",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %s", text, err, want)
		}
	}
}
