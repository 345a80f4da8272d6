package pubsub_test

import (
	"testing"

	"github.com/fanfare-ws/fanfare/pubsub"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"*", "x.y", true},
		{"news.*", "news.", true}, {"news.*", "news.a.b", true}, {"news.*", "new", false},
		{"*.eu", "a.eu", true}, {"*.eu", ".eu.x", false}, {"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxcyyb", false}, {"a*a", "a", false}, {"", "", true}, {"", "a", false},
	} {
		if got := pubsub.Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestTheFirstRetentionThatMatchesCounts(t *testing.T) {
	rs := pubsub.Retentions{{Match: "cursor.*"}, {Match: "*", History: 7}}
	if got := rs.For("cursor.1").History; got != 0 {
		t.Errorf("cursor.1 keeps %d messages, want none", got)
	}
	if got := rs.For("chat").History; got != 7 {
		t.Errorf("chat keeps %d messages, want 7", got)
	}
}
