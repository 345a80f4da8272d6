package bench

import (
	"math/bits"
	"time"
)

const (
	subBits = 7 // 128 buckets for each doubling: values are right to 0.8 %
	maxBits = 42
)

// histogram counts durations in log-linear buckets of ns. Owned by one loop
// until the loop has ended.
type histogram struct {
	buckets [(maxBits - subBits + 1) << subBits]uint64
	count   uint64
	max     int64 // ns
}

// add counts one duration in ns; what is longer than 2^42 ns (73 minutes) goes into the last bucket.
func (h *histogram) add(ns int64) {
	v := uint64(max(ns, 0))
	h.max = max(h.max, ns)
	h.count++
	if v >= 1<<maxBits {
		v = 1<<maxBits - 1
	}
	shift := max(bits.Len64(v)-subBits-1, 0)
	h.buckets[shift<<subBits+int(v>>shift)]++
}

// merge adds what o counted.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// quantile is the duration that the share q of all is not longer than.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen > rank {
			return time.Duration(min(bucketTop(i), h.max))
		}
	}
	return time.Duration(h.max)
}

// bucketTop is the largest value, in ns, that bucket i counts.
func bucketTop(i int) int64 {
	shift := max(i>>subBits-1, 0)
	return (int64(i-shift<<subBits)+1)<<shift - 1
}

// latency is the histogram in a few numbers.
func (h *histogram) latency() Latency {
	return Latency{P50: us(h.quantile(0.5)), P90: us(h.quantile(0.9)), P99: us(h.quantile(0.99)),
		P999: us(h.quantile(0.999)), Max: us(time.Duration(h.max))}
}

// bars is the histogram with eight bars for each doubling, from the first that counts to the last.
func (h *histogram) bars() (bars []Bucket) {
	const merged = 1 << subBits / 8
	for i := 0; i < len(h.buckets); i += merged {
		var n uint64
		for _, c := range h.buckets[i : i+merged] {
			n += c
		}
		if n > 0 || len(bars) > 0 {
			bars = append(bars, Bucket{UpTo: us(time.Duration(bucketTop(i + merged - 1))), Count: n})
		}
	}
	for len(bars) > 0 && bars[len(bars)-1].Count == 0 {
		bars = bars[:len(bars)-1]
	}
	return bars
}
