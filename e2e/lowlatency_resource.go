package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// openEnd is the last byte of a range that has no end yet (RFC 8673; rfc8216bis, 4.4.5.3).
const openEnd = 1<<53 - 1

// answerMedia answers with an init section, a part or a segment.
func (o *llOrigin) answerMedia(a *llAnswer, r *http.Request, s *llShow, k *llTrack, name string) {
	if r.URL.RawQuery != "" {
		o.violate(a, r, http.StatusBadRequest, "media has no query here")
		return
	}
	a.Header().Set("Content-Type", "audio/mp4")
	if k.anchor > 1 {
		a.Header().Set("Content-Type", "video/mp4")
	}
	a.Header().Set("Cache-Control", "max-age=60")
	if name == "init.mp4" {
		serveBytes(a, r, k.init)
		return
	}
	segment, part, ok := readMediaName(name)
	switch {
	case !ok || part >= 0 && s.ranged:
		o.violate(a, r, http.StatusNotFound, "no such resource")
	case part >= 0:
		o.answerPart(a, r, k, segment*llParts+part)
	case (segment+1)*llParts <= o.published(k):
		serveBytes(a, r, k.segment(segment))
	case s.ranged:
		o.answerGrowing(a, r, k, segment)
	default:
		o.violate(a, r, http.StatusNotFound, "that segment is not whole yet")
	}
}

// readMediaName reads 105.m4s and 105.2.m4s; segments count from 0, and part −1 is all of one.
func readMediaName(name string) (segment, part int, ok bool) {
	name, media := strings.CutSuffix(name, ".m4s")
	number, rest, isPart := strings.Cut(name, ".")
	segment, err := strconv.Atoi(number)
	part = -1
	if isPart && err == nil {
		part, err = strconv.Atoi(rest)
	}
	return segment - llFirst, part, media && err == nil && segment >= llFirst && part >= -1 && part < llParts
}

func serveBytes(w http.ResponseWriter, r *http.Request, b []byte) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// answerPart answers with a part that is there, or with the next one as soon as it is: all of it at once.
func (o *llOrigin) answerPart(a *llAnswer, r *http.Request, k *llTrack, part int) {
	if part > o.published(k) {
		o.violate(a, r, http.StatusNotFound, "that part was not even hinted at")
		return
	}
	if err := o.await(r.Context(), k, part); err != nil {
		if r.Context().Err() == nil {
			http.Error(a, err.Error(), http.StatusServiceUnavailable)
		}
		return
	}
	serveBytes(a, r, k.part[part])
}

// answerGrowing answers with a range of a segment that is not whole yet: parts that are there, or, to a request without an end, every
// part from one on, each when it is whole, until the segment is.
func (o *llOrigin) answerGrowing(a *llAnswer, r *http.Request, k *llTrack, segment int) {
	var from, to int
	if n, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil && n < 1 {
		o.violate(a, r, http.StatusNotFound, "that segment is not whole yet")
		return
	} else if n < 2 {
		to = openEnd
	}
	first := segment * llParts
	last := first
	for last < first+llParts-1 && k.offset(last) < from {
		last++
	}
	if k.offset(last) != from || last > o.published(k) {
		o.violate(a, r, http.StatusRequestedRangeNotSatisfiable, "no part begins there, or none that is hinted at")
		return
	}
	end := from + len(k.part[last]) - 1
	for ; end < to && last < o.published(k)-1 && last < first+llParts-1; last++ {
		end += len(k.part[last+1])
	}
	if to != openEnd && (end != to || last >= o.published(k)) {
		o.violate(a, r, http.StatusRequestedRangeNotSatisfiable, "these are no parts that are listed")
		return
	}
	a.Header().Set("Accept-Ranges", "bytes")
	a.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/*", from, to))
	if to == openEnd {
		o.grow(a, r, k, first, from)
	} else {
		a.Header().Set("Content-Length", strconv.Itoa(to-from+1))
		a.WriteHeader(http.StatusPartialContent)
		_, _ = a.Write(k.bytes(first, from)[:to-from+1]) // the client may have gone
	}
}

// bytes are those of a segment from an offset on, whether they are there yet or not.
func (k *llTrack) bytes(first, from int) (all []byte) {
	for _, p := range k.part[first : first+llParts] {
		all = append(all, p...)
	}
	return all[from:]
}

// grow sends a segment from an offset to its end. A part's bytes go out together.
func (o *llOrigin) grow(a *llAnswer, r *http.Request, k *llTrack, first, from int) {
	for part := first; part < first+llParts; part++ {
		if k.offset(part) < from {
			continue
		}
		if err := o.await(r.Context(), k, part); err != nil {
			panic(http.ErrAbortHandler) // what is short must look short
		}
		a.WriteHeader(http.StatusPartialContent)
		_, _ = a.Write(k.part[part])
		_ = http.NewResponseController(a).Flush()
	}
}
