// Package demo is the origin behind `earshot demo`: a packager and an Icecast in one small http.Handler, so that a
// person with nothing but the binary can watch an edge at work.
//
//	GET /live/master.m3u8              a live HLS group of two audio variants
//	GET /live/{hi,lo}/index.m3u8       six segments of 3.968 s, rolling
//	GET /live/{hi,lo}/<sequence>.aac   packed audio with its place on the timeline in front
//	GET /radio.mp3                     an ICY mount at 128 kbit/s, with titles that change
//
// Everything is a function of the clock: what is in the window, what a segment holds and where the mount is in its
// programme follow from the time since the origin went on air. There is no encoder, no goroutine of its own and no state
// beyond the open connections, and the programme goes on for ever: three clips made for the project are embedded, and
// each can be repeated without a seam.
//
// The package also has the page that plays both streams and shows the edge counting their listeners; see [Page].
package demo

import (
	"embed"
	"net/http"
	"sync"
	"time"
)

//go:embed clips/hi.aac clips/lo.aac clips/radio.mp3
var clips embed.FS

// Origin serves the demo's two live streams. Its methods are safe for concurrent use.
type Origin struct {
	mux      *http.ServeMux
	onAir    time.Time // when segment 0 and MP3 frame 0 began
	variants []variant
	station  station

	closing sync.Once
	closed  chan struct{}
}

// NewOrigin returns an origin that at start already has a full HLS window behind it: segments 0 to 5. Two origins given
// the same start serve the same bytes. It panics if the embedded clips are not what clips/make.sh makes.
func NewOrigin(start time.Time) *Origin {
	o := &Origin{
		mux: http.NewServeMux(),
		// Whole milliseconds, so that EXT-X-PROGRAM-DATE-TIME is exact. Add keeps the monotonic reading: a step of the
		// wall clock moves no segment.
		onAir:    start.Add(-window*segmentDuration - time.Duration(start.Nanosecond())%time.Millisecond),
		variants: []variant{newVariant("hi"), newVariant("lo")},
		station:  newStation(),
		closed:   make(chan struct{}),
	}
	o.mux.HandleFunc("GET /live/master.m3u8", o.serveMaster)
	o.mux.HandleFunc("GET /live/{variant}/index.m3u8", o.serveMedia)
	o.mux.HandleFunc("GET /live/{variant}/{segment}", o.serveSegment)
	o.mux.HandleFunc("GET /radio.mp3", o.serveRadio)
	return o
}

func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.mux.ServeHTTP(w, r) }

// Close ends the listeners of the ICY mount, now and to come; HLS goes on answering. It does not wait for them: that is
// the server's Shutdown.
func (o *Origin) Close() error {
	o.closing.Do(func() { close(o.closed) })
	return nil
}

// elapsed is the time on air. There is always a full window of it, even if the clock is before start.
func (o *Origin) elapsed() time.Duration {
	return max(window*segmentDuration, time.Since(o.onAir))
}

// clip returns an embedded clip.
func clip(name string) []byte {
	b, err := clips.ReadFile("clips/" + name)
	if err != nil {
		panic("demo: " + err.Error())
	}
	return b
}
