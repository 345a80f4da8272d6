package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Action is a set of things that can be done with a room.
type Action uint8

// The actions.
const (
	Join    Action = 1 << iota // become a member and receive what is published from then on
	Publish                    // send messages to it
	History                    // receive what was published before
)

var actionNames = [...]string{"join", "publish", "history"} // by bit

// ParseAction returns the action with that name: join, publish or history.
func ParseAction(name string) (Action, error) {
	for i, n := range actionNames {
		if n == name {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("unknown action %q: there are join, publish and history", name)
}

func (a Action) names() []string {
	names := make([]string, 0, len(actionNames))
	for i, n := range actionNames {
		if a&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// String returns the names, joined by commas.
func (a Action) String() string { return strings.Join(a.names(), ",") }

// MarshalJSON returns a list of names.
func (a Action) MarshalJSON() ([]byte, error) { return json.Marshal(a.names()) }

// UnmarshalJSON takes a list of names and refuses those it does not know.
func (a *Action) UnmarshalJSON(b []byte) error {
	var names []string
	if err := json.Unmarshal(b, &names); err != nil || names == nil {
		return errors.New("actions are not a list of names")
	}
	*a = 0
	for _, n := range names {
		one, err := ParseAction(n)
		if err != nil {
			return err
		}
		*a |= one
	}
	return nil
}

// maxMatch is the length of the longest pattern, in bytes, so that one check stays cheap.
const maxMatch = 255

// Rule opens some rooms to some actions.
type Rule struct {
	// Match is compared with the whole name of a room; `*` stands for any characters, or none.
	Match string `json:"match"`
	// Can is what may be done in these rooms.
	Can Action `json:"can"`
}

// ParseRule reads a rule as it is written on a command line: team-*=join,publish
func ParseRule(s string) (Rule, error) {
	i := strings.LastIndexByte(s, '=') // a room's name may have one, an action's has none
	if i < 0 {
		return Rule{}, fmt.Errorf("rule %q names no actions: write %q", s, s+"=join,publish,history")
	}
	r := Rule{Match: s[:i]}
	for n := range strings.SplitSeq(s[i+1:], ",") {
		a, err := ParseAction(strings.TrimSpace(n))
		if err != nil {
			return Rule{}, fmt.Errorf("rule %q: %w", s, err)
		}
		r.Can |= a
	}
	if err := r.check(); err != nil {
		return Rule{}, fmt.Errorf("rule %q: %w", s, err)
	}
	return r, nil
}

func (r Rule) check() error {
	if r.Match == "" {
		return errors.New("a rule matches no room")
	}
	if len(r.Match) > maxMatch {
		return fmt.Errorf("a rule's pattern is longer than %d bytes", maxMatch)
	}
	return nil
}

// Permissions is what an identity may do. Nil allows everything, an empty list nothing.
type Permissions []Rule

// Allow tells whether all of a may be done in the room: the rules that match it add up.
func (p Permissions) Allow(room string, a Action) bool {
	if p == nil {
		return true
	}
	for _, r := range p {
		if a&r.Can != 0 && match(r.Match, room) {
			if a &^= r.Can; a == 0 {
				return true
			}
		}
	}
	return false
}

// UnmarshalJSON takes [{"match":"team-*","can":["join"]}]. Both fields are needed, and an unknown
// one is an error: it may be a limit that would be passed over. So is null, since nil allows everything.
func (p *Permissions) UnmarshalJSON(b []byte) error {
	var list []struct {
		Match string  `json:"match"`
		Can   *Action `json:"can"`
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		return fmt.Errorf("permissions: %w", err)
	}
	if list == nil {
		return errors.New("permissions: null is no list of rules")
	}
	rules := make(Permissions, len(list))
	for i, l := range list {
		if l.Can == nil {
			return errors.New("permissions: a rule has no actions")
		}
		rules[i] = Rule{l.Match, *l.Can}
		if err := rules[i].check(); err != nil {
			return fmt.Errorf("permissions: %w", err)
		}
	}
	*p = rules
	return nil
}

// match tells whether the whole name fits the pattern. Between two stars the first fit will do, so
// nothing is ever tried twice.
func match(pattern, name string) bool {
	prefix, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, prefix)
	for ok {
		var part string
		if part, rest, star = strings.Cut(rest, "*"); !star {
			return strings.HasSuffix(name, part)
		}
		_, name, ok = strings.Cut(name, part)
	}
	return false
}
