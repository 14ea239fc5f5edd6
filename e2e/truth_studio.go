package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// show is one group that the studio publishes: the variants hi and lo, cut at the same moments, and the audio rendition aud.
type show struct {
	name      string
	length    int  // segments; 0: live, a rolling window
	dated     bool // EXT-X-PROGRAM-DATE-TIME
	chunked   bool // media without a Content-Length
	slow      bool // media comes at 1 MB/s, so that most bodies are on their way at any time
	ranged    bool // the segments are byte ranges of one resource, behind their init section
	encrypted bool // names a key
	bulk      int  // bytes of the smallest segment of hi; 0: 600 KB
}

// studio is an HLS origin that knows, byte by byte and moment by moment, what it publishes.
type studio struct {
	*httptest.Server
	began time.Time
	shows map[string]*show
	files map[string][]byte // of the ranged shows, by path
}

const (
	firstMoment = 1000 // media sequence number of the first segment
	liveWindow  = 6
	initBytes   = 1234
	keyName     = "aes.key"
	fileName    = "all.mp4"
)

// What segments last, in turn, ms: neither equal nor round, as encoders make them.
var (
	storedDurations = []int64{3840, 4096, 4032}
	liveDurations   = []int64{480, 520, 500}
)

// tape is what all media is cut from.
var tape = func() []byte {
	b := make([]byte, 6<<20)
	rand.NewChaCha8([32]byte{'t', 'r', 'u', 't', 'h'}).Read(b)
	return b
}()

func startStudio(t testing.TB, shows ...*show) *studio {
	t.Helper()
	s := &studio{began: time.Now(), shows: make(map[string]*show), files: make(map[string][]byte)}
	for _, w := range shows {
		s.shows[w.name] = w
		for _, track := range []string{"hi", "lo", "aud"} {
			if w.ranged {
				s.files["/"+w.name+"/"+track+"/"+fileName] = w.file(track)
			}
		}
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// streams are the entries of an edge's configuration for all shows.
func (s *studio) streams() []string {
	var entries []string
	for name := range s.shows {
		entries = append(entries, hlsStream(name, "/"+name+"/", s.URL+"/"+name+"/"))
	}
	return entries
}

func (s *studio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	track, file, _ := strings.Cut(rest, "/")
	show := s.shows[name]
	switch {
	case show == nil:
		http.NotFound(w, r)
	case rest == "master.m3u8":
		sendPlaylist(w, show.master())
	case file == "index.m3u8":
		sendPlaylist(w, show.media(track, s.began, time.Now()))
	default:
		s.sendMedia(w, r, show)
	}
}

func sendPlaylist(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	_, _ = w.Write([]byte(text)) // an error means that the edge has gone
}

func (s *studio) sendMedia(w http.ResponseWriter, r *http.Request, show *show) {
	body := s.content(r.URL.Path)
	if body == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "video/mp2t")
	if strings.HasSuffix(r.URL.Path, keyName) {
		w.Header().Set("Content-Type", "application/octet-stream")
	}
	switch {
	case show.chunked:
		trickle(w, r, body, 0)
	case show.slow:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		trickle(w, r, body, 50*time.Millisecond)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}
}

// trickle sends a body in pieces.
func trickle(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) {
	for len(body) > 0 && r.Method == http.MethodGet {
		n := min(len(body), 50_000)
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // an error means that the edge has gone
		body = body[n:]
		time.Sleep(pause)
	}
}

// content is what lies at a path of the studio; nil if nothing does.
func (s *studio) content(path string) []byte {
	if file := s.files[path]; file != nil {
		return file
	}
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 3 || s.shows[parts[0]] == nil {
		return nil
	}
	if parts[2] == keyName {
		return tape[:16]
	}
	var moment int64
	if _, err := fmt.Sscanf(parts[2], "%d.ts", &moment); err != nil {
		return nil
	}
	return s.shows[parts[0]].segment(parts[1], moment)
}

// segment is the body of one segment: 200 KB to 2 MB of video, or some audio.
func (w *show) segment(track string, moment int64) []byte {
	least, bulk := 50_000, uint64(moment)*2654435761
	switch track {
	case "hi":
		if least = w.bulk; least == 0 {
			least = 600_000
		}
	case "lo":
		least = 200_000
	}
	size := least + int(bulk%uint64(least*5/4))
	at := int(bulk>>7+uint64(len(track))*7919) % (len(tape) - size)
	return tape[at : at+size]
}

// file is the resource of a ranged show: its init section, then its segments.
func (w *show) file(track string) []byte {
	all := append([]byte(nil), tape[:initBytes]...)
	for n := range w.length {
		all = append(all, w.segment(track, firstMoment+int64(n))...)
	}
	return all
}

func (w *show) durations() []int64 {
	if w.length == 0 {
		return liveDurations
	}
	return storedDurations
}

// duration of a moment, ms.
func (w *show) duration(moment int64) int64 {
	d := w.durations()
	return d[(moment-firstMoment)%int64(len(d))]
}

func (w *show) master() string {
	return "#EXTM3U\n#EXT-X-VERSION:6\n" +
		`#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="main",DEFAULT=YES,URI="aud/index.m3u8"` + "\n" +
		`#EXT-X-STREAM-INF:BANDWIDTH=2000000,AUDIO="sound"` + "\nhi/index.m3u8\n" +
		`#EXT-X-STREAM-INF:BANDWIDTH=600000,AUDIO="sound"` + "\nlo/index.m3u8\n"
}

// media is the media playlist of a track at now.
func (w *show) media(track string, began, now time.Time) string {
	var b strings.Builder
	first, last, date := w.window(began, now)
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:5\n#EXT-X-MEDIA-SEQUENCE:%d\n", first)
	if w.encrypted {
		fmt.Fprintf(&b, "#EXT-X-KEY:METHOD=AES-128,URI=%q\n", keyName)
	}
	if w.ranged {
		fmt.Fprintf(&b, "#EXT-X-MAP:URI=%q,BYTERANGE=\"%d@0\"\n", fileName, initBytes)
	}
	offset := initBytes
	for m := first; m <= last; m++ {
		if w.dated {
			fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", date.UTC().Format("2006-01-02T15:04:05.000Z"))
			date = date.Add(time.Duration(w.duration(m)) * time.Millisecond)
		}
		fmt.Fprintf(&b, "#EXTINF:%d.%03d,\n", w.duration(m)/1000, w.duration(m)%1000)
		if size := len(w.segment(track, m)); w.ranged {
			fmt.Fprintf(&b, "#EXT-X-BYTERANGE:%d@%d\n%s\n", size, offset, fileName)
			offset += size
		} else {
			fmt.Fprintf(&b, "%d.ts\n", m)
		}
	}
	if w.length > 0 {
		b.WriteString("#EXT-X-ENDLIST\n")
	}
	return b.String()
}

// window is what a media playlist lists, and the date of its first segment. A live show began a window before the studio did.
func (w *show) window(began, now time.Time) (first, last int64, date time.Time) {
	if w.length > 0 {
		return firstMoment, firstMoment + int64(w.length) - 1, began
	}
	last, end := int64(firstMoment-1), time.Duration(0)
	until := now.Sub(began) + 3*time.Second
	starts := []time.Duration(nil)
	for end+time.Duration(w.duration(last+1))*time.Millisecond <= until {
		starts = append(starts, end)
		last++
		end += time.Duration(w.duration(last)) * time.Millisecond
	}
	n := min(len(starts), liveWindow)
	return last - int64(n) + 1, last, began.Add(starts[len(starts)-n])
}
