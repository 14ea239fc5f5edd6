package relay

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

const (
	maxList    = 64 << 10 // bytes of a playlist
	maxEntries = 20       // of one that are tried
)

// mayBeList tells by the type that the body is a playlist, or a text that could be one.
func mayBeList(contentType string) bool {
	t := mediaType(contentType)
	return isM3U(t) || isTextList(t)
}

func isM3U(mediaType string) bool { return strings.Contains(mediaType, "mpegurl") }

func isTextList(mediaType string) bool {
	switch mediaType {
	case "audio/x-scpls", "audio/scpls", "application/x-scpls", "application/pls+xml", "application/pls", "audio/x-pls",
		"application/xspf+xml", "text/plain", "text/uri-list", "text/xml", "application/xml":
		return true
	}
	return false
}

// beginsList tells a playlist that claims to be audio by its first bytes.
func beginsList(begin []byte) bool {
	s := textOf(begin)
	for _, mark := range []string{"[playlist]", "#extm3u", "http://", "https://", "<?xml", "<playlist"} {
		if strings.HasPrefix(s, mark) {
			return true
		}
	}
	return false
}

// textOf is how a text begins, in lower case, whatever stands before it.
func textOf(b []byte) string {
	return strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(b), "\ufeff"), " \t\r\n"))
}

// parseList is the entries of a playlist, as they are written there: .pls, .m3u or .xspf, whichever it turns out to be.
func parseList(contentType string, b []byte) ([]string, *UpstreamError) {
	begin := textOf(b)
	var entries []string
	switch {
	case bytes.Contains(b, []byte("#EXT-X-")):
		return nil, failed(IsHLS, errors.New("an HLS playlist; a stream of HLS is configured under hls: and not under icy"))
	case strings.HasPrefix(begin, "[playlist]"):
		entries = parsePLS(b)
	case strings.Contains(begin, "<playlist"):
		entries = parseXSPF(b)
	case strings.HasPrefix(begin, "<"):
		return nil, failed(NotAudio, errors.New("answered with a page"))
	case isM3U(mediaType(contentType)) || beginsList([]byte(begin)):
		entries = parseM3U(b)
	default:
		return nil, failed(NotAudio, errors.New("answered with a text that is no playlist"))
	}
	if len(entries) == 0 {
		return nil, failed(BadList, errors.New("a playlist that names nothing"))
	}
	return entries[:min(len(entries), maxEntries)], nil
}

func parsePLS(b []byte) (entries []string) {
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if number, ok := strings.CutPrefix(name, "file"); ok && strings.Trim(number, "0123456789") == "" {
			entries = appendEntry(entries, value)
		}
	}
	return entries
}

func parseM3U(b []byte) (entries []string) {
	for line := range strings.Lines(strings.TrimPrefix(string(b), "\ufeff")) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			entries = appendEntry(entries, line)
		}
	}
	return entries
}

// parseXSPF is the locations of the tracks, as far as it can be read.
func parseXSPF(b []byte) (entries []string) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // URLs are ASCII in all that is used
	var within []string
	for {
		token, err := d.Token()
		if err != nil {
			return entries
		}
		switch t := token.(type) {
		case xml.StartElement:
			within = append(within, t.Name.Local)
		case xml.EndElement:
			within = within[:max(0, len(within)-1)]
		case xml.CharData:
			if n := len(within); n >= 2 && within[n-1] == "location" && within[n-2] == "track" {
				entries = appendEntry(entries, string(t))
			}
		}
	}
}

func appendEntry(entries []string, s string) []string {
	if s = clean(strings.TrimSpace(s)); s != "" {
		return append(entries, s)
	}
	return entries
}
