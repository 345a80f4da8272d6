package frame

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/google/go-cmp/cmp"
)

// The tests compress and inflate with Go's own compress/flate, not with what the package uses.

// deflate compresses as RFC 7692 §7.2.1 says.
func deflate(content string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		panic(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		panic(err)
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// inflated is the reference: all streams of a payload, each with what was before it as its window.
func inflated(payload string) (string, error) {
	src := strings.NewReader(payload + inflateTail)
	var out bytes.Buffer
	for range maxStreams {
		r := flate.NewReaderDict(src, out.Bytes()[max(out.Len()-window, 0):])
		if _, err := io.Copy(&out, r); err != nil {
			return "", err
		}
		if src.Len() == 0 {
			return out.String(), nil
		}
	}
	return "", errors.New("too many streams")
}

// compressed returns a client's first or only frame of a compressed message.
func compressed(fin bool, op ws.OpCode, payload string) []byte {
	f := client(fin, op, payload)
	f[0] |= rsv1Bit
	return f
}

// parseDeflated is parse for a client that negotiated compression.
func parseDeflated(t testing.TB, stream []byte, limit int, reads ...int) ([]got, error) {
	t.Helper()
	f := feeder{t: t, max: limit}
	f.parser.TakeDeflated(true)
	defer f.parser.Release()
	for len(stream) > 0 {
		n := len(stream)
		if len(reads) > 0 {
			n = min(reads[0], n)
		}
		if err := f.feed(stream[:n]); err != nil {
			return f.events, err
		}
		stream = stream[n:]
	}
	return f.events, nil
}

// back is a final block of a, and then a block that refers to it: "abcabcabc" in two streams.
func back() string {
	var first, second bytes.Buffer
	w, _ := flate.NewWriter(&first, flate.BestCompression)
	io.WriteString(w, "some words that come again")
	w.Close()
	d, _ := flate.NewWriterDict(&second, flate.BestCompression, []byte("some words that come again"))
	io.WriteString(d, "some words that come again")
	d.Flush()
	return first.String() + strings.TrimSuffix(second.String(), "\x00\x00\xff\xff")
}

var deflatedStreams = []struct {
	name   string
	stream []byte
	want   []got
}{
	{"RFC 7692 §7.2.3.1", compressed(true, text, "\xf2\x48\xcd\xc9\xc9\x07\x00"), []got{{text, "Hello"}}},
	{"§7.2.3.1 in fragments", join(compressed(false, text, "\xf2\x48\xcd"), client(true, cont, "\xc9\xc9\x07\x00")), []got{{text, "Hello"}}},
	{"§7.2.3.3, a block without compression", compressed(true, text, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), []got{{text, "Hello"}}},
	{"§7.2.3.4, a final block", compressed(true, text, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), []got{{text, "Hello"}}},
	{"§7.2.3.5, two blocks", compressed(true, text, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), []got{{text, "Hello"}}},
	{"§7.2.3.6, empty", compressed(true, text, "\x00"), []got{{text, ""}}},
	{"nothing but a final block", compressed(true, bin, "\x01"), []got{{bin, ""}}},
	{"what refers to before a final block", compressed(true, text, back()), []got{{text, "some words that come againsome words that come again"}}},
	{"long text", compressed(true, text, deflate(longText)), []got{{text, longText}}},
	{"not compressed", client(true, text, "plain"), []got{{text, "plain"}}},
	{"binary, then not compressed", join(compressed(true, bin, deflate("\xff\x00")), client(true, text, "é"), compressed(true, text, deflate("é"))),
		[]got{{bin, "\xff\x00"}, {text, "é"}, {text, "é"}}},
	{"control frames inside", join(compressed(false, text, deflate(longText)[:9]), client(true, ws.OpPing, "\xff"),
		client(false, cont, ""), client(true, ws.OpPong, ""), client(true, cont, deflate(longText)[9:]), client(true, ws.OpClose, "")),
		[]got{{ws.OpPing, "\xff"}, {ws.OpPong, ""}, {text, longText}, {ws.OpClose, ""}}},
	{"a compressed payload that is no UTF-8 by itself, cut in fragments", join(compressed(false, text, deflate("κόσμε")[:1]),
		client(true, cont, deflate("κόσμε")[1:])), []got{{text, "κόσμε"}}},
}

func TestCompressedMessagesAreInflatedHoweverTheyAreCut(t *testing.T) {
	for _, tc := range deflatedStreams {
		t.Run(tc.name, func(t *testing.T) {
			for _, reads := range [][]int{nil, {1}, {2}, {7}, {4096}} {
				events, err := parseDeflated(t, tc.stream, testLimit, reads...)
				if err != nil {
					t.Fatalf("reads of %v: %v", reads, err)
				}
				if diff := cmp.Diff(tc.want, events); diff != "" {
					t.Fatalf("reads of %v: %s", reads, diff)
				}
			}
		})
	}
}

func TestCompressionIsOnlyForWhoNegotiatedIt(t *testing.T) {
	for _, tc := range deflatedStreams[:6] {
		if _, err := parse(t, tc.stream, testLimit); err != error(ErrReservedBits) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	f := feeder{t: t, max: testLimit}
	f.parser.TakeDeflated(true)
	f.parser.Release()
	if err := f.feed(compressed(true, text, deflate("x"))); err != error(ErrReservedBits) {
		t.Errorf("a released parser: %v", err)
	}
}

func TestInvalidCompressedStreamsAreRefused(t *testing.T) {
	hello := deflate("hello, hello, hello")
	ending := func(last byte) string { return "\x00\x01\x00\xfe\xff" + string([]byte{last}) } // one stored byte
	for _, tc := range []struct {
		name   string
		stream []byte
		want   *Error
	}{
		{"RSV2", first2(0xa1, 0x80), ErrReservedBits},
		{"RSV3", first2(0x91, 0x80), ErrReservedBits},
		{"RSV1 and RSV2", first2(0xe1, 0x80), ErrReservedBits},
		{"ping", compressed(true, ws.OpPing, ""), ErrReservedBits},
		{"pong", compressed(true, ws.OpPong, ""), ErrReservedBits},
		{"close", compressed(true, ws.OpClose, ""), ErrReservedBits},
		{"continuation", join(compressed(false, text, ""), compressed(true, cont, hello)), ErrReservedBits},
		{"continuation of what is not compressed", join(client(false, text, ""), compressed(true, cont, hello)), ErrReservedBits},
		{"reserved opcode", first2(0xc3, 0x80), ErrReservedBits},
		{"inside a message", join(client(false, text, "x"), compressed(true, text, hello)), ErrMessageUnfinished},
		{"no bytes at all", compressed(true, text, ""), ErrCorrupt},
		{"a reserved kind of block", compressed(true, text, "\x06\x00"), ErrCorrupt},
		{"reference to before the start", compressed(true, bin, "\x02\x23\x00\x00"), ErrCorrupt},
		{"a stored block cut short", compressed(true, bin, "\x00\x09\x00\xf6\xff\x48"), ErrCorrupt},
		{"no empty block after the final one", compressed(true, text, "\xf3\x48\xcd\xc9\xc9\x07\x00"), ErrCorrupt},
		{"more final blocks than anyone needs", compressed(true, bin, strings.Repeat("\x03\x00", 100)+"\x00"), ErrCorrupt},
		{"text that is no UTF-8", compressed(true, text, deflate("abc\xffdef")), ErrTextNotUTF8},
		{"text unfinished", compressed(true, text, ending(0xf0)+"\x00"), ErrTextNotUTF8},
		{"payload over what the limit can need", compressed(true, bin, strings.Repeat("\x00\x00\x00\xff\xff", 2000)), ErrMessageTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, reads := range [][]int{nil, {1}, {3}} {
				if events, err := parseDeflated(t, tc.stream, 8000, reads...); err != error(tc.want) {
					t.Errorf("reads of %v: got %q and %v, want %v", reads, events, err, tc.want)
				}
			}
		})
	}
}

func TestACompressedMessageCutShortIsCorrupt(t *testing.T) {
	payload := deflate(longText)
	for i := range payload {
		if _, err := parseDeflated(t, compressed(true, text, payload[:i]), testLimit); err != error(ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", i, len(payload), err)
		}
	}
}

func TestTheLimitIsForWhatIsInflated(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 129, 1000, 40_000, 65_535, 65_536, 65_537, 200_000} {
		for name, content := range map[string]string{"zeros": strings.Repeat("\x00", n), "noise": noise(n)} {
			stream := compressed(true, bin, deflate(content))
			if events, err := parseDeflated(t, stream, n); err != nil || len(events) != 1 || events[0].Payload != content {
				t.Errorf("%d bytes of %s with a limit of as many: %v", n, name, err)
			}
			if _, err := parseDeflated(t, stream, -1); err != nil {
				t.Errorf("%d bytes of %s without a limit: %v", n, name, err)
			}
			if n == 0 {
				continue
			}
			if _, err := parseDeflated(t, stream, n-1); err != error(ErrMessageTooLarge) {
				t.Errorf("%d bytes of %s with a limit of one less: %v", n, name, err)
			}
		}
	}
}

// noise is what cannot be compressed, the same each time.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return string(b)
}

func TestABombIsInflatedNoFurtherThanTheLimit(t *testing.T) {
	bomb := deflate(strings.Repeat("\x00", 4<<20))
	if len(bomb) > maxDeflated(64<<10) {
		t.Fatalf("a bomb of %d bytes is refused for its length", len(bomb))
	}
	if _, err := parseDeflated(t, compressed(true, bin, bomb), 64<<10); err != error(ErrMessageTooLarge) {
		t.Error(err)
	}
	f := inflaters.New().(*inflater)
	for _, limit := range []int{0, 100, 64 << 10, 1 << 20} {
		out, fault := f.inflate([]byte(bomb), limit)
		if fault != ErrMessageTooLarge || len(out.b) > limit || cap(out.b) > max(limit, 1<<minBufferBits) {
			t.Errorf("limit %d: %v, %d bytes in a buffer of %d", limit, fault, len(out.b), cap(out.b))
		}
		out.free()
	}
}

func TestInflatingIsPooled(t *testing.T) {
	const most = 4 // 0; with -race the pool of buffers loses some at random
	f := inflaters.New().(*inflater)
	for _, content := range []string{"hello", longText[:3000], longText[:60_000]} {
		payload := []byte(deflate(content))
		if allocs := testing.AllocsPerRun(200, func() {
			out, fault := f.inflate(payload, testLimit)
			if fault != nil || string(out.b) != content {
				t.Fatal(fault)
			}
			out.free()
		}); allocs > most {
			t.Errorf("%d bytes: %v allocations", len(content), allocs)
		}
	}
}

func TestACompressedMessageLeavesNothingInTheParser(t *testing.T) {
	f := feeder{t: t, max: testLimit}
	f.parser.TakeDeflated(true)
	for _, b := range join(compressed(false, text, deflate(longText)), client(true, cont, "")) {
		if err := f.feed([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	p := Parser{flags: takesDeflated | finFlag}
	f.parser.op, f.parser.mask, f.parser.head = p.op, p.mask, p.head // of the last frame
	if len(f.events) != 1 || f.parser != p {
		t.Errorf("%d events, parser %+v", len(f.events), f.parser)
	}
}

func TestDeflatedFramesAreSmallerAndTheSame(t *testing.T) {
	chat := `{"type":"message","room":"team-blue","from":"alice","offset":12345,"data":{"text":"` + strings.Repeat("hello again, ", 20) + `"}}`
	for _, content := range []string{chat[:minDeflated], chat, long, longText, strings.Repeat("\x00", 70_000), strings.Repeat("x", 1<<20)} {
		for _, op := range []ws.OpCode{text, bin} {
			f := AppendFrame(nil, op, []byte(content))
			was := bytes.Clone(f)
			d := Deflate(f)
			if !bytes.Equal(f, was) {
				t.Fatal("the frame was changed")
			}
			if len(content) > minDeflated && len(d) >= len(f) {
				t.Errorf("%d bytes became %d", len(f), len(d))
			}
			if got, compressed := unframe(t, d); got != (gotFrame{op, content}) || compressed == (&d[0] == &f[0]) {
				t.Errorf("%d bytes are read back as %v and %d bytes", len(content), got.op, len(got.payload))
			}
		}
	}
}

type gotFrame struct {
	op      ws.OpCode
	payload string
}

// unframe reads a server's frame with gobwas/ws and compress/flate.
func unframe(t testing.TB, f []byte) (got gotFrame, compressed bool) {
	t.Helper()
	r := bytes.NewReader(f)
	h, err := ws.ReadHeader(r)
	if err != nil || h.Masked || !h.Fin || h.Length != int64(r.Len()) || h.Rsv2() || h.Rsv3() {
		t.Fatalf("%+v with %d bytes: %v", h, r.Len(), err)
	}
	payload := string(f[len(f)-r.Len():])
	if h.Rsv1() {
		if payload, err = inflated(payload); err != nil {
			t.Fatal(err)
		}
	}
	return gotFrame{h.OpCode, payload}, h.Rsv1()
}

func TestWhatGrowsOrIsSmallIsNotCompressed(t *testing.T) {
	for _, content := range []string{"", "x", long[:minDeflated-1], noise(200), noise(5000), noise(100_000)} {
		f := AppendFrame(nil, bin, []byte(content))
		if d := Deflate(f); &d[0] != &f[0] || len(d) != len(f) {
			t.Errorf("%d bytes became another frame of %d", len(f), len(d))
		}
	}
}

func TestDeflatingIsPooled(t *testing.T) {
	const most = 8 // 1, the frame; with -race the pools lose what they hold at random
	for _, n := range []int{200, 5000} {
		f := AppendFrame(nil, text, []byte(strings.Repeat("some words that come again ", n/27+1)))
		if allocs := testing.AllocsPerRun(200, func() { Deflate(f) }); allocs > most {
			t.Errorf("%d bytes: %v allocations", len(f), allocs)
		}
	}
}

// FuzzInflate checks that no payload makes the parser panic, exceed the limit, or depend on how reads are cut, and
// that compress/flate reads the same.
func FuzzInflate(f *testing.F) {
	for _, s := range []string{"", "\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", back(), "\x03\x00\x03\x00\x00",
		deflate("hello"), deflate(long[:900]), deflate(longText), deflate(strings.Repeat("\x00", 5000)), noise(300)} {
		f.Add([]byte(s), true, uint16(1))
		f.Add([]byte(s), false, uint16(50))
	}
	f.Fuzz(func(t *testing.T, payload []byte, isText bool, cut uint16) {
		op := ws.OpBinary
		if isText {
			op = text
		}
		at := min(int(cut), len(payload))
		whole, wholeErr := parseDeflated(t, compressed(true, op, string(payload)), fuzzLimit)
		parts, partsErr := parseDeflated(t, join(compressed(false, op, string(payload[:at])), client(true, ws.OpPing, ""),
			client(true, cont, string(payload[at:]))), fuzzLimit, 1+int(cut)%50)
		if wholeErr != partsErr || wholeErr == nil && !cmp.Equal(append([]got{{ws.OpPing, ""}}, whole...), parts) {
			t.Errorf("whole: %q, %v; in parts: %q, %v", whole, wholeErr, parts, partsErr)
		}
		if len(payload) > maxDeflated(fuzzLimit) {
			return
		}
		want, err := inflated(string(payload))
		switch {
		case err == nil && len(want) <= fuzzLimit && wholeErr != error(ErrTextNotUTF8):
			if wholeErr != nil || whole[0].Payload != want {
				t.Errorf("got %q, %v; compress/flate %q", whole, wholeErr, want)
			}
		case err == nil && len(want) > fuzzLimit && wholeErr != error(ErrMessageTooLarge):
			t.Errorf("%d bytes: %v", len(want), wholeErr)
		case err != nil && wholeErr == nil:
			t.Errorf("got %q; compress/flate: %v", whole, err)
		}
	})
}

// FuzzDeflate checks that whatever is compressed is read back, and never longer than it was.
func FuzzDeflate(f *testing.F) {
	for _, s := range []string{"", long[:3000], longText[:2000], noise(1000), strings.Repeat("ab", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		plain := AppendFrame(nil, bin, content)
		d := Deflate(plain)
		if len(d) > len(plain) {
			t.Fatalf("%d bytes became %d", len(plain), len(d))
		}
		if got, _ := unframe(t, d); got.payload != string(content) {
			t.Error("it is read back as something else")
		}
	})
}
