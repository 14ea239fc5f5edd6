package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// llShow is a group of renditions that the low-latency origin publishes.
type llShow struct {
	name   string
	ranged bool   // parts are byte ranges of their segments, else resources of their own
	feed   string // a query of the origin's own on the URI of every playlist; may be empty
	tracks []*llTrack
	sound  *llTrack // the audio rendition of the video tracks, or nil
}

// llOrigin is a low-latency HLS origin to the letter of rfc8216bis, and a strict one: what no client that has read the draft would ask for is a
// violation, and kept.
type llOrigin struct {
	*httptest.Server
	air   time.Time // when the first sample was taken
	shows map[string]*llShow

	mu         sync.Mutex
	halted     time.Time // the encoders stop; zero: they do not
	requests   []llRequest
	violations []string
}

// llRequest is a request that the origin has answered.
type llRequest struct {
	url      string // path and query, as they came
	ranges   string
	agent    string
	status   int
	text     string // of a playlist
	arrived  time.Time
	answered time.Time // its first byte
}

// held is how long the origin waited before it answered.
func (q llRequest) held() time.Duration { return q.answered.Sub(q.arrived) }

// llHead is what has been on air when the origin starts.
const llHead = 24 * time.Second

func startLLOrigin(t testing.TB, shows ...*llShow) *llOrigin {
	t.Helper()
	o := &llOrigin{air: time.Now().Add(-llHead).Truncate(time.Millisecond), shows: make(map[string]*llShow)}
	for _, s := range shows {
		o.shows[s.name] = s
	}
	o.Server = httptest.NewServer(o)
	t.Cleanup(func() {
		o.CloseClientConnections() // some are held
		o.Close()
	})
	return o
}

// television has two variants of video and an audio rendition, each part a resource of its own; radio two variants of audio, with
// parts that are ranges.
func television() *llShow {
	sound := llAudio("aud", 64, 60*time.Millisecond)
	return &llShow{name: "tv", sound: sound, tracks: []*llTrack{llVideo("hi", 320, 0), llVideo("lo", 160, 30*time.Millisecond), sound}}
}

func radio() *llShow {
	return &llShow{name: "radio", ranged: true, feed: "feed=a", tracks: []*llTrack{llAudio("hi", 96, 0), llAudio("lo", 48, 30*time.Millisecond)}}
}

// published is how many parts of a track there are by now.
func (o *llOrigin) published(k *llTrack) int {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.halted.IsZero() && now.After(o.halted) {
		now = o.halted
	}
	return max(0, min(int(now.Sub(o.air.Add(k.lag))/llPart), len(k.part)))
}

// halt stops the encoders.
func (o *llOrigin) halt() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.halted = time.Now()
}

var errLate = errors.New("it did not come within three target durations")

// await waits until a track has more than that many parts: for three target durations at the most (rfc8216bis, 6.2.5.2).
func (o *llOrigin) await(ctx context.Context, k *llTrack, part int) error {
	for limit := time.Now().Add(3 * llTarget); o.published(k) <= part; {
		due := o.air.Add(k.lag + time.Duration(part+1)*llPart)
		if !due.After(time.Now()) || due.After(limit) {
			due = limit // halted, or the programme has ended
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(due)):
		}
		if !time.Now().Before(limit) {
			return errLate
		}
	}
	return nil
}

// violate notes what a client should not have done, and refuses it.
func (o *llOrigin) violate(w http.ResponseWriter, r *http.Request, status int, why string) {
	o.mu.Lock()
	o.violations = append(o.violations, fmt.Sprintf("%s %s (%s): %s", r.Method, r.URL.RequestURI(), r.Header.Get("Range"), why))
	o.mu.Unlock()
	w.Header().Set("Cache-Control", "max-age=1")
	http.Error(w, why, status)
}

// llAnswer remembers what was answered.
type llAnswer struct {
	http.ResponseWriter
	q llRequest
}

func (a *llAnswer) WriteHeader(status int) {
	if a.q.status == 0 {
		a.q.status, a.q.answered = status, time.Now()
		a.ResponseWriter.WriteHeader(status)
	}
}

func (a *llAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (o *llOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Range")
	h.Set("Access-Control-Expose-Headers", "Age, Date, Content-Length, Content-Range")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a := &llAnswer{w, llRequest{url: r.URL.RequestURI(), ranges: r.Header.Get("Range"), agent: r.UserAgent(), arrived: time.Now()}}
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.requests = append(o.requests, a.q)
	}()
	o.answer(a, r)
}

// answer finds what is meant: /show/master.m3u8, /show/track/index.m3u8, /show/track/init.mp4, /show/track/105.m4s or /show/track/105.2.m4s.
func (o *llOrigin) answer(a *llAnswer, r *http.Request) {
	dirs := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s := o.shows[dirs[0]]
	switch {
	case r.Method != http.MethodGet:
		o.violate(a, r, http.StatusMethodNotAllowed, "nobody needs that")
	case s == nil:
		o.violate(a, r, http.StatusNotFound, "no such show")
	case len(dirs) == 2 && dirs[1] == "master.m3u8":
		o.answerText(a, s.master(), "max-age=60")
	case len(dirs) == 3:
		n := slices.IndexFunc(s.tracks, func(k *llTrack) bool { return k.name == dirs[1] })
		if n < 0 {
			o.violate(a, r, http.StatusNotFound, "no such track")
		} else if dirs[2] == "index.m3u8" {
			o.answerPlaylist(a, r, s, s.tracks[n])
		} else {
			o.answerMedia(a, r, s, s.tracks[n], dirs[2])
		}
	default:
		o.violate(a, r, http.StatusNotFound, "no such thing")
	}
}

func (o *llOrigin) answerText(a *llAnswer, text, cache string) {
	a.q.text = text
	a.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	a.Header().Set("Cache-Control", cache)
	_, _ = a.write([]byte(text)) // the client may have gone
}

func (a *llAnswer) write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.Write(b)
}

// asked are the requests so far for which keep says yes.
func (o *llOrigin) asked(keep func(llRequest) bool) (some []llRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, q := range o.requests {
		if keep(q) {
			some = append(some, q)
		}
	}
	return some
}
