package frame

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxReason is what a close frame has room for after the code (RFC 6455 §5.5, §5.5.1).
const maxReason = ws.MaxControlFramePayloadSize - 2

// ParseClose reads the payload of a close frame (RFC 6455 §5.5.1). An empty payload gives code 0: no
// status (§7.1.5). reason is a part of payload. The error is an *[Error] to answer with.
func ParseClose(payload []byte) (code ws.StatusCode, reason []byte, err error) {
	switch len(payload) {
	case 0:
		return 0, nil, nil
	case 1:
		return 0, nil, ErrClosePayload
	}
	code, reason = ws.StatusCode(binary.BigEndian.Uint16(payload)), payload[2:]
	if !ValidCode(code) {
		return 0, nil, ErrCloseCode
	}
	if !utf8.Valid(reason) {
		return 0, nil, ErrCloseReasonNotUTF8
	}
	return code, reason, nil
}

// ValidCode reports whether code may stand in a close frame: those of RFC 6455 §7.4.1 but for 1004, 1005,
// 1006 and 1015, those registered with IANA since (1012 to 1014), and 3000 to 4999 (§7.4.2).
//
// ws.CheckCloseFrameData refuses 1012 to 1014 and accepts 5000 and above.
func ValidCode(code ws.StatusCode) bool {
	switch {
	case code >= 1000 && code <= 1003,
		code >= 1007 && code <= 1014,
		code >= 3000 && code <= 4999:
		return true
	}
	return false
}

// AppendClose appends a server's close frame to dst. Code 0 makes it an empty one: no status, no
// reason. A reason, which must be UTF-8, is cut to the 123 bytes there is room for, never inside a
// character. The code is not checked: see [ValidCode].
func AppendClose(dst []byte, code ws.StatusCode, reason string) []byte {
	if code == 0 {
		return AppendHeader(dst, ws.OpClose, 0)
	}
	if len(reason) > maxReason {
		n := maxReason
		for n > maxReason-utf8.UTFMax && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = AppendHeader(dst, ws.OpClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}
