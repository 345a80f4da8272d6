package frame

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

const testLimit = 1 << 20

const (
	cont = ws.OpContinuation
	text = ws.OpText
	bin  = ws.OpBinary
)

var (
	long     = strings.Repeat("0123456789abcdef", 5000) // 80,000 bytes: more than a pooled buffer holds
	longText = strings.Repeat("κόσμε €𝄞 ", 4000)        // 76,000 bytes
)

var validStreams = []struct {
	name   string
	stream []byte
	want   []got
}{
	{"nothing", nil, nil},
	{"text", client(true, text, "hello"), []got{{text, "hello"}}},
	{"empty text", client(true, text, ""), []got{{text, ""}}},
	{"empty binary", client(true, bin, ""), []got{{bin, ""}}},
	{"binary that is no UTF-8", client(true, bin, "\xff\x00\xc0"), []got{{bin, "\xff\x00\xc0"}}},
	{"characters of all sizes", client(true, text, "aé€𝄞\x00\U0010ffff"), []got{{text, "aé€𝄞\x00\U0010ffff"}}},
	{"zero mask", clientMasked(true, text, []byte("plain"), [4]byte{}), []got{{text, "plain"}}},
	{"125 bytes", client(true, text, long[:125]), []got{{text, long[:125]}}},
	{"126 bytes", client(true, text, long[:126]), []got{{text, long[:126]}}},
	{"two messages", join(client(true, text, "a"), client(true, bin, "b")), []got{{text, "a"}, {bin, "b"}}},
	{"fragments", join(client(false, text, "a"), client(false, cont, "bc"), client(true, cont, "d")), []got{{text, "abcd"}}},
	{"fragments, then a message", join(client(false, bin, "a"), client(true, cont, "b"), client(true, text, "c")),
		[]got{{bin, "ab"}, {text, "c"}}},
	{"empty fragments", join(client(false, text, ""), client(false, cont, ""), client(true, cont, "")), []got{{text, ""}}},
	{"only the last fragment has a payload", join(client(false, text, ""), client(true, cont, "end")), []got{{text, "end"}}},
	{"only the first fragment has a payload", join(client(false, text, "start"), client(true, cont, "")), []got{{text, "start"}}},
	{"a character cut by fragments", join(client(false, text, "\xf0"), client(false, cont, "\x9d"), client(false, cont, ""),
		client(false, cont, "\x84"), client(true, cont, "\x9e")), []got{{text, "𝄞"}}},
	{"ping", client(true, ws.OpPing, "are you there?"), []got{{ws.OpPing, "are you there?"}}},
	{"empty ping and pong", join(client(true, ws.OpPing, ""), client(true, ws.OpPong, "")), []got{{ws.OpPing, ""}, {ws.OpPong, ""}}},
	{"control frame of 125 bytes", client(true, ws.OpPong, long[:125]), []got{{ws.OpPong, long[:125]}}},
	{"close", client(true, ws.OpClose, "\x03\xe8bye"), []got{{ws.OpClose, "\x03\xe8bye"}}},
	{"control frames inside a message", join(client(false, text, "on\xc3"), client(true, ws.OpPing, "1\xff"), client(false, cont, "\xa9"),
		client(true, ws.OpPong, ""), client(true, cont, "!"), client(true, ws.OpClose, "")),
		[]got{{ws.OpPing, "1\xff"}, {ws.OpPong, ""}, {text, "oné!"}, {ws.OpClose, ""}}},
	{"a fragment of 300 bytes", join(client(false, bin, long[:300]), client(true, ws.OpPing, "?"), client(true, cont, long[:40])),
		[]got{{ws.OpPing, "?"}, {bin, long[:300] + long[:40]}}},
}

var longStreams = []struct {
	name   string
	stream []byte
	want   []got
}{
	{"65,535 bytes", client(true, bin, long[:65535]), []got{{bin, long[:65535]}}},
	{"65,536 bytes", client(true, bin, long[:65536]), []got{{bin, long[:65536]}}},
	{"long text", client(true, text, longText), []got{{text, longText}}},
	{"long fragments", join(client(false, text, longText), client(true, ws.OpPing, ""), client(true, cont, longText)),
		[]got{{ws.OpPing, ""}, {text, longText + longText}}},
}

func TestValidStreamsGiveTheirEvents(t *testing.T) {
	for _, tc := range append(validStreams, longStreams...) {
		t.Run(tc.name, func(t *testing.T) {
			events, err := parse(t, tc.stream, testLimit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, events); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// first2 is a header's first two bytes, then a mask of zeros.
func first2(first, second byte) []byte { return []byte{first, second, 0, 0, 0, 0} }

var invalidStreams = []struct {
	name   string
	stream []byte
	want   *Error
}{
	{"text not masked", []byte{0x81, 0x01, 'x'}, ErrNotMasked},
	{"ping not masked", []byte{0x89, 0x00}, ErrNotMasked},
	{"RSV1 on text", first2(0xc1, 0x80), ErrReservedBits},
	{"RSV2 on text", first2(0xa1, 0x80), ErrReservedBits},
	{"RSV3 on text", first2(0x91, 0x80), ErrReservedBits},
	{"RSV1 on ping", first2(0xc9, 0x80), ErrReservedBits},
	{"RSV1 on continuation", join(client(false, text, ""), first2(0xc0, 0x80)), ErrReservedBits},
	{"opcode 3", first2(0x83, 0x80), ErrReservedOpCode},
	{"opcode 7", first2(0x87, 0x80), ErrReservedOpCode},
	{"opcode 11", first2(0x8b, 0x80), ErrReservedOpCode},
	{"opcode 15", first2(0x8f, 0x80), ErrReservedOpCode},
	{"reserved opcode inside a message", join(client(false, text, ""), first2(0x84, 0x80)), ErrReservedOpCode},
	{"ping of 126 bytes", declare(true, ws.OpPing, 126), ErrControlTooLong},
	{"close of 65,536 bytes", declare(true, ws.OpClose, 65536), ErrControlTooLong},
	{"ping of 5 bytes with a length of 2", []byte{0x89, 0xfe, 0, 5, 0, 0, 0, 0}, ErrControlTooLong},
	{"fragmented ping", first2(0x09, 0x80), ErrControlFragmented},
	{"fragmented close", first2(0x08, 0x80), ErrControlFragmented},
	{"continuation first", client(true, cont, "x"), ErrNoMessage},
	{"continuation not final first", client(false, cont, "x"), ErrNoMessage},
	{"continuation after a whole message", join(client(true, text, "x"), client(true, cont, "y")), ErrNoMessage},
	{"continuation after the last fragment", join(client(false, text, "x"), client(true, cont, "y"), client(true, cont, "z")), ErrNoMessage},
	{"text inside a message", join(client(false, text, "x"), client(true, text, "y")), ErrMessageUnfinished},
	{"binary inside an empty fragment's message", join(client(false, text, ""), client(false, bin, "")), ErrMessageUnfinished},
	{"length 125 in 2 bytes", []byte{0x82, 0xfe, 0, 125, 0, 0, 0, 0}, ErrLengthNotMinimal},
	{"length 0 in 2 bytes", []byte{0x82, 0xfe, 0, 0, 0, 0, 0, 0}, ErrLengthNotMinimal},
	{"length 65,535 in 8 bytes", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}, ErrLengthNotMinimal},
	{"length 2^63", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ErrLengthHighBit},
	{"length 2^64-1", join([]byte{0x82, 0xff}, bytes.Repeat([]byte{0xff}, 12)), ErrLengthHighBit},
	{"length 2^62", declare(true, text, 1<<62), ErrMessageTooLarge},
	{"length 2^63-1", declare(true, text, math.MaxInt64), ErrMessageTooLarge},
	{"length 2^62 in a fragment", join(client(false, text, "x"), declare(false, cont, 1<<62)), ErrMessageTooLarge},
	{"one byte over the limit", declare(true, bin, testLimit+1), ErrMessageTooLarge},
	{"fragments over the limit", join(client(false, bin, long), declare(true, cont, testLimit-80000+1)), ErrMessageTooLarge},
}

func TestInvalidStreamsAreRefusedHoweverTheyAreCut(t *testing.T) {
	for _, tc := range invalidStreams {
		t.Run(tc.name, func(t *testing.T) {
			want, err := parse(t, tc.stream, testLimit)
			if err != error(tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			for _, reads := range [][]int{{1}, {2}, {3}, {7}, {len(tc.stream) - 1, 1}} {
				events, err := parse(t, tc.stream, testLimit, reads...)
				if err != error(tc.want) {
					t.Errorf("reads of %v: got %v, want %v", reads, err, tc.want)
				}
				if diff := cmp.Diff(want, events); diff != "" {
					t.Errorf("reads of %v: %s", reads, diff)
				}
			}
		})
	}
}

func TestErrorsCarryTheCloseCode(t *testing.T) {
	for code, stream := range map[ws.StatusCode][]byte{
		1002: first2(0xc1, 0x80),
		1007: client(true, text, "\xff"),
		1009: declare(true, text, testLimit+1),
	} {
		_, err := parse(t, stream, testLimit)
		fault, ok := errors.AsType[*Error](err)
		if !ok || fault.Code != code || len(fault.Reason) > maxReason || !strings.Contains(err.Error(), fault.Reason) {
			t.Errorf("got %#v, want code %d", err, code)
		}
	}
}

func TestAFailedParserStaysFailed(t *testing.T) {
	f := feeder{t: t, max: testLimit}
	if err := f.feed(first2(0xf1, 0x80)); err != error(ErrReservedBits) {
		t.Fatal(err)
	}
	if err := f.feed(client(true, text, "hello")); err != error(ErrReservedBits) {
		t.Errorf("got %v, want the same error again", err)
	}
	f.parser.Release()
	if err := f.feed(client(true, text, "hello")); err != nil || len(f.events) != 1 {
		t.Errorf("a released parser must be a new one: %v, %v", f.events, err)
	}
}

func TestTheLimitIsExactAndForTheMessage(t *testing.T) {
	whole := client(true, text, "12345")
	fragments := join(client(false, text, "12"), client(true, ws.OpPing, "a ping does not count"), client(false, cont, ""), client(true, cont, "345"))
	for _, stream := range [][]byte{whole, fragments} {
		for _, reads := range []int{1, len(stream)} {
			for limit, want := range map[int]error{5: nil, 6: nil, -1: nil, 4: ErrMessageTooLarge, 0: ErrMessageTooLarge} {
				if _, err := parse(t, stream, limit, reads); err != want {
					t.Errorf("limit %d, reads of %d: got %v, want %v", limit, reads, err, want)
				}
			}
		}
	}
	if _, err := parse(t, client(true, text, ""), 0); err != nil {
		t.Errorf("an empty message with limit 0: %v", err)
	}
	// Two messages of 5 bytes are not one of 10.
	if _, err := parse(t, join(fragments, fragments, whole), 5); err != nil {
		t.Error(err)
	}
}
