package playlist

import (
	"strings"
	"testing"
	"time"
)

func TestParseSeconds(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"6": 6e9, "6.006": 6_006_000_000, " 9.009\r": 9_009_000_000, "0.1": 100_000_000, ".5": 500_000_000, "5.": 5e9,
		"4.000080001": 4_000_080_001, "1.0000000019": 1_000_000_001, "007": 7e9, "86400": 24 * time.Hour,
		"86400.1": 0, "86401": 0, "-1": 0, "+1": 0, "NaN": 0, "inf": 0, "1e308": 0, "1e1": 0, "": 0, ".": 0, "1.2.3": 0,
		"9999999999999999999999999": 0, "0x10": 0, "1 2": 0, "6,5": 0,
		strings.Repeat("0", 1<<16) + "1": time.Second, "1." + strings.Repeat("0", 1<<16) + "9": time.Second,
	} {
		if got := parseSeconds([]byte(text)); got != want {
			t.Errorf("%.40q: %v, want %v", text, got, want)
		}
	}
}

func TestParseDateTime(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for text, want := range map[string]struct {
		at        time.Time
		precision time.Duration
	}{
		"2026-02-03T04:05:06Z":              {at, time.Second},
		"2026-02-03T04:05:06":               {at, time.Second},
		"2026-02-03t04:05:06z":              {at, time.Second},
		"2026-02-03 04:05:06Z":              {at, time.Second},
		"2026-02-03T04:05:06.5Z":            {at.Add(500 * time.Millisecond), time.Millisecond},
		"2026-02-03T04:05:06.123456789Z":    {at.Add(123456 * time.Microsecond), time.Millisecond},
		"2026-02-03T04:05:06,250Z":          {at.Add(250 * time.Millisecond), time.Millisecond},
		"2026-02-03T06:05:06.000+02:00":     {at, time.Millisecond},
		"2026-02-03T06:05:06.000+0200":      {at, time.Millisecond},
		"2026-02-02T22:35:06-05:30":         {at, time.Second},
		"2026-02-03T06:05:06+02":            {at, time.Second},
		" 2026-02-03T04:05:06.000Z\r":       {at, time.Millisecond},
		"2026-02-02T24:00:00Z":              {time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC), time.Second},
		"2026-02-03T04:05:60Z":              {at.Add(54 * time.Second), time.Second},
		"9999-12-31T23:59:59Z":              {time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Second},
		"0000-01-01T00:00:00Z":              {time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Second},
		"2026-02-03":                        {},
		"2026-02-03T04:05":                  {},
		"2026-13-03T04:05:06Z":              {},
		"2026-02-03T25:05:06Z":              {},
		"2026-02-03T04:05:06.Z":             {},
		"2026-02-03T04:05:06+2:00":          {},
		"2026-02-03T04:05:06+99:00":         {},
		"2026-02-03T04:05:06 UTC":           {},
		"Tue, 03 Feb 2026 04:05:06 GMT":     {},
		"":                                  {},
		"２０２６-02-03T04:05:06Z":              {},
		"2026-02-03T04:05:06.000+02:00junk": {},
	} {
		got, precision, ok := parseDateTime([]byte(text))
		if ok != !want.at.IsZero() && want.precision != 0 || ok && (got != want.at.UnixMicro() || precision != want.precision) {
			t.Errorf("%q: %v %v %v, want %v %v", text, time.UnixMicro(got).UTC(), precision, ok, want.at, want.precision)
		}
		if !ok && want.precision != 0 || ok && want.precision == 0 {
			t.Errorf("%q: ok is %v", text, ok)
		}
	}
}

func TestParseRange(t *testing.T) {
	for text, want := range map[string][3]int64{ // length, offset or -1; -2 is none
		"75232@0": {75232, 0}, "82112": {82112, -1}, "\"10@20\"": {10, 20}, " 5@6 ": {5, 6},
		"": {-2}, "@5": {-2}, "5@": {-2}, "5@x": {-2}, "-5@1": {-2}, "5@-1": {-2}, "5 @1": {-2}, "99999999999999999999": {-2},
		"1@99999999999999999999": {-2},
	} {
		length, offset, given, ok := parseRange([]byte(text))
		switch {
		case ok != (want[0] >= 0):
			t.Errorf("%q: ok is %v", text, ok)
		case ok && (length != want[0] || given != (want[1] >= 0) || given && offset != want[1]):
			t.Errorf("%q: %d@%d %v", text, length, offset, given)
		}
	}
}
