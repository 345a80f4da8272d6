package bench

import (
	"encoding/binary"
	"math/bits"
)

// stamp is what a message carries.
type stamp struct {
	run, pub, seq uint32
	at            int64 // ns on the run's clock
}

// newData makes data of size bytes, its numbers still to be put in.
func newData(size int) []byte {
	d := make([]byte, 0, size)
	d = append(d, dataHead...)
	for len(d) < paddingAt {
		d = append(d, 'a')
	}
	d = append(d, dataMid...)
	for len(d) < size-len(dataTail) {
		d = append(d, 'x')
	}
	return append(d, dataTail...)
}

// put writes the stamp into data that newData made.
func (s stamp) put(data []byte) {
	b := data[numbersAt:paddingAt]
	putLetters(b[0:], s.run)
	putLetters(b[8:], s.pub)
	putLetters(b[16:], s.seq)
	putLetters(b[24:], uint32(s.at>>32))
	putLetters(b[32:], uint32(s.at))
	putLetters(b[40:], s.checksum())
}

// readData reads the stamp from data at the start of b, which may be longer, and
// says whether it is whole: pattern is what newData made for this size.
func readData(b, pattern []byte) (s stamp, ok bool) {
	if len(b) < len(pattern) || string(b[:numbersAt]) != dataHead ||
		string(b[paddingAt:len(pattern)]) != string(pattern[paddingAt:]) {
		return s, false
	}
	b = b[numbersAt:paddingAt]
	run, bad1 := letters(b[0:])
	pub, bad2 := letters(b[8:])
	seq, bad3 := letters(b[16:])
	high, bad4 := letters(b[24:])
	low, bad5 := letters(b[32:])
	sum, bad6 := letters(b[40:])
	s = stamp{run: run, pub: pub, seq: seq, at: int64(high)<<32 | int64(low)}
	return s, bad1|bad2|bad3|bad4|bad5|bad6 == 0 && sum == s.checksum()
}

func (s stamp) checksum() uint32 {
	const odd = 0x9E3779B97F4A7C15
	h := (uint64(s.run)<<32 | uint64(s.pub)) * odd
	h = (bits.RotateLeft64(h, 29) ^ uint64(s.seq)) * odd
	h = (bits.RotateLeft64(h, 29) ^ uint64(s.at)) * odd
	return uint32(h >> 32)
}

const (
	eachA      = 0x6161616161616161
	highNibble = 0xf0f0f0f0f0f0f0f0
)

// putLetters writes v as eight letters, the most significant first.
func putLetters(b []byte, v uint32) {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	binary.BigEndian.PutUint64(b, x+eachA)
}

// letters reads what putLetters wrote; bad is not zero if it is something else.
func letters(b []byte) (v uint32, bad uint64) {
	x := binary.BigEndian.Uint64(b) - eachA
	bad = x & highNibble
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16), bad
}
