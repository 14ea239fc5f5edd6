package demo

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grafov/m3u8"
)

const (
	segmentFrames   = 186 // 190464 samples: a bar of the piece
	segmentTicks    = segmentFrames * samplesPerAAC * 90000 / sampleRate
	segmentDuration = segmentFrames * samplesPerAAC * time.Second / sampleRate // 3.968 s

	window = 6 // segments in a playlist
	// kept is how many segments can still be fetched after the newest: RFC 8216, 6.2.2 wants one that left the window kept
	// for its own duration and that of the longest playlist it was in; twice that forgives a slow player.
	kept = 3 * window

	playlistType = "application/vnd.apple.mpegurl"
)

// variant is one bitrate of the HLS group: the clip, cut into segments.
type variant struct {
	name     string
	segments [][]byte
	peak     int // of the fastest segment, in bits per second, as BANDWIDTH counts them
	average  int
}

func newVariant(name string) variant {
	segments, err := cutADTS(clip(name+".aac"), segmentFrames)
	if err != nil {
		panic(fmt.Sprintf("demo: clip %s: %v", name, err))
	}
	v := variant{name: name, segments: segments}
	total := 0
	for _, s := range segments {
		size := len(timestampTag(0)) + len(s)
		v.peak = max(v.peak, bitrate(size, segmentDuration))
		total += size
	}
	v.average = bitrate(total, time.Duration(len(segments))*segmentDuration)
	return v
}

// bitrate is that of size bytes played in d, in bits per second, rounded up.
func bitrate(size int, d time.Duration) int {
	return int((time.Duration(size)*8*time.Second + d - 1) / d)
}

// segment returns segment seq of the endless programme: its place in time, then a bar of the clip.
func (v *variant) segment(seq uint64) []byte {
	bar := v.segments[seq%uint64(len(v.segments))]
	return append(timestampTag(seq*segmentTicks), bar...)
}

// newest returns the sequence number of the last segment that is complete.
func (o *Origin) newest() uint64 { return uint64(o.elapsed()/segmentDuration) - 1 }

// began returns when segment seq begins.
func (o *Origin) began(seq uint64) time.Time {
	return o.onAir.Add(time.Duration(seq) * segmentDuration)
}

// find returns the variant the request names, or nil.
func (o *Origin) find(r *http.Request) *variant {
	for i := range o.variants {
		if o.variants[i].name == r.PathValue("variant") {
			return &o.variants[i]
		}
	}
	return nil
}

func (o *Origin) serveMaster(w http.ResponseWriter, r *http.Request) {
	p := m3u8.NewMasterPlaylist()
	p.SetIndependentSegments(true)
	for _, v := range o.variants {
		p.Append(v.name+"/index.m3u8", nil, m3u8.VariantParams{
			Bandwidth:        uint32(v.peak),
			AverageBandwidth: uint32(v.average),
			Codecs:           "mp4a.40.2",
		})
	}
	servePlaylist(w, r, p.Encode().Bytes())
}

func (o *Origin) serveMedia(w http.ResponseWriter, r *http.Request) {
	v := o.find(r)
	if v == nil {
		http.NotFound(w, r)
		return
	}
	text, err := o.mediaPlaylist(o.newest() - (window - 1))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	servePlaylist(w, r, text)
}

// mediaPlaylist writes the window that begins with segment first. It is the same for both variants.
func (o *Origin) mediaPlaylist(first uint64) ([]byte, error) {
	p, err := m3u8.NewMediaPlaylist(window, window)
	if err != nil {
		return nil, fmt.Errorf("media playlist: %w", err)
	}
	p.SeqNo = first
	for seq := first; seq < first+window; seq++ {
		err := p.AppendSegment(&m3u8.MediaSegment{
			URI:             fmt.Sprintf("%d.aac", seq),
			Duration:        segmentDuration.Seconds(),
			ProgramDateTime: o.began(seq).UTC(),
		})
		if err != nil {
			return nil, fmt.Errorf("media playlist: segment %d: %w", seq, err)
		}
	}
	return p.Encode().Bytes(), nil
}

func servePlaylist(w http.ResponseWriter, r *http.Request, text []byte) {
	w.Header().Set("Content-Type", playlistType)
	w.Header().Set("Cache-Control", "max-age=1")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

func (o *Origin) serveSegment(w http.ResponseWriter, r *http.Request) {
	v := o.find(r)
	number, ok := strings.CutSuffix(r.PathValue("segment"), ".aac")
	seq, err := strconv.ParseUint(number, 10, 64)
	if v == nil || !ok || err != nil || strconv.FormatUint(seq, 10) != number || !o.has(seq) {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "audio/aac")
	w.Header().Set("Cache-Control", "max-age=60, immutable")
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d-%d"`, v.name, o.onAir.UnixMilli(), seq))
	http.ServeContent(w, r, "", o.began(seq+1), bytes.NewReader(v.segment(seq)))
}

// has reports whether segment seq is complete and not yet gone.
func (o *Origin) has(seq uint64) bool {
	newest := o.newest()
	return seq <= newest && newest-seq < kept
}
