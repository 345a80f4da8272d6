package faults

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/client"
)

func at(epoch string, offset uint64) client.Position {
	return client.Position{Epoch: epoch, Offset: offset}
}

func joined(p client.Position, recovered ...bool) client.Joined {
	j := client.Joined{Position: p}
	if len(recovered) > 0 {
		j.Recovered = &recovered[0]
	}
	return j
}

// A checker that finds nothing shows nothing: each thing that must not be is planted and found.
func TestTheCheckerFinds(t *testing.T) {
	t.Parallel()
	one, two, three, four := Number{1, 1}, Number{1, 2}, Number{1, 3}, Number{1, 4}
	for what, c := range map[string]struct {
		stream func(l *Ledger, s *Stream)
		want   Tally
	}{
		"nothing wrong": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
			s.Joined(joined(at("e", 3), true))
			s.Message(3, three)
		}, Tally{}},
		"a lost tail": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
		}, Tally{Lost: 1}},
		"a hole": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(3, three)
		}, Tally{Lost: 1, Silent: 1}},
		"a hole after recovered": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Joined(joined(at("e", 3), true))
			s.Message(3, three)
		}, Tally{Lost: 1, Silent: 1}},
		"recovered in another epoch": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Joined(joined(at("f", 3), true))
		}, Tally{Lost: 2, Silent: 1}},
		"a gap told": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Gap(at("e", 2))
			s.Message(3, three)
		}, Tally{Gaps: 1, Told: 1}},
		"not recovered": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Joined(joined(at("e", 3), false))
		}, Tally{Gaps: 1, Told: 2}},
		"a gap that does not cover what was lost": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Gap(at("e", 2))
		}, Tally{Gaps: 1, Told: 1, Lost: 1}},
		"a new epoch": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Gap(at("f", 0))
			s.Message(1, four)
		}, Tally{Gaps: 1, Told: 2}},
		"messages from before it was a member": {func(l *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
			s.Message(3, three)
			late := l.Stream("late", "r")
			late.Joined(joined(at("e", 2)))
			late.Message(3, three)
		}, Tally{}},
		"a duplicate": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
			s.Message(2, two)
			s.Message(3, three)
		}, Tally{Duplicated: 1}},
		"a duplicate at another offset": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
			s.Message(3, three)
			s.Message(4, two)
		}, Tally{Duplicated: 1}},
		"a duplicate in a new epoch": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Gap(at("f", 0))
			s.Message(1, one)
		}, Tally{Duplicated: 1, Gaps: 1, Told: 2}},
		"sent again across a new epoch": {func(l *Ledger, s *Stream) {
			s.Message(1, one)
			s.Gap(at("f", 0))
			l.Again(one)
			s.Message(1, one)
		}, Tally{Gaps: 1, Told: 2}},
		"reordered offsets": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(3, three)
			s.Message(2, two)
		}, Tally{Reordered: 1, Silent: 1}},
		"another order than published": {func(_ *Ledger, s *Stream) {
			s.Message(1, two)
			s.Message(2, one)
			s.Message(3, three)
		}, Tally{Reordered: 1, Mislaid: 2}},
		"two messages at one position": {func(l *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
			s.Message(3, three)
			other := l.Stream("other", "r")
			other.Joined(joined(at("e", 0)))
			other.Message(1, one)
			other.Message(2, two)
			other.Message(3, four)
		}, Tally{Mislaid: 1, Lost: 1}},
		"another message where one was acknowledged": {func(_ *Ledger, s *Stream) {
			s.Message(1, one)
			s.Message(2, two)
			s.Message(3, four)
		}, Tally{Mislaid: 1, Lost: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			l := NewLedger()
			s := l.Stream("subscriber", "r")
			s.Joined(joined(at("e", 0)))
			for i, n := range []Number{one, two, three} {
				l.Acked("r", n, uint64(i+1))
			}
			c.stream(l, s)
			got, complaints := l.Tally()
			c.want.Acked, c.want.Streams = 3, len(l.streams)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s\n%q", diff, complaints)
			}
			if caught := l.Has(l.Mark()); caught != (got.Lost == 0) {
				t.Errorf("caught up: %v", caught)
			}
		})
	}
}
