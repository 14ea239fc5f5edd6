package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

const (
	kib Size = 1 << 10
	mib Size = 1 << 20
	gib Size = 1 << 30
	tib Size = 1 << 40

	day = 24 * time.Hour
)

// units of sizes, from the largest, so that String finds the shortest way to write one.
var units = []struct {
	name  string
	bytes Size
}{
	{"TiB", tib}, {"TB", 1e12}, {"GiB", gib}, {"GB", 1e9}, {"MiB", mib}, {"MB", 1e6}, {"KiB", kib}, {"kB", 1e3}, {"KB", 1e3},
}

// String writes a size so that it reads back as the same number: 64KiB, 500kB, 1234.
func (s Size) String() string {
	for _, u := range units {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

var (
	errNegative = errors.New("is negative; write 0 or more")
	errSize     = errors.New("is not a size; write one such as 64KiB, 256MiB or 500kB")
	errDuration = errors.New("is not a duration; write one such as 30s, 1m30s or 90d")
	errNoUnit   = errors.New("has no unit; write one such as 30s, 1m30s or 90d")
	errTooLarge = errors.New("is too large")
)

// parseSize reads 64KiB, 1.5GiB, 500kB or a plain number of bytes. Its errors follow a quoted value.
func parseSize(s string) (Size, error) {
	digits, unit := s, Size(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = rest, u.bytes
			break
		}
	}
	if unit == 1 {
		digits = strings.TrimSuffix(s, "B")
	}
	digits = strings.TrimRight(digits, " ")
	if strings.HasPrefix(digits, "-") && isDecimal(digits[1:]) {
		return 0, errNegative
	}
	if !isDecimal(digits) || unit == 1 && strings.Contains(digits, ".") {
		return 0, errSize
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n <= math.MaxInt64/int64(unit) {
		return Size(n) * unit, nil
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n*float64(unit) >= math.MaxInt64 {
		return 0, errTooLarge
	}
	return Size(n * float64(unit)), nil
}

// parseDuration reads what time.ParseDuration does, and before it weeks and days: 90d, 2w, 1d12h. A plain 0 needs
// no unit. Its errors follow a quoted value.
func parseDuration(s string) (time.Duration, error) {
	if strings.HasPrefix(s, "-") {
		return 0, errNegative
	}
	if s != "0" && isDecimal(s) {
		return 0, errNoUnit
	}
	var total time.Duration
	rest := s
	for _, unit := range []struct {
		letter string
		worth  time.Duration
	}{{"w", 7 * day}, {"d", day}} {
		count, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 63)
		if err != nil || strings.HasPrefix(after, "-") || strings.HasPrefix(after, "+") {
			return 0, errDuration
		}
		if n > uint64((math.MaxInt64-total)/unit.worth) {
			return 0, errTooLarge
		}
		total += time.Duration(n) * unit.worth
		rest = after
	}
	if rest == "" && s != "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil {
		return 0, errDuration
	}
	if d > math.MaxInt64-total {
		return 0, errTooLarge
	}
	return total + d, nil
}

// isDecimal is whether s is digits, perhaps with a point between them.
func isDecimal(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	return isDigits(whole) && (!point || isDigits(fraction))
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
