package auth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAllow(t *testing.T) {
	team := Permissions{{"team-*", Join | History}, {"team-a*", Publish}, {"lobby", Join}}
	for _, c := range []struct {
		p    Permissions
		room string
		a    Action
		want bool
	}{
		{nil, "any", Join | Publish | History, true},
		{Permissions{}, "any", Join, false},
		{team, "team-x", Join, true},
		{team, "team-x", Publish, false},
		{team, "team-abc", Publish, true},
		{team, "team-abc", Join | Publish | History, true}, // rules add up
		{team, "team-x", Join | Publish, false},
		{team, "lobby", Join, true},
		{team, "lobby", History, false},
		{team, "lobby2", Join, false},
		{team, "xteam-a", Join, false},
		{team, "Team-a", Join, false},
		{team, "", Join, false},
		{Permissions{{"*", Publish}}, "", Publish, true},
		{Permissions{{"*", 0}}, "a", Publish, false},
	} {
		if got := c.p.Allow(c.room, c.a); got != c.want {
			t.Errorf("%v of %q by %v: %v", c.a, c.room, c.p, got)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "x.y", true},
		{"news.*", "news.", true}, {"news.*", "news.a.b", true}, {"news.*", "new", false},
		{"*.eu", "a.eu", true}, {"*.eu", ".eu.x", false}, {"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxcyyb", false}, {"a*a", "a", false}, {"", "", true}, {"", "a", false},
		{"**", "a", true}, {"a**b", "ab", true}, {"*a*", "bab", true}, {"*a*", "bbb", false},
		{"*ab", "aab", true}, {"a*", "*", false}, {"*\n*", "a\nb", true}, {"?", "a", false},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestParseRule(t *testing.T) {
	for s, want := range map[string]Rule{
		"team-*=join,publish":   {"team-*", Join | Publish},
		"a=b=history":           {"a=b", History},
		"*=join, publish, join": {"*", Join | Publish},
	} {
		if got, err := ParseRule(s); err != nil || got != want {
			t.Errorf("%q gives %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "team-*", "=join", "a=", "a=Join", "a=join,", "a=write", strings.Repeat("a", maxMatch+1) + "=join"} {
		if r, err := ParseRule(s); err == nil {
			t.Errorf("%q gives %+v", s, r)
		}
	}
}

func TestPermissionsKeepTheirShapeInJSON(t *testing.T) {
	for s, p := range map[string]Permissions{
		`[]`:                                  {},
		`[{"match":"team-*","can":["join"]}]`: {{"team-*", Join}},
		`[{"match":"a","can":[]}]`:            {{"a", 0}},
		`[{"match":"*","can":["join","publish","history"]},{"match":"b","can":["history"]}]`: {{"*", Join | Publish | History}, {"b", History}},
	} {
		var got Permissions
		if err := json.Unmarshal([]byte(s), &got); err != nil || got == nil || !cmp.Equal(got, p) {
			t.Errorf("%s gives %v, %v", s, got, err)
		}
		if b, err := json.Marshal(p); err != nil || string(b) != s {
			t.Errorf("%v gives %s, %v", p, b, err)
		}
	}
}

// Malformed permissions, none of which may end as nil: that allows everything.
var malformedRooms = []string{
	`null`, `"*"`, `{}`, `{"match":"*","can":["join"]}`, `true`, `0`, `[null]`, `["*"]`, `[[]]`, `[{}]`,
	`[{"match":"a"}]`, `[{"can":["join"]}]`, `[{"match":"","can":["join"]}]`, `[{"match":null,"can":["join"]}]`,
	`[{"match":1,"can":["join"]}]`, `[{"match":"a","can":null}]`, `[{"match":"a","can":"join"}]`,
	`[{"match":"a","can":["write"]}]`, `[{"match":"a","can":["join","JOIN"]}]`, `[{"match":"a","can":[1]}]`,
	`[{"match":"a","can":["join"],"until":5}]`, `[{"match":"ok","can":["join"]},{"match":"a","can":["*"]}]`,
	`[{"match":"` + strings.Repeat("*a", maxMatch) + `","can":["join"]}]`,
}

func TestMalformedPermissionsAreRefused(t *testing.T) {
	for _, s := range malformedRooms {
		var p Permissions
		if err := json.Unmarshal([]byte(s), &p); err == nil {
			t.Errorf("%s gives %v", s, p)
		}
	}
}
