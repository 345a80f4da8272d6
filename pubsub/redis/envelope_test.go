package redis

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fanfare-ws/fanfare/pubsub"
)

// The bytes that programs outside rely on, as the package comment lays them out.
var layouts = []struct {
	name string
	m    pubsub.Message
	wire string
}{
	{"empty text", pubsub.Message{}, "\x01\x00"},
	{"binary", pubsub.Message{Kind: pubsub.Binary, Payload: []byte("\xff\x00")}, "\x01\x01\xff\x00"},
	{"JSON, not back", pubsub.Message{Kind: pubsub.JSON, SkipOrigin: true, Payload: []byte("1")}, "\x01\x061"},
	{"position", pubsub.Message{Position: pubsub.Position{Epoch: 0x0102, Offset: 3}, Payload: []byte("p")},
		"\x01\x08\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00\x03p"},
	{"origin", pubsub.Message{Origin: pubsub.Origin{Instance: 1, Socket: 2, Sent: -1}, Payload: []byte("p")},
		"\x01\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff\xff\xff\xff\xff\xff\xffp"},
	{"from", pubsub.Message{From: "ann", Payload: []byte("p")}, "\x01\x20\x03annp"},
	{"all", pubsub.Message{From: "é", Position: pubsub.Position{Epoch: pubsub.MaxEpoch, Offset: 1}, SkipOrigin: true,
		Origin: pubsub.Origin{Socket: 1}, Kind: pubsub.JSON, Payload: []byte("{}")},
		"\x01\x3e\x00\x1f\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x01" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02é{}"},
}

var malformed = map[string]string{
	"no flags":           "\x01",
	"kind 3":             "\x01\x03",
	"unknown flag 0x40":  "\x01\x40",
	"unknown flag 0x80":  "\x01\x80",
	"short position":     "\x01\x08\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00",
	"epoch 0":            "\x01\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
	"offset 0":           "\x01\x08\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
	"epoch 2^53":         "\x01\x08\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
	"short origin":       "\x01\x10abc",
	"no from":            "\x01\x20",
	"empty from":         "\x01\x20\x00",
	"from too long":      "\x01\x20\x05ann",
	"from's length 2^63": "\x01\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01ann",
	"from's length open": "\x01\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
	"from not UTF-8":     "\x01\x20\x01\xff",
	"text not UTF-8":     "\x01\x00\xff",
	"JSON not JSON":      "\x01\x02{",
	"JSON empty":         "\x01\x02",
	"JSON two values":    "\x01\x02 1 2",
	"JSON not UTF-8":     "\x01\x02\"\xff\"",
}

func TestTheEnvelopeIsAsDocumented(t *testing.T) {
	t.Parallel()
	for _, l := range layouts {
		if got := appendEnvelope(nil, &l.m); string(got) != l.wire {
			t.Errorf("%s: wrote %x, want %x", l.name, got, l.wire)
		}
		got, err := decode([]byte(l.wire))
		if diff := cmp.Diff(l.m, got, cmp.Comparer(bytes.Equal)); err != nil || diff != "" {
			t.Errorf("%s: read %v (-want +got):\n%s", l.name, err, diff)
		}
	}
}

func TestAMalformedEnvelopeIsNotBelieved(t *testing.T) {
	t.Parallel()
	for name, wire := range malformed {
		if m, err := decode([]byte(wire)); err == nil {
			t.Errorf("%s: %x is read as %+v", name, wire, m)
		}
	}
}

func TestWhatIsNoEnvelopeIsForeign(t *testing.T) {
	t.Parallel()
	for _, wire := range []string{"", "hello", "\x00\x01", "\xff"} {
		m, err := decode([]byte(wire))
		if err != nil || m.Kind != pubsub.Foreign || string(m.Payload) != wire {
			t.Errorf("%q: %+v, %v", wire, m, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, l := range layouts {
		f.Add([]byte(l.wire))
	}
	for _, wire := range malformed {
		f.Add([]byte(wire))
	}
	f.Add([]byte("hello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil || m.Kind == pubsub.Foreign {
			return
		}
		again, err := decode(appendEnvelope(nil, &m))
		if diff := cmp.Diff(m, again, cmp.Comparer(bytes.Equal)); err != nil || diff != "" {
			t.Errorf("%x: written and read again: %v\n%s", b, err, diff)
		}
	})
}

func TestThePartitionIsTheNamesFNV1aHash(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]uint32{"": 0x811c9dc5, "a": 0xe40c292c, "foobar": 0xbf9cf968} {
		if got := fnv1a(name); got != want {
			t.Errorf("%q: %x, want %x", name, got, want)
		}
	}
	l := newLayout("fanfare", 64, false)
	if got := l.channel(pubsub.Room("foobar")); got != "fanfare:{40}:c:foobar" {
		t.Errorf("channel %q", got)
	}
}
