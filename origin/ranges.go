package origin

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// byteRange is the part [first, last] that a request asks for (RFC 9110, 14.1.2). The zero value asks for the whole.
type byteRange struct {
	given       bool
	first, last int64 // last −1: to the end. first −1: the last so many bytes, which are in last
}

// readRange reads a Range header. One that is malformed, of another unit, or asks for several parts at once is as good as none: the whole
// is an allowed answer (RFC 9110, 14.2), and one that can be metered.
func readRange(header string) byteRange {
	unit, spec, ok := strings.Cut(header, "=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash || !strings.EqualFold(strings.TrimSpace(unit), "bytes") || strings.Contains(spec, ",") {
		return byteRange{}
	}
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	first, okFirst := position(from)
	last, okLast := position(to)
	switch {
	case from == "" && okLast:
		return byteRange{true, -1, last}
	case okFirst && to == "":
		return byteRange{true, first, -1}
	case okFirst && okLast && first <= last:
		return byteRange{true, first, last}
	}
	return byteRange{}
}

// position reads a number of any length; one too large for any body is as large as can be.
func position(text string) (n int64, ok bool) {
	if !isDigits(text) {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true
}

// whole reports whether the answer holds the resource from its first byte to its last.
func (r byteRange) whole() bool { return !r.given || r.first == 0 && r.last == -1 }

// none reports whether no body has what is asked for.
func (r byteRange) none() bool { return r.first < 0 && r.last == 0 }

// of is the part [from, to) of a body of that length; ok is false where it has none of what is asked for (RFC 9110, 15.5.17).
func (r byteRange) of(length int64) (from, to int64, ok bool) {
	switch {
	case !r.given:
		return 0, length, true
	case r.first < 0:
		return max(0, length-r.last), length, r.last > 0 && length > 0
	case r.first >= length:
		return 0, 0, false
	case r.last < 0 || r.last >= length:
		return r.first, length, true
	}
	return r.first, r.last + 1, true
}

// String is the range as a header has it; it is the range's name in the cache.
func (r byteRange) String() string {
	switch {
	case !r.given:
		return ""
	case r.first < 0:
		return "bytes=-" + strconv.FormatInt(r.last, 10)
	case r.last < 0:
		return "bytes=" + strconv.FormatInt(r.first, 10) + "-"
	}
	return "bytes=" + strconv.FormatInt(r.first, 10) + "-" + strconv.FormatInt(r.last, 10)
}

func contentRange(from, to, length int64) string {
	b := append(make([]byte, 0, 48), "bytes "...)
	b = strconv.AppendInt(b, from, 10)
	b = strconv.AppendInt(append(b, '-'), to-1, 10)
	b = strconv.AppendInt(append(b, '/'), length, 10)
	return string(b)
}

// readContentRange reads the head of a 206 (RFC 9110, 14.4). total is −1 where it is not said. ok is false where it is malformed.
func readContentRange(header string) (first, last, total int64, ok bool) {
	spec, ok := strings.CutPrefix(strings.TrimSpace(header), "bytes ")
	part, size, found := strings.Cut(spec, "/")
	from, to, dash := strings.Cut(part, "-")
	if !ok || !found || !dash {
		return 0, 0, 0, false
	}
	first, okFirst := position(strings.TrimSpace(from))
	last, okLast := position(strings.TrimSpace(to))
	total, okTotal := position(strings.TrimSpace(size))
	if strings.TrimSpace(size) == "*" {
		total, okTotal = -1, true
	}
	if !okFirst || !okLast || !okTotal || last < first || total >= 0 && last >= total {
		return 0, 0, 0, false
	}
	return first, last, total, true
}

// conditions are what a request makes its answer depend on (RFC 9110, 13.1).
type conditions struct {
	noneMatch     string
	modifiedSince string
	ifRange       string
}

func readConditions(h http.Header) conditions {
	return conditions{h.Get("If-None-Match"), h.Get("If-Modified-Since"), h.Get("If-Range")}
}

// validators are what an answer can be known again by (RFC 9110, 8.8).
type validators struct {
	etag     string
	modified string // Last-Modified as it was written
}

func readValidators(h http.Header) validators {
	v := validators{etag: h.Get("Etag"), modified: h.Get("Last-Modified")}
	if !isETag(v.etag) {
		v.etag = ""
	}
	if _, err := http.ParseTime(v.modified); err != nil {
		v.modified = ""
	}
	return v
}

// isETag checks entity-tag (RFC 9110, 8.8.3).
func isETag(tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	return len(tag) >= 2 && len(tag) <= 1024 && tag[0] == '"' && strings.IndexByte(tag[1:], '"') == len(tag)-2
}

// agree reports whether what a 304 says may be said of the answer that has v.
func (v validators) agree(said validators) bool {
	return said.etag == "" || v.etag == "" || strings.TrimPrefix(said.etag, "W/") == strings.TrimPrefix(v.etag, "W/")
}

// any reports whether the answer can be asked for again by what it is.
func (v validators) any() bool { return v.etag != "" || v.modified != "" }

// unchanged reports whether the client has this answer already.
func (c *conditions) unchanged(v validators) bool {
	if c.noneMatch != "" {
		return matches(c.noneMatch, v.etag)
	}
	if c.modifiedSince == "" || v.modified == "" {
		return false
	}
	since, err := http.ParseTime(c.modifiedSince)
	if err != nil {
		return false
	}
	modified, err := http.ParseTime(v.modified)
	return err == nil && !modified.After(since)
}

// matches compares weakly (RFC 9110, 8.8.3.2).
func matches(list, etag string) bool {
	for tag := range fields(list) {
		tag = strings.TrimSpace(tag)
		if tag == "*" || etag != "" && strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// ranges reports whether a range may be answered with a part: what the client has of it is of this very answer (RFC 9110, 13.1.5).
func (c *conditions) ranges(v validators, now time.Time) bool {
	switch {
	case c.ifRange == "":
		return true
	case strings.HasSuffix(c.ifRange, `"`):
		return c.ifRange == v.etag && !strings.HasPrefix(v.etag, "W/")
	}
	// A date is a strong validator only if it was long enough ago that nothing could change within its second (RFC 9110, 8.8.2.2).
	modified, err := http.ParseTime(v.modified)
	return err == nil && c.ifRange == v.modified && now.Sub(modified) > time.Minute
}
