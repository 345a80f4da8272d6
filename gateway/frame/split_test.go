package frame

import (
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestEventsDoNotDependOnHowReadsAreCut(t *testing.T) {
	check := func(t *testing.T, stream []byte, want []got, reads ...int) {
		t.Helper()
		events, err := parse(t, stream, testLimit, reads...)
		if err != nil {
			t.Fatalf("reads of %v: %v", reads, err)
		}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Fatalf("reads of %v: %s", reads, diff)
		}
	}
	for _, tc := range validStreams {
		t.Run(tc.name, func(t *testing.T) {
			size := len(tc.stream)
			for i := 1; i < size; i++ {
				check(t, tc.stream, tc.want, i, size)
				check(t, tc.stream, tc.want, i) // byte by byte among them
			}
		})
	}
	for _, tc := range longStreams {
		t.Run(tc.name, func(t *testing.T) {
			size := len(tc.stream)
			for i := 1; i < 40; i++ {
				check(t, tc.stream, tc.want, i, size)
				check(t, tc.stream, tc.want, size-i, size)
			}
			for _, reads := range []int{1, 2, 3, 1000, 4096, 65536} {
				check(t, tc.stream, tc.want, reads)
			}
		})
	}
}

// firstBadByte is the index of the byte after which s cannot become UTF-8 any more, found the slow way:
// len(s) if it only lacks an end, -1 if it is UTF-8.
func firstBadByte(s string) int {
	for i := range len(s) {
		for head := s[:i+1]; head != ""; {
			r, size := utf8.DecodeRuneInString(head)
			if r == utf8.RuneError && size == 1 {
				if utf8.FullRuneInString(head) {
					return i
				}
				break
			}
			head = head[size:]
		}
	}
	if utf8.ValidString(s) {
		return -1
	}
	return len(s)
}

var badTexts = []struct {
	name string
	text string
	bad  int
}{
	{"no first byte", "ab\xffcd", 2},
	{"continuation byte alone", "ab\x80cd", 2},
	{"overlong in 2 bytes", "\xc0\xafx", 0},
	{"overlong in 3 bytes", "\xe0\x80\xafx", 1},
	{"overlong in 4 bytes", "\xf0\x80\x80\xafx", 1},
	{"surrogate", "é\xed\xa0\x80x", 3},
	{"above U+10FFFF", "κόσμε\xf4\x90\x80\x80edited", 11},
	{"first byte above F4", "\xf5\x80\x80\x80", 0},
	{"too few continuation bytes", "€\xe2\x82x", 5},
	{"third byte wrong", "\xf0\x9d\x84Ax", 3},
	{"unfinished at the end, 1 byte", "ab\xf0", 3},
	{"unfinished at the end, 3 bytes", "ab\xf0\x9d\x84", 5},
}

func TestTextFailsAtTheFirstInvalidByte(t *testing.T) {
	for _, tc := range badTexts {
		t.Run(tc.name, func(t *testing.T) {
			if bad := firstBadByte(tc.text); bad != tc.bad {
				t.Fatalf("the reference says %d, the table %d", bad, tc.bad)
			}
			if _, err := parse(t, client(true, text, tc.text), testLimit); err != error(ErrTextNotUTF8) {
				t.Errorf("whole: %v", err)
			}
			if _, err := parse(t, client(true, bin, tc.text), testLimit); err != nil {
				t.Errorf("the same bytes as binary: %v", err)
			}
			// Cut at i by reads, and by fragments.
			for i := range len(tc.text) + 1 {
				frame := client(true, text, tc.text)
				fails(t, frame, 6, tc.bad, 6+i)
				fragments := join(client(false, text, tc.text[:i]), client(true, cont, tc.text[i:]))
				if _, err := parse(t, fragments, testLimit); err != error(ErrTextNotUTF8) {
					t.Errorf("fragments of %d: %v", i, err)
				}
				if _, err := parse(t, fragments, testLimit, 1); err != error(ErrTextNotUTF8) {
					t.Errorf("fragments of %d, byte by byte: %v", i, err)
				}
			}
		})
	}
}

// fails feeds stream up to cut at once and then byte by byte; the parser must fail with the read that
// holds payload byte bad, or, if the text only lacks an end, with the last.
func fails(t *testing.T, stream []byte, payload, bad, cut int) {
	t.Helper()
	at := min(payload+bad, len(stream)-1)
	f := feeder{t: t, max: testLimit}
	defer f.parser.Release()
	err := f.feed(stream[:cut])
	if wantErr := at < cut; (err != nil) != wantErr {
		t.Fatalf("read of %d bytes with a fault at %d: %v", cut, at, err)
	}
	for i := cut; err == nil; i++ {
		err = f.feed(stream[i : i+1])
		if (err != nil) != (i == at) {
			t.Fatalf("after byte %d with a fault at %d: %v", i, at, err)
		}
	}
	if err != error(ErrTextNotUTF8) {
		t.Fatal(err)
	}
}

func TestTextFailsEarlyInAMessageThatGoesOn(t *testing.T) {
	f := feeder{t: t, max: testLimit}
	// A frame of 1000 bytes of which only the header and the start are there.
	if err := f.feed(declare(false, text, 1000)); err != nil {
		t.Fatal(err)
	}
	bad := client(true, text, "good\xed\xa0") // same mask, also at position 0
	if err := f.feed(bad[6 : len(bad)-1]); err != nil {
		t.Fatalf("a sequence that may still end well: %v", err)
	}
	if err := f.feed(bad[len(bad)-1:]); err != error(ErrTextNotUTF8) {
		t.Fatalf("got %v", err)
	}
}
