package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// What receivers do. Each returns the first error; there should be none.

// at is a path of a show at the edge.
func (r *receiver) at(show, path string) *url.URL {
	return &url.URL{Scheme: "http", Host: "edge", Path: "/" + show + "/" + path}
}

// open loads the master of a show, and the media playlists that it names: hi, lo, and the audio rendition, whose time does not count.
func (r *receiver) open(show string) (tracks [3]*manifest, err error) {
	master, err := r.load(r.at(show, "master.m3u8"))
	if err != nil {
		return tracks, err
	}
	if len(master.variants) != 2 || len(master.renditions) != 1 {
		return tracks, fmt.Errorf("the master names %v and %v", master.variants, master.renditions)
	}
	for i, u := range append(master.variants, master.renditions...) {
		if tracks[i], err = r.load(u); err != nil {
			return tracks, err
		}
	}
	tracks[2].untimed()
	return tracks, nil
}

const hi, lo, aud = 0, 1, 2

// untimed makes a manifest one of a rendition: bytes, no time.
func (m *manifest) untimed() {
	for i := range m.segments {
		m.segments[i].moment = 0
	}
}

// take fetches the init section and the segments, and the key, which nobody counts.
func (r *receiver) take(m *manifest, segments []piece) error {
	if m.key != nil {
		if err := r.ignore(http.MethodGet, m.key); err != nil {
			return err
		}
	}
	if m.init != nil {
		if err := r.fetch(*m.init, "", 0); err != nil {
			return err
		}
	}
	for _, p := range segments {
		if err := r.fetch(p, "", 0); err != nil {
			return err
		}
	}
	return nil
}

// ignore asks for something that is no media.
func (r *receiver) ignore(method string, u *url.URL) error {
	res, host, err := r.ask(method, u, "")
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode >= 300 {
		r.hangUp(host)
		return fmt.Errorf("%s %s: %s: %w", method, u.Path, res.Status, errOrNone(err))
	}
	return nil
}

// playAll plays one variant and the audio to their end.
func (r *receiver) playAll(show string) error {
	tracks, err := r.open(show)
	if err != nil {
		return err
	}
	for _, i := range []int{lo, aud} {
		if err := r.take(tracks[i], tracks[i].segments); err != nil {
			return err
		}
	}
	return nil
}

// switching plays the beginning of one variant and the end of the other, with two moments of both.
func (r *receiver) switching(show string) error {
	tracks, err := r.open(show)
	if err != nil {
		return err
	}
	n := len(tracks[hi].segments)
	if err := r.take(tracks[hi], tracks[hi].segments[:n/2+1]); err != nil {
		return err
	}
	return r.take(tracks[lo], tracks[lo].segments[n/2-1:])
}

// follow plays a live show for so many segments, polling the playlist as a player does; in the middle it changes variant.
func (r *receiver) follow(show string, want int) error {
	master, err := r.load(r.at(show, "master.m3u8"))
	if err != nil {
		return err
	}
	var last int64
	for taken := 0; taken < want; time.Sleep(200 * time.Millisecond) {
		m, err := r.load(master.variants[min(2*taken/want, 1)])
		if err != nil {
			return err
		}
		m.segments = slices.DeleteFunc(m.segments, func(p piece) bool { return p.moment <= last })
		if err := r.take(m, m.segments); err != nil {
			return err
		}
		if n := len(m.segments); n > 0 {
			last, taken = m.segments[n-1].moment, taken+n
		}
	}
	return nil
}

// poll opens a media playlist directly and reloads it without what the edge added, as VLC, ffmpeg and hardware do, and takes what is
// new with the URIs of the latest version.
func (r *receiver) poll(show string, times int) error {
	var last int64
	for range times {
		m, err := r.load(r.at(show, "lo/index.m3u8"))
		if err != nil {
			return err
		}
		m.segments = slices.DeleteFunc(m.segments, func(p piece) bool { return p.moment <= last })
		if n := len(m.segments); n > 0 {
			last = m.segments[n-1].moment
		}
		if err := r.take(m, m.segments); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// retrying takes every segment twice, whole.
func (r *receiver) retrying(show string) error {
	tracks, err := r.open(show)
	if err != nil {
		return err
	}
	for _, p := range tracks[lo].segments {
		if err := r.take(tracks[lo], []piece{p, p}); err != nil {
			return err
		}
	}
	return nil
}

// aborting leaves in the middle of each segment and then takes it whole, but for the last two: those it never gets.
func (r *receiver) aborting(show string) error {
	tracks, err := r.open(show)
	if err != nil {
		return err
	}
	segments := tracks[hi].segments
	for i, p := range segments {
		if err := r.fetch(p, "", 64<<10); err != nil {
			return err
		}
		if i >= len(segments)-2 {
			continue
		}
		if err := r.fetch(p, "", 0); err != nil {
			return err
		}
	}
	return nil
}

// ranging takes segments in halves, by suffix, from a point on, and twice in part.
func (r *receiver) ranging(show string) error {
	tracks, err := r.open(show)
	if err != nil {
		return err
	}
	for i, ranges := range [][]string{
		{"bytes=0-99999", "bytes=100000-"}, // two halves are one segment
		{"bytes=-50000"},                   // a suffix
		{"bytes=150000-"},                  // open
		{"bytes=10000-59999", "bytes=40000-89999", "bytes=0-9"}, // the same bytes twice
		{"bytes=0-1", "bytes=0-"},                               // as Safari begins
		{"bytes=0-9,20-29"},                                     // several at once are answered with the whole
	} {
		for _, text := range ranges {
			if err := r.fetch(tracks[lo].segments[i], text, 0); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
	}
	return nil
}

// glancing asks for everything and takes nothing.
func (r *receiver) glancing(show string) error {
	paths := []string{"master.m3u8", "hi/index.m3u8", "hi/1000.ts", "lo/1001.ts", "aud/1002.ts"}
	for _, path := range paths {
		for _, method := range []string{http.MethodHead, http.MethodOptions} {
			if err := r.ignore(method, r.at(show, path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// reloading opens the master again and again.
func (r *receiver) reloading(show string) error {
	for range 6 {
		if _, err := r.open(show); err != nil {
			return err
		}
	}
	return r.playAll(show)
}

// wild asks for segments by addresses of its own, of a playlist that the edge may never have seen.
func (r *receiver) wild(show string) error {
	for moment := int64(firstMoment); moment < firstMoment+4; moment++ {
		p := piece{url: r.at(show, fmt.Sprintf("lo/%d.ts", moment)), offset: -1}
		if err := r.fetch(p, "", 0); err != nil {
			return err
		}
	}
	return nil
}

// direct opens a media playlist and takes its segments by their bare addresses.
func (r *receiver) direct(show string) error {
	m, err := r.load(r.at(show, "lo/index.m3u8"))
	if err != nil {
		return err
	}
	return r.take(m, m.segments)
}
