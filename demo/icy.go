package demo

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	metaint     = 16000                 // audio bytes between metadata blocks, as Icecast does: one second
	burstFrames = 64 << 10 / frameBytes // on connect, so that playing starts at once
	pace        = 10 * frameDuration    // between writes
	stuck       = 10 * time.Second      // a listener who takes nothing for so long is dropped
	icyName     = "Earshot demo radio"  // plain ASCII: headers have no declared charset
	icyInfo     = "channels=2;samplerate=48000;bitrate=128"
	icyAbout    = "Bells over pads, looped, to try an edge with"
)

// live returns the first frame that is not on air yet.
func (o *Origin) live() uint64 { return uint64(o.elapsed() / frameDuration) }

// serveRadio sends the mount at the pace of the clock until the listener leaves, gets stuck, or the origin closes.
func (o *Origin) serveRadio(w http.ResponseWriter, r *http.Request) {
	select {
	case <-o.closed:
		http.Error(w, "off the air", http.StatusServiceUnavailable)
		return
	default:
	}
	meta := wantsMetadata(r)
	icyHeaders(w, r, meta)
	if r.Method == http.MethodHead {
		return
	}
	control := http.NewResponseController(w)
	l := listener{station: &o.station, next: o.live() - burstFrames, meta: meta, left: metaint}
	beat := time.NewTicker(pace)
	defer beat.Stop()
	for {
		// Where deadlines or flushing are not supported (a recorder in a test), there is no socket to be stuck on.
		_ = control.SetWriteDeadline(time.Now().Add(stuck))
		if _, err := w.Write(l.until(o.live())); err != nil {
			return
		}
		_ = control.Flush()
		select {
		case <-beat.C:
		case <-r.Context().Done():
			return
		case <-o.closed:
			return
		}
	}
}

// wantsMetadata reads Icy-MetaData as Icecast does: any number but 0.
func wantsMetadata(r *http.Request) bool {
	n, err := strconv.Atoi(strings.TrimSpace(r.Header.Get("Icy-MetaData")))
	return err == nil && n != 0
}

// icyHeaders writes the head of the answer. Names are set in lower case, as players of this protocol know them.
func icyHeaders(w http.ResponseWriter, r *http.Request, meta bool) {
	h := w.Header()
	h.Set("Content-Type", "audio/mpeg")
	h.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 {
		// Tells net/http to send the body bare and end it with the connection; the field itself is not sent. Chunks would
		// be in the way of the metadata interval.
		h.Set("Transfer-Encoding", "identity")
	}
	for name, value := range map[string]string{
		"icy-name":        icyName,
		"icy-description": icyAbout,
		"icy-genre":       "Ambient",
		"icy-br":          strconv.Itoa(mp3Bitrate),
		"icy-sr":          strconv.Itoa(sampleRate),
		"icy-pub":         "0",
		"ice-audio-info":  icyInfo,
	} {
		h[name] = []string{value}
	}
	if meta {
		h["icy-metaint"] = []string{strconv.Itoa(metaint)}
	}
	w.WriteHeader(http.StatusOK)
}

// listener is one connection to the mount: where it is in the programme and in its own metadata interval. It belongs to
// the goroutine that serves the connection.
type listener struct {
	station *station
	next    uint64 // the first frame not sent yet
	meta    bool   // titles are wanted
	left    int    // audio bytes to go before the next metadata block
	told    string // the title last sent
	buf     []byte
}

// until returns what brings the listener up to frame end, valid until the next call. One who was held up for longer than
// a burst loses what lies before it.
func (l *listener) until(end uint64) []byte {
	l.buf = l.buf[:0]
	if end > l.next+burstFrames {
		l.next = end - burstFrames
	}
	for ; l.next < end; l.next++ {
		audio := l.station.frame(l.next)
		for l.meta && len(audio) >= l.left {
			l.buf = append(l.buf, audio[:l.left]...)
			audio = audio[l.left:]
			l.announce(l.station.title(l.next))
			l.left = metaint
		}
		l.buf = append(l.buf, audio...)
		l.left -= len(audio)
	}
	return l.buf
}

// announce adds a metadata block: its length in units of 16 bytes, then text padded with NULs. A title that was told
// already is not told again: a length of zero.
func (l *listener) announce(title string) {
	if title == l.told {
		l.buf = append(l.buf, 0)
		return
	}
	l.told = title
	text := "StreamTitle='" + title + "';"
	units := (len(text) + 15) / 16
	l.buf = append(l.buf, byte(units))
	l.buf = append(l.buf, text...)
	l.buf = append(l.buf, make([]byte, 16*units-len(text))...)
}
