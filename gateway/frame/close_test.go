package frame

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

func TestCloseCodes(t *testing.T) {
	valid := func(code int) bool {
		return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
	}
	for _, pin := range []struct {
		code int
		want bool
	}{
		{0, false}, {999, false}, {1000, true}, {1003, true}, {1004, false}, {1005, false}, {1006, false}, {1007, true}, {1011, true},
		{1012, true}, {1013, true}, {1014, true}, {1015, false}, {1016, false}, {1100, false}, {2000, false}, {2999, false},
		{3000, true}, {4999, true}, {5000, false}, {65535, false},
	} {
		if valid(pin.code) != pin.want {
			t.Fatalf("the test's own rule is wrong for %d", pin.code)
		}
	}
	for code := range 1 << 16 {
		gotCode, _, err := ParseClose([]byte{byte(code >> 8), byte(code)})
		if valid(code) {
			if err != nil || int(gotCode) != code {
				t.Errorf("%d: got %d, %v", code, gotCode, err)
			}
		} else if err != error(ErrCloseCode) {
			t.Errorf("%d: got %v", code, err)
		}
	}
}

func TestParseClose(t *testing.T) {
	for _, tc := range []struct {
		payload string
		code    ws.StatusCode
		reason  string
		err     error
	}{
		{"", 0, "", nil},
		{"\x03", 0, "", ErrClosePayload},
		{"\x03\xe8", 1000, "", nil},
		{"\x03\xe8bye, κόσμε", 1000, "bye, κόσμε", nil},
		{"\x0b\xb8" + strings.Repeat("x", 123), 3000, strings.Repeat("x", 123), nil},
		{"\x03\xe8\xff", 0, "", ErrCloseReasonNotUTF8},
		{"\x03\xe8cut \xe2\x82", 0, "", ErrCloseReasonNotUTF8},
		{"\x03\xed\xff", 0, "", ErrCloseCode},
	} {
		code, reason, err := ParseClose([]byte(tc.payload))
		if code != tc.code || string(reason) != tc.reason || err != tc.err {
			t.Errorf("%q: got %d %q %v", tc.payload, code, reason, err)
		}
	}
}

func TestAppendCloseIsReadBack(t *testing.T) {
	for _, tc := range []struct {
		code           ws.StatusCode
		reason, expect string
	}{
		{0, "", ""},
		{0, "dropped: there is no place for it", ""},
		{1012, "", ""},
		{1013, "slow", "slow"},
		{1000, long[:123], long[:123]},
		{1000, long[:124], long[:123]},
		{1000, strings.Repeat("x", 122) + "é", strings.Repeat("x", 122)},
		{1000, strings.Repeat("x", 121) + "é!", strings.Repeat("x", 121) + "é"},
		{1000, strings.Repeat("x", 120) + "𝄞", strings.Repeat("x", 120)},
		{1000, strings.Repeat("x", 121) + "𝄞", strings.Repeat("x", 121)},
		{1000, strings.Repeat("x", 122) + "𝄞", strings.Repeat("x", 122)},
		{1000, strings.Repeat("€", 60), strings.Repeat("€", 41)},
	} {
		wire := AppendClose([]byte("before"), tc.code, tc.reason)
		f := readServerFrame(t, wire[len("before"):])
		code, reason, err := ParseClose(f.Payload)
		if f.Header.OpCode != ws.OpClose || code != tc.code || string(reason) != tc.expect || err != nil {
			t.Errorf("%d %q: got %v %d %q %v", tc.code, tc.reason, f.Header.OpCode, code, reason, err)
		}
		if len(f.Payload) > ws.MaxControlFramePayloadSize || !utf8.Valid(reason) {
			t.Errorf("%d %q: %d bytes", tc.code, tc.reason, len(f.Payload))
		}
	}
	// Bytes that are no UTF-8 are a mistake of the caller, but must not panic or overflow.
	if wire := AppendClose(nil, 1000, strings.Repeat("\x80", 200)); len(wire) > 2+125 {
		t.Errorf("%d bytes", len(wire))
	}
}
