package playlist

import (
	"bytes"
	"strings"
	"testing"

	"github.com/grafov/m3u8"
)

// TestReserialisingLoses is the measured reason of ADR 1: what becomes of the cases when they are decoded and encoded. It fails on the day
// that this works, so that the decision can be taken again.
func TestReserialisingLoses(t *testing.T) {
	cases := loadCases(t)
	var refused, panicked, changed, lost int
	for _, c := range cases {
		out, ok, panics := reserialised(c.in)
		switch {
		case panics:
			panicked++
		case !ok:
			refused++
		case !bytes.Equal(out, c.in):
			changed++
			if losesTag(c.in, out) {
				lost++
			}
		}
	}
	t.Logf("of %d playlists %d are refused, %d make it panic and %d come out changed, %d of these without some tag",
		len(cases), refused, panicked, changed, lost)
	if changed < len(cases)/2 {
		t.Errorf("only %d of %d come out changed: see ADR 1", changed, len(cases))
	}
}

func reserialised(body []byte) (out []byte, ok, panics bool) {
	defer func() { panics = recover() != nil }()
	p, _, err := m3u8.Decode(*bytes.NewBuffer(body), false)
	if err != nil {
		return nil, false, false
	}
	return p.Encode().Bytes(), true, false
}

func losesTag(before, after []byte) bool {
	for line := range bytes.Lines(before) {
		name, _, _ := strings.Cut(string(bytes.TrimSpace(line)), ":")
		if strings.HasPrefix(name, "#EXT") && !bytes.Contains(after, []byte(name)) {
			return true
		}
	}
	return false
}
