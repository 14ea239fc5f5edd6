package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// directives are what a client asks of a playlist (rfc8216bis, 6.2.5).
type llDirectives struct {
	msn, part int // −1: none
	skip      bool
}

// readDirectives reads the query of a playlist, in which nothing else may be than the origin's own.
func readDirectives(query, feed string) (d llDirectives, wrong string) {
	d = llDirectives{-1, -1, false}
	seen := make(map[string]bool)
	fed := feed == ""
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		number, err := strconv.Atoi(value)
		if seen[name] {
			return d, name + " is there twice"
		}
		seen[name] = true
		switch {
		case pair == feed:
			fed = true
		case name == "_HLS_msn" && err == nil && number >= 0:
			d.msn = number
		case name == "_HLS_part" && err == nil && number >= 0:
			d.part = number
		case name == "_HLS_skip" && (value == "YES" || value == "v2"):
			d.skip = true
		default:
			return d, fmt.Sprintf("%q is no directive", pair)
		}
	}
	if !fed {
		return d, "the playlist's own query is missing"
	}
	if d.part >= 0 && d.msn < 0 {
		return d, "_HLS_part without _HLS_msn"
	}
	return d, ""
}

// wanted is the part, by its number from the first on, without which the playlist is not what was asked for.
func (d llDirectives) wanted() int {
	segment := d.msn - llFirst
	switch {
	case d.msn < 0:
		return -1
	case d.part < 0:
		return (segment+1)*llParts - 1
	}
	return segment*llParts + min(d.part, llParts) // beyond the segment's last part the first of the next is meant
}

// ahead tells why a client may not wait for that yet: it is too far in the future.
func (d llDirectives) ahead(published int) string {
	last := llFirst + published/llParts - 1
	if d.msn > last+2 {
		return fmt.Sprintf("segment %d is the last", last)
	}
	limit := int(3 * time.Second / llPart) // the Advance Part Limit, where parts are shorter than a second
	if d.msn == last+1 && d.part > published%llParts-1+limit {
		return fmt.Sprintf("segment %d has %d parts", d.msn, published%llParts)
	}
	return ""
}

// answerPlaylist answers with the version that was asked for, once it is there.
func (o *llOrigin) answerPlaylist(a *llAnswer, r *http.Request, s *llShow, k *llTrack) {
	d := llDirectives{-1, -1, false}
	var wrong string
	if r.URL.RawQuery != "" || s.feed != "" {
		d, wrong = readDirectives(r.URL.RawQuery, s.feed)
	}
	if wrong == "" {
		wrong = d.ahead(o.published(k))
	}
	if wrong != "" {
		o.violate(a, r, http.StatusBadRequest, wrong)
		return
	}
	err := o.await(r.Context(), k, d.wanted())
	if r.Context().Err() != nil {
		return
	}
	cache := "max-age=1"
	if d.msn >= 0 {
		cache = fmt.Sprintf("max-age=%.0f", (6 * llTarget).Seconds())
	}
	if err != nil {
		a.Header().Set("Cache-Control", fmt.Sprintf("max-age=%.0f", (4*llTarget).Seconds()))
		http.Error(a, err.Error(), http.StatusServiceUnavailable)
		return
	}
	o.answerText(a, s.playlist(k, o.air, o.published, d.skip), cache)
}

// withoutDirectives is the URI that directives were added to.
func withoutDirectives(u *url.URL) string {
	bare := *u
	var kept []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		if !strings.HasPrefix(pair, "_HLS_") {
			kept = append(kept, pair)
		}
	}
	bare.RawQuery = strings.Join(kept, "&")
	return bare.String()
}
