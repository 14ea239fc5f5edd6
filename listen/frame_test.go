package listen

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"earshot/session"
)

var odd = Event{
	ID: "edge-1-\x00", FromMS: -1, TimeMS: 1 << 60, Stream: "a'b\"\n", Bytes: 1<<63 - 1, MediaMS: 7, Offset: 3,
	Who: Who{Key: session.Key{ID: "ü,;'\"", Group: "g"}, Kind: session.HLS, UserID: "u", DeviceID: "d", DeviceType: "t",
		IP: "::1", UserAgent: "Mozilla/5.0 \x01", Country: "DE", Edge: "edge"},
}

// readEvents reads what a run of event frames holds.
func readEvents(b []byte) (events []Event, good int64, err error) {
	good, err = readFrames(bytes.NewReader(b), func(kind frameKind, p *payload) error {
		who := p.who()
		e := p.slice()
		e.Who = who
		events = append(events, e)
		return nil
	})
	return events, good, err
}

func TestFramesRoundTrip(t *testing.T) {
	var f frames
	f.event(&odd)
	f.event(&Event{})
	events, good, err := readEvents(f.buf)
	if err != nil || good != int64(len(f.buf)) {
		t.Fatalf("read %d of %d bytes: %v", good, len(f.buf), err)
	}
	if want := []Event{odd, {}}; !reflect.DeepEqual(events, want) {
		t.Errorf("read %+v\nwant %+v", events, want)
	}
}

// TestFramesTorn cuts a file at every byte, and flips every byte of its second frame: the first frame is always read, the
// second never is unless it is whole.
func TestFramesTorn(t *testing.T) {
	var f frames
	f.event(&odd)
	first := len(f.buf)
	f.event(&odd)
	for cut := first; cut < len(f.buf); cut++ {
		events, good, err := readEvents(f.buf[:cut])
		if cut == first && err != nil || cut > first && !errors.Is(err, errTorn) || good != int64(first) || len(events) != 1 {
			t.Fatalf("cut at %d: %d events, %d bytes good, %v", cut, len(events), good, err)
		}
	}
	for i := first; i < len(f.buf); i++ {
		broken := bytes.Clone(f.buf)
		broken[i] ^= 0x41
		if events, good, err := readEvents(broken); !errors.Is(err, errTorn) || good != int64(first) || len(events) != 1 {
			t.Fatalf("byte %d flipped: %d events, %d bytes good, %v", i, len(events), good, err)
		}
	}
}

func FuzzFrames(f *testing.F) {
	var whole frames
	whole.event(&odd)
	f.Add(whole.buf)
	f.Fuzz(func(t *testing.T, b []byte) {
		events, good, err := readEvents(b)
		if err == nil && good != int64(len(b)) || good > int64(len(b)) {
			t.Fatalf("%d of %d bytes good, %v", good, len(b), err)
		}
		_ = events
	})
}
