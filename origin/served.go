package origin

import (
	"strconv"
	"time"
)

// Status is how the cache came by an answer.
type Status string

// The statuses.
const (
	Hit         Status = "hit"
	Miss        Status = "miss"        // it was fetched for this request
	Collapsed   Status = "collapsed"   // it was fetched, for others at the same time too
	Revalidated Status = "revalidated" // the origin said that what was there has not changed
	Stale       Status = "stale"       // it is too old, and the origin does not answer
	Bypass      Status = "bypass"      // it is not to be shared
)

var statuses = []Status{Hit, Miss, Collapsed, Revalidated, Stale, Bypass}

// Served is what a cache says of an answer (RFC 9211).
type Served struct {
	Status Status
	TTL    time.Duration // how much longer it is fresh; below zero: for how long it has not been
	Age    time.Duration // since the origin made it
	Came   time.Time     // of a playlist: when the origin last said that it is so

	now    time.Time
	stale  bool // it was asked for because what was there was too old
	stored bool
	origin int // status of the origin's answer; 0: none
}

// CacheStatus is the header of that name (RFC 9211, 2).
func (s Served) CacheStatus() string {
	b := append(make([]byte, 0, 64), "Earshot"...)
	switch {
	case s.Status == Hit || s.Status == Stale && !s.stale:
		b = append(b, "; hit"...)
	case s.Status == Bypass:
		b = append(b, "; fwd=bypass"...)
	case s.stale:
		b = append(b, "; fwd=stale"...)
	default:
		b = append(b, "; fwd=uri-miss"...)
	}
	if s.origin > 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.origin), 10)
	}
	if s.stored {
		b = append(b, "; stored"...)
	}
	if s.Status == Collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.Status != Bypass {
		b = strconv.AppendInt(append(b, "; ttl="...), wholeSeconds(s.TTL), 10)
	}
	if s.Status == Stale {
		b = append(b, "; detail=stale"...)
	}
	return string(b)
}

// wholeSeconds rounds down, as what is left must not be overstated.
func wholeSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d < 0 && d%time.Second != 0 {
		s--
	}
	return s
}

// AgeHeader is the header of that name (RFC 9111, 5.1).
func (s Served) AgeHeader() string { return strconv.FormatInt(int64(s.Age/time.Second), 10) }
