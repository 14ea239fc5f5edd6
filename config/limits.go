package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limit is at most Max seats per user, device, address, stream or edge, for one device type or group if named. No two are of the same seats.
type Limit struct {
	Line int // where the entry begins in its file

	Per        string
	DeviceType string // empty: all
	Group      string // key of a group or stream, * for any run of bytes; empty: all
	Max        int
}

func limitKeys(l *Limit) into {
	return func(v value) {
		l.Line = v.node.Line
		object(
			field{"per", oneOf(&l.Per, "user", "device", "address", "stream", "edge")},
			field{"device_type", checked(&l.DeviceType, badDevice)},
			field{"group", checked(&l.Group, badKey)},
			field{"max", number(&l.Max, 1)},
		)(v)
		v.needs("per", "max")
	}
}

// checkLimits refuses two limits of the same seats: which of them holds?
func (d *decoder) checkLimits(limits []Limit) {
	type seats struct{ per, deviceType, group string }
	first := map[seats]int{}
	for i, l := range limits {
		key, of := fmt.Sprintf("limits[%d]", i), seats{l.Per, l.DeviceType, l.Group}
		_, typed := d.written[key+".device_type"]
		_, grouped := d.written[key+".group"]
		if l.Per == "" || typed && l.DeviceType == "" || grouped && l.Group == "" {
			continue // which was said already
		}
		if other, ok := first[of]; ok {
			d.problemAt(l.Line, key, "limits the same seats as limits[%d] (line %d); keep one", other, limits[other].Line)
			continue
		}
		first[of] = i
	}
}

// badDevice checks a device type, as tokens and apps name them.
func badDevice(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if s == "" || len(s) > 64 || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) || strings.TrimSpace(s) != s {
		return "is not a device type; write 1 to 64 bytes of printable text, such as stb"
	}
	return ""
}
