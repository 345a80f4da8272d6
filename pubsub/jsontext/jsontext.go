// Package jsontext goes over JSON texts (RFC 8259) once, to check them and to cut them: what a message
// costs most, were it done with encoding/json. It says what json.Valid says; UTF-8 is not looked at.
package jsontext

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth of objects and arrays within each other, as in encoding/json.
const maxDepth = 10_000

// Valid reports whether b is one JSON value, with white space around it or none.
func Valid(b []byte) bool {
	end := value(b, space(b, 0), 0)
	return end >= 0 && space(b, end) == len(b)
}

// Object reports whether b is one JSON object, with white space around it or none, and calls each with
// its members in order: the key between its quotes, escapes as they are, and the value. Both are parts
// of b. It stops where b is not valid or each returns false, and returns false.
func Object(b []byte, each func(key, value []byte) bool) bool {
	i := space(b, 0)
	if i == len(b) || b[i] != '{' {
		return false
	}
	end := object(b, i+1, 1, each)
	return end >= 0 && space(b, end) == len(b)
}

// space is where the next byte is that is no white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// The functions below return where what begins at i ends, or -1 if it is not valid.

func value(b []byte, i, depth int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return text(b, i+1)
	case '{':
		return object(b, i+1, depth+1, nil)
	case '[':
		return array(b, i+1, depth+1)
	case 't':
		return word(b, i, "true")
	case 'f':
		return word(b, i, "false")
	case 'n':
		return word(b, i, "null")
	}
	return number(b, i)
}

// object begins after the brace.
func object(b []byte, i, depth int, each func(key, value []byte) bool) int {
	if depth > maxDepth {
		return -1
	}
	if i = space(b, i); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for i < len(b) && b[i] == '"' {
		key := i + 1
		keyEnd := text(b, key)
		if keyEnd < 0 {
			return -1
		}
		if i = space(b, keyEnd); i == len(b) || b[i] != ':' {
			return -1
		}
		from := space(b, i+1)
		end := value(b, from, depth)
		if end < 0 || each != nil && !each(b[key:keyEnd-1], b[from:end:end]) {
			return -1
		}
		last := false
		if i, last = next(b, end, '}'); last {
			return i
		}
	}
	return -1
}

// array begins after the bracket.
func array(b []byte, i, depth int) int {
	if depth > maxDepth {
		return -1
	}
	if i = space(b, i); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = value(b, i, depth); i < 0 {
			return -1
		}
		last := false
		if i, last = next(b, i, ']'); last {
			return i
		}
	}
}

// next is where the next element begins, after one that ended at i; or, with last, where the list ends.
func next(b []byte, i int, closing byte) (at int, last bool) {
	if i = space(b, i); i == len(b) {
		return -1, true
	}
	switch b[i] {
	case closing:
		return i + 1, true
	case ',':
		return space(b, i+1), false
	}
	return -1, true
}

// text is a string, and begins after the quote.
func text(b []byte, i int) int {
	for {
		i = plain(b, i)
		if i == len(b) {
			return -1
		}
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			if i = escape(b, i+1); i < 0 {
				return -1
			}
		default: // a control character
			return -1
		}
	}
}

// plain is where the next byte of a string is that does not stand for itself. It takes eight at a time.
func plain(b []byte, i int) int {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^'"'*ones, w^'\\'*ones
		// The top bit of a byte that is below a bound, or zero; above the lowest such byte it may be wrong.
		found := ((w-' '*ones)&^w | (quote-ones)&^quote | (slash-ones)&^slash) & tops
		if found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
		i++
	}
	return i
}

// escape begins after the backslash.
func escape(b []byte, i int) int {
	if i == len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(b)-i < 5 {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

func word(b []byte, i int, w string) int {
	if len(b)-i < len(w) || string(b[i:i+len(w)]) != w {
		return -1
	}
	return i + len(w)
}

func number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i
}

// digits are one or more.
func digits(b []byte, i int) int {
	from := i
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
