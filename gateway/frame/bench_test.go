package frame

import (
	"fmt"
	"testing"
)

func BenchmarkParser(b *testing.B) {
	for _, bench := range []struct {
		name   string
		stream []byte
		read   int // bytes a read; 0: all at once
	}{
		{"text=50", client(true, text, long[:50]), 0},
		{"text=1000", client(true, text, long[:1000]), 0},
		{"text=60000", client(true, text, long[:60000]), 0},
		{"text=60000/read=4096", client(true, text, long[:60000]), 4096},
		{"fragments=3x50", join(client(false, text, long[:50]), client(false, cont, long[:50]), client(true, cont, long[:50])), 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.stream)))
			read := bench.read
			if read == 0 {
				read = len(bench.stream)
			}
			data := make([]byte, len(bench.stream))
			var p Parser
			for b.Loop() {
				copy(data, bench.stream)
				for off := 0; off < len(data); off += read {
					for rest := data[off:min(off+read, len(data))]; ; {
						_, n, ok, err := p.Next(rest, testLimit)
						if err != nil {
							b.Fatal(err)
						}
						if !ok {
							break
						}
						rest = rest[n:]
					}
				}
			}
		})
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, size := range []int{50, 1000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			payload := []byte(long[:size])
			dst := make([]byte, 0, size+HeaderSize(size))
			for b.Loop() {
				dst = AppendFrame(dst[:0], text, payload)
			}
		})
	}
}
