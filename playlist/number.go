package playlist

import (
	"bytes"
	"time"
)

// maxDuration is the longest segment believed.
const maxDuration = 24 * time.Hour

// maxNumber is the largest integer believed: a sequence number or a byte position. Sums of a few stay in int64.
const maxNumber = 1 << 53

// parseSeconds reads a decimal number of seconds, exact to the nanosecond (further digits are cut off). What is
// no plain decimal, is negative or exceeds 24 hours is 0.
func parseSeconds(b []byte) time.Duration {
	start, end := trim(b, 0, len(b))
	b = b[start:end]
	var d time.Duration
	unit := time.Second // worth of the last digit read
	point, digits := false, 0
	for _, c := range b {
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return 0
		case !point:
			d = d*10 + time.Duration(c-'0')*time.Second
		case unit > 1:
			unit /= 10
			d += time.Duration(c-'0') * unit
		}
		if digits++; d > maxDuration {
			return 0
		}
	}
	if digits == 0 {
		return 0
	}
	return d
}

// parseNumber reads a decimal integer (RFC 8216, 4.2); what is none, or is beyond belief, is 0.
func parseNumber(b []byte) int64 {
	start, end := trim(b, 0, len(b))
	n, rest := digits(b[start:end])
	if len(rest) > 0 || n > maxNumber {
		return 0
	}
	return n
}

// digits reads the digits that b begins with. Too large a number comes out as more than maxNumber.
func digits(b []byte) (n int64, rest []byte) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		if n <= maxNumber {
			n = n*10 + int64(b[i]-'0')
		}
	}
	return n, b[i:]
}

// parseRange reads length[@offset] (RFC 8216, 4.3.2.2); given tells whether there was an offset.
func parseRange(b []byte) (length, offset int64, given, ok bool) {
	start, end := trim(b, 0, len(b))
	b = bytes.Trim(b[start:end], `"`)
	length, rest := digits(b)
	if len(rest) == len(b) || length > maxNumber {
		return 0, 0, false, false
	}
	if len(rest) == 0 {
		return length, 0, false, true
	}
	offset, tail := digits(rest[1:])
	if rest[0] != '@' || len(tail) > 0 || len(rest) == 1 || offset > maxNumber {
		return 0, 0, false, false
	}
	return length, offset, true, true
}

// parseDateTime reads an ISO 8601 date and time of day (RFC 8216, 4.3.2.6): any number of fractional digits, a
// zone as Z, ±hh:mm, ±hhmm or ±hh, or none, which is taken as UTC. t is in Unix µs.
func parseDateTime(b []byte) (t int64, precision time.Duration, ok bool) {
	start, end := trim(b, 0, len(b))
	b = b[start:end]
	const shape = "0000-00-00T00:00:00"
	if len(b) < len(shape) {
		return 0, 0, false
	}
	for i := range len(shape) {
		switch c := b[i]; shape[i] {
		case '0':
			if c < '0' || c > '9' {
				return 0, 0, false
			}
		case 'T':
			if c != 'T' && c != 't' && c != ' ' {
				return 0, 0, false
			}
		default:
			if c != shape[i] {
				return 0, 0, false
			}
		}
	}
	two := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second > 60 {
		return 0, 0, false
	}
	micros, precision, zone := parseFraction(b[len(shape):])
	offset, ok := parseZone(zone)
	if !ok {
		return 0, 0, false
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Add(-offset)
	return at.UnixMicro() + micros, precision, true
}

// parseFraction reads the fraction of a second that b may begin with.
func parseFraction(b []byte) (micros int64, precision time.Duration, rest []byte) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || b[1] < '0' || b[1] > '9' {
		return 0, time.Second, b
	}
	unit := int64(100_000)
	b = b[1:]
	for len(b) > 0 && '0' <= b[0] && b[0] <= '9' {
		micros += int64(b[0]-'0') * unit
		unit /= 10
		b = b[1:]
	}
	return micros, time.Millisecond, b
}

func parseZone(b []byte) (east time.Duration, ok bool) {
	if len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	sign := time.Duration(1)
	switch b[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, false
	}
	b = b[1:]
	if len(b) == 5 && b[2] == ':' {
		b = []byte{b[0], b[1], b[3], b[4]}
	}
	if len(b) != 2 && len(b) != 4 {
		return 0, false
	}
	n, rest := digits(b)
	if len(rest) > 0 {
		return 0, false
	}
	hours, minutes := n, int64(0)
	if len(b) == 4 {
		hours, minutes = n/100, n%100
	}
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute), true
}
