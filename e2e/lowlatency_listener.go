package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// llListener asks as a low-latency player does, one thing at a time, and keeps count. Its user agent is its name in the edge's books.
type llListener struct {
	agent  string
	client *http.Client
	bytes  int64        // of media bodies
	heard  map[int]bool // parts, by their number from media sequence number 0 on
}

func newLLListener(t testing.TB, agent string) *llListener {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &llListener{agent: agent, heard: make(map[int]bool), client: &http.Client{Transport: transport, Timeout: 20 * time.Second}}
}

// ask returns the body of an answer with that status.
func (l *llListener) ask(u *url.URL, ranges string, status int) (string, error) {
	req, err := http.NewRequest(http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", l.agent)
	if ranges != "" {
		req.Header.Set("Range", ranges)
	}
	res, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != status {
		err = fmt.Errorf("GET %s (%s): %s: %.200s", u, ranges, res.Status, body)
	}
	return string(body), err
}

// master loads a multivariant playlist: the URLs of its variants, then of its renditions.
func (l *llListener) master(address string) ([]*url.URL, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	text, err := l.ask(base, "", http.StatusOK)
	if err != nil {
		return nil, err
	}
	m, err := readManifest(base, text)
	if err != nil {
		return nil, err
	}
	return append(m.variants, m.renditions...), nil
}

// fetch takes a part or a segment, and counts it.
func (l *llListener) fetch(p llPiece) error {
	status := http.StatusOK
	if p.ranges != "" {
		status = http.StatusPartialContent
	}
	body, err := l.ask(p.url, p.ranges, status)
	l.bytes += int64(len(body))
	for part := p.from; part < p.to; part++ {
		l.heard[part] = true
	}
	return err
}

// llPiece is something to fetch.
type llPiece struct {
	url      *url.URL
	ranges   string // a Range header, or ""
	uri      string // as the playlist has it
	from, to int    // the parts that it is, by their number from media sequence number 0 on
}

// llVersion is one version of a media playlist, read by other code than the edge's own.
type llVersion struct {
	text     string
	url      *url.URL // without directives
	msn      int      // of the segment that the next part belongs to
	parts    []llPiece
	current  []llPiece // of parts: those of the segment that is not whole yet
	segments []llPiece
	hint     *llPiece
	reports  []*url.URL
	skipped  int // segments
}

// reload loads a playlist: with a msn, as a blocking reload. part −1 asks for the whole segment.
func (l *llListener) reload(playlist *url.URL, msn, part int, skip bool) (*llVersion, error) {
	u := withDirectives(playlist, msn, part, skip)
	text, err := l.ask(u, "", http.StatusOK)
	if err != nil {
		return nil, err
	}
	v := &llVersion{text: text, url: playlist}
	return v, v.read()
}

func withDirectives(playlist *url.URL, msn, part int, skip bool) *url.URL {
	u := *playlist
	add := func(directive string) { u.RawQuery = strings.TrimPrefix(u.RawQuery+"&"+directive, "&") }
	if msn >= 0 {
		add(fmt.Sprintf("_HLS_msn=%d", msn))
	}
	if part >= 0 {
		add(fmt.Sprintf("_HLS_part=%d", part))
	}
	if skip {
		add("_HLS_skip=YES")
	}
	return &u
}

func (v *llVersion) read() error {
	for line := range strings.Lines(v.text) {
		line = strings.TrimSpace(line)
		tag, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			v.msn, err = strconv.Atoi(value)
		case tag == "#EXT-X-SKIP":
			_, err = fmt.Sscanf(value, "SKIPPED-SEGMENTS=%d", &v.skipped)
			v.msn += v.skipped
		case tag == "#EXT-X-PART":
			var p llPiece
			p, err = v.piece(attribute(value, "URI"), attribute(value, "BYTERANGE"))
			p.from = v.msn*llParts + len(v.current)
			p.to = p.from + 1
			v.parts, v.current = append(v.parts, p), append(v.current, p)
		case tag == "#EXT-X-PRELOAD-HINT":
			err = v.readHint(value)
		case tag == "#EXT-X-RENDITION-REPORT":
			v.reports, err = appendURI(v.reports, v.url, value)
		case line != "" && line[0] != '#':
			var p llPiece
			p, err = v.piece(line, "")
			p.from, p.to = v.msn*llParts, (v.msn+1)*llParts
			v.segments, v.current = append(v.segments, p), nil
			v.msn++
		}
		if err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
	}
	return nil
}

func (v *llVersion) piece(uri, ranges string) (llPiece, error) {
	u, err := v.url.Parse(uri)
	p := llPiece{url: u, uri: uri}
	if ranges != "" && err == nil {
		var offset, length int64
		if offset, length, err = byteRange(ranges); err == nil {
			p.ranges = fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
		}
	}
	return p, err
}

func (v *llVersion) readHint(value string) error {
	p, err := v.piece(attribute(value, "URI"), "")
	p.from = v.msn*llParts + len(v.current)
	p.to = p.from + 1
	if _, start, ranged := strings.Cut(value, "BYTERANGE-START="); ranged {
		p.ranges = fmt.Sprintf("bytes=%s-%d", start, openEnd)
		p.to = (v.msn + 1) * llParts // to the end of its segment, whenever that is
	}
	v.hint = &p
	return err
}

// part is the one of that number, and segment the one of that media sequence number, as the playlist lists them.
func (v *llVersion) part(number int) (llPiece, error) {
	return listed(v.parts, number)
}

func (v *llVersion) segment(msn int) (llPiece, error) {
	return listed(v.segments, msn*llParts)
}

func listed(pieces []llPiece, from int) (llPiece, error) {
	for _, p := range pieces {
		if p.from == from {
			return p, nil
		}
	}
	return llPiece{}, fmt.Errorf("segment %d, part %d is not listed in %v", from/llParts, from%llParts, pieces)
}

// next are the directives of the reload that waits for the next part.
func (v *llVersion) next() (msn, part int) { return v.msn, len(v.current) }

// spliced is what the edge adds to a URI.
var spliced = regexp.MustCompile(`[?&]X-Playback-Session-Id=[^&"\s]+&earshot=[^&"\s]+`)

// plain is a playlist as it was before the edge.
func plain(text string) string { return spliced.ReplaceAllString(text, "") }
