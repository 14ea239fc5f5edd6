package origin

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// directives are what an origin's Cache-Control says to a shared cache (RFC 9111, 5.2.2).
type directives struct {
	said       bool          // how long it is fresh was said at all
	lifetime   time.Duration // for which it is fresh; 0 where it says so, or forbids to use it unasked
	never      bool          // it is not to be shared: no-store, private
	mustRevive bool          // it is not to be used stale: must-revalidate, proxy-revalidate, no-cache
}

// maxLifetime bounds what an origin can say; more would only overflow.
const maxLifetime = 365 * 24 * time.Hour

// readDirectives reads a head. Where it contradicts itself the stricter word counts (RFC 9111, 4.2.1).
func readDirectives(h http.Header) directives {
	var d directives
	shared := false // s-maxage was there: it overrides max-age and Expires
	for _, line := range h.Values("Cache-Control") {
		for part := range fields(line) {
			name, value, _ := strings.Cut(part, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "no-store", "private":
				d.never = true // private="field" too: which fields, nobody but a browser asks
			case "no-cache":
				d.limit(0)
				d.mustRevive, shared = true, true
			case "must-revalidate", "proxy-revalidate":
				d.mustRevive = true
			case "s-maxage":
				if !shared {
					d.said, shared = false, true
				}
				d.limit(seconds(value))
			case "max-age":
				if !shared {
					d.limit(seconds(value))
				}
			}
		}
	}
	if !d.said && h.Get("Expires") != "" {
		d.limit(expiry(h))
	}
	if !d.said && len(h.Values("Cache-Control")) == 0 && strings.Contains(strings.ToLower(h.Get("Pragma")), "no-cache") {
		d.limit(0)
	}
	for _, line := range h.Values("Vary") {
		for part := range fields(line) {
			d.never = d.never || strings.TrimSpace(part) == "*"
		}
	}
	return d
}

func (d *directives) limit(lifetime time.Duration) {
	if !d.said || lifetime < d.lifetime {
		d.lifetime = lifetime
	}
	d.said = true
}

// fields parts a header's list; commas in quotes part nothing (RFC 9110, 5.6.1).
func fields(line string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := 0; i < len(line); i++ {
			switch {
			case line[i] == '\\' && quoted:
				i++
			case line[i] == '"':
				quoted = !quoted
			case line[i] == ',' && !quoted:
				if !yield(line[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(line[from:])
	}
}

// seconds reads delta-seconds (RFC 9111, 1.2.2). What is none is stale (4.2.1).
func seconds(text string) time.Duration {
	text = strings.Trim(strings.TrimSpace(text), `"`)
	n, err := strconv.ParseUint(text, 10, 63)
	switch {
	case err == nil && n <= uint64(maxLifetime/time.Second):
		return time.Duration(n) * time.Second
	case err == nil || isDigits(text):
		return maxLifetime
	}
	return 0
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// expiry is the time from Date to Expires; one that is no date, such as 0, has passed.
func expiry(h http.Header) time.Duration {
	until, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		from = time.Now()
	}
	return min(max(0, until.Sub(from)), maxLifetime)
}

// freshness is how old an answer is, and how old it may be.
type freshness struct {
	asked    time.Time     // when it was asked for
	came     time.Time     // when its head was there
	age      time.Duration // it had then (RFC 9111, 4.2.3); clocks are not compared: an origin's may be wrong by hours
	lifetime time.Duration
	target   time.Duration // target duration of its playlist
	strict   bool          // it is not to be used stale
}

// Age is how old the answer is.
func (f *freshness) Age(now time.Time) time.Duration { return max(0, f.age+now.Sub(f.came)) }

// TTL is how much longer it is fresh; below zero it is stale.
func (f *freshness) TTL(now time.Time) time.Duration { return f.lifetime - f.Age(now) }

func newFreshness(h http.Header, asked, came time.Time, d directives) freshness {
	f := freshness{asked: asked, came: came, strict: d.mustRevive}
	if v := h.Get("Age"); v != "" {
		f.age = min(seconds(v), maxLifetime) + came.Sub(asked)
	}
	return f
}

// Lifetimes, in target durations, as the draft advises caches (rfc8216bis, appendix on CDN tune-in; facts: LL-HLS).
const (
	defaultTarget = 6 * time.Second // where no playlist has told (RFC 8216 advises it)
	minMedia      = 6               // segments and parts for which the origin names no time
	heldPlaylist  = 6               // the answer to a blocking reload: it holds what was waited for, and does not change
	heldMissing   = 4
	stalePlaylist = 1.5 // beyond it, an old live playlist does more harm than an error
	maxHeuristic  = 24 * time.Hour
	masterTTL     = 2 * time.Second // of a master for which the origin names no time
	maxMasterTTL  = time.Minute
	missingTTL    = time.Second // that something is missing, where no playlist has told a target duration
)

func targets(n float64, target time.Duration) time.Duration {
	return time.Duration(n * float64(target))
}

// mediaLifetime is how long a segment, part, init section or key is fresh: as the origin says, or else 6 target durations, or a
// tenth of its age (RFC 9111, 4.2.2).
func mediaLifetime(h http.Header, d directives, target, age time.Duration, came time.Time) time.Duration {
	if d.said {
		return d.lifetime
	}
	if target <= 0 {
		target = defaultTarget
	}
	lifetime := age + targets(minMedia, target)
	if modified, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		lifetime = max(lifetime, min(came.Sub(modified)/10, maxHeuristic))
	}
	return lifetime
}

// playlistLifetime is how long a playlist is fresh. age is what it had when it came: a cache before this one may have held it for some of it.
func playlistLifetime(p *Playlist, d directives, held bool, age time.Duration) time.Duration {
	if p.media() == nil { // a master
		switch {
		case d.said:
			return min(d.lifetime, maxMasterTTL)
		default:
			return age + masterTTL
		}
	}
	most := targets(0.5, p.target())
	switch {
	case held:
		most = targets(heldPlaylist, p.target())
	case p.Doc.Media.Ended:
		most = max(most, d.lifetime) // it does not change any more
	}
	most += age // our own half of it, however long it took here
	if d.said {
		return min(most, d.lifetime)
	}
	return most
}

func (p *Playlist) target() time.Duration {
	if m := p.media(); m != nil && m.TargetDuration > 0 {
		return m.TargetDuration
	}
	return defaultTarget
}

// missingLifetime is how long it is remembered that the origin has not what was asked for.
func missingLifetime(d directives, held bool, target time.Duration) time.Duration {
	most := missingTTL
	switch {
	case target > 0 && held:
		most = targets(heldMissing, target)
	case target > 0:
		most = target
	}
	if d.never {
		return 0
	}
	if d.said {
		return min(most, d.lifetime)
	}
	return most
}
