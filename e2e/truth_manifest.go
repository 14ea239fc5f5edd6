package e2e

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// manifest is what a player needs of a playlist, read by other code than the edge's own.
type manifest struct {
	variants, renditions []*url.URL
	init                 *piece
	key                  *url.URL
	segments             []piece
	ended                bool
}

// piece is something a player fetches and keeps: a segment or an init section.
type piece struct {
	url            *url.URL
	moment         int64   // media sequence number; 0: an init section
	seconds        float64 // of media
	offset, length int64   // within the resource; −1: all of it
}

// readManifest reads a playlist that was fetched from base.
func readManifest(base *url.URL, text string) (*manifest, error) {
	m := &manifest{}
	p := piece{offset: -1, length: -1}
	variant, moment := false, int64(0)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		tag, value, _ := strings.Cut(line, ":")
		var err error
		switch {
		case line == "":
		case tag == "#EXT-X-STREAM-INF":
			variant = true
		case tag == "#EXT-X-MEDIA":
			m.renditions, err = appendURI(m.renditions, base, value)
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			moment, err = strconv.ParseInt(value, 10, 64)
		case tag == "#EXT-X-KEY":
			m.key, err = resolve(base, attribute(value, "URI"))
		case tag == "#EXT-X-MAP":
			m.init = &piece{}
			if m.init.url, err = resolve(base, attribute(value, "URI")); err == nil {
				m.init.offset, m.init.length, err = byteRange(attribute(value, "BYTERANGE"))
			}
		case tag == "#EXT-X-BYTERANGE":
			p.offset, p.length, err = byteRange(value)
		case tag == "#EXTINF":
			p.seconds, err = strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
		case tag == "#EXT-X-ENDLIST":
			m.ended = true
		case line[0] == '#':
		case variant:
			u, failed := resolve(base, line)
			m.variants, err, variant = append(m.variants, u), failed, false
		default:
			p.moment = moment
			p.url, err = resolve(base, line)
			m.segments, moment, p = append(m.segments, p), moment+1, piece{offset: -1, length: -1}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", base.Path, line, err)
		}
	}
	return m, nil
}

func resolve(base *url.URL, reference string) (*url.URL, error) { return base.Parse(reference) }

func appendURI(all []*url.URL, base *url.URL, attributes string) ([]*url.URL, error) {
	u, err := resolve(base, attribute(attributes, "URI"))
	return append(all, u), err
}

// attribute is the value of a quoted attribute, or "".
func attribute(list, name string) string {
	_, rest, found := strings.Cut(","+list, ","+name+`="`)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// byteRange reads LENGTH@OFFSET. The studio always writes both.
func byteRange(text string) (offset, length int64, err error) {
	before, after, found := strings.Cut(text, "@")
	if !found {
		return 0, 0, fmt.Errorf("byte range %q has no offset", text)
	}
	if length, err = strconv.ParseInt(before, 10, 64); err != nil {
		return 0, 0, err
	}
	offset, err = strconv.ParseInt(after, 10, 64)
	return offset, length, err
}
