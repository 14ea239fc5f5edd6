package config

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1234": 1234, "5B": 5, "64KiB": 65536, "500kB": 500_000, "500KB": 500_000, "256MiB": 256 << 20,
		"2GiB": 2 << 30, "1TiB": 1 << 40, "3MB": 3e6, "3GB": 3e9, "3TB": 3e12, "1.5GiB": 3 << 29, "64 KiB": 65536,
		"9223372036854775807": math.MaxInt64,
	} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"": errSize, "KiB": errSize, "64K": errSize, "64kib": errSize, "1.5": errSize, "1.5B": errSize, "1e3": errSize, ".5kB": errSize,
		"0x10": errSize, "5 kB x": errSize, "-1": errNegative, "-1.5GiB": errNegative, "- 1": errSize,
		"9223372036854775808": errTooLarge, "8388608TiB": errTooLarge, "9999999.5TiB": errTooLarge,
	} {
		if got, err := parseSize(text); got != 0 || err != want {
			t.Errorf("%s: %d, %v; want %v", text, got, err, want)
		}
	}
}

func TestSizeString(t *testing.T) {
	for size, want := range map[Size]string{
		0: "0", 1: "1", 1000: "1kB", 1024: "1KiB", 64 * kib: "64KiB", 256 * mib: "256MiB", 2 * gib: "2GiB", 3 * tib: "3TiB",
		500_000: "500kB", 1e12: "1TB", 1025: "1025",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d: %s, want %s", int64(size), got, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "30s": 30 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond,
		"90d": 90 * day, "2w": 14 * day, "1w1d": 8 * day, "1d12h": 36 * time.Hour, "1w2h": 170 * time.Hour,
		"0d": 0, "106751d": 106751 * day, "1.5h": 90 * time.Minute,
	} {
		if got, err := parseDuration(text); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]error{
		"": errDuration, "soon": errDuration, "d": errDuration, "1d2w": errDuration, "1.5d": errDuration, "1d-5s": errDuration,
		"1d+5s": errDuration, "1y": errDuration, "1d5": errDuration, "5 s": errDuration, "30": errNoUnit, "1.5": errNoUnit,
		"-5s": errNegative, "106752d": errTooLarge, "106751d24h": errTooLarge, "99999999999999999999d": errDuration,
	} {
		if got, err := parseDuration(text); got != 0 || err != want {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

// A size that is written reads back as the same; nothing else panics or comes out negative.
func FuzzUnits(f *testing.F) {
	for _, s := range []string{"64KiB", "1.5GiB", "-1", "90d", "1w2d3h", "30", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil {
			if again, err := parseSize(n.String()); n < 0 || again != n || err != nil {
				t.Errorf("%q: %d, written %s, read %d, %v", s, int64(n), n, int64(again), err)
			}
		}
		if d, err := parseDuration(s); err == nil && d < 0 {
			t.Errorf("%q: %v", s, d)
		}
	})
}
