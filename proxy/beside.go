package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"earshot/relay"
)

// What Icecast serves beside its mounts: their state, and for each a playlist that leads to it. No session begins with one.

// page makes the body of a small answer.
type page func(r *http.Request) (contentType string, body []byte)

// beside finds what is served at a path that is no stream's; nil: nothing.
func (p *Proxy) beside(path string) page {
	if path == statusPath {
		return p.statusPage
	}
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 {
		return nil
	}
	write, ok := lists[path[dot:]]
	if !ok {
		return nil
	}
	m := p.routes.find(path[:dot])
	if m == nil || len(m.stream.ICY) == 0 {
		return nil
	}
	return func(r *http.Request) (string, []byte) { return write(p.entry(r, m)) }
}

func (p *Proxy) servePage(w *answer, r *http.Request, make page) error {
	contentType, body := make(r)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Expires", longAgo)
	h.Set("Pragma", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, _ = w.Write(body) // fails when the client has gone: nobody is left to tell
	return nil
}

// entry is a mount as a playlist names it.
type entry struct {
	url    string // ASCII, without control bytes
	status relay.Status
	facts  facts
}

func (p *Proxy) entry(r *http.Request, m *mount) entry {
	e := entry{url: p.outward(r) + uriText(m.prefix, "")}
	if r.URL.RawQuery != "" {
		e.url += "?" + uriText(r.URL.RawQuery, "?") // it may hold the listener's token
	}
	if hub, ok := p.opt.Relay.Find(m.group); ok {
		e.status = hub.Status()
	}
	e.facts = factsOf(e.status.Info)
	return e
}

// lists are the formats of playlists, by extension. Icecast has no .pls; Shoutcast has.
var lists = map[string]func(entry) (contentType string, body []byte){".m3u": m3u, ".pls": pls, ".xspf": xspf}

func m3u(e entry) (string, []byte) { return "audio/x-mpegurl", []byte(e.url + "\r\n") }

func pls(e entry) (string, []byte) {
	title := ""
	if name := oneLine(e.facts.name); name != "" {
		title = "Title1=" + name + "\n"
	}
	return "audio/x-scpls", []byte("[playlist]\nNumberOfEntries=1\nFile1=" + e.url + "\n" + title + "Length1=-1\nVersion=2\n")
}

// oneLine is a text without what would end a line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

func xspf(e entry) (string, []byte) {
	var b bytes.Buffer
	element := func(indent, name, text string) {
		if text == "" {
			fmt.Fprintf(&b, "%s<%s/>\n", indent, name)
			return
		}
		fmt.Fprintf(&b, "%s<%s>%s</%s>\n", indent, name, xmlText(text), name)
	}
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  <title/>\n  <creator/>\n" +
		"  <trackList>\n    <track>\n")
	element("      ", "location", e.url)
	element("      ", "title", e.status.Title)
	if e.status.Info.ContentType != "" {
		element("      ", "annotation", e.annotation())
	}
	if u, err := url.Parse(e.facts.url); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		element("      ", "info", e.facts.url)
	}
	b.WriteString("    </track>\n  </trackList>\n</playlist>\n")
	return "application/xspf+xml; charset=UTF-8", b.Bytes()
}

// xmlText is a text as it may stand in an element. Some characters may not stand in XML at all (XML 1.0, 2.2).
func xmlText(s string) string {
	return xmlReserved.Replace(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar))))
}

var xmlReserved = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// annotation is what Icecast says of a mount to people, in its words.
func (e entry) annotation() string {
	var lines []string
	for _, line := range [][2]string{
		{"Stream Title: ", e.facts.name},
		{"Stream Description: ", e.facts.description},
		{"Content Type:", e.status.Info.ContentType},
		{"Current Listeners: ", strconv.Itoa(e.status.Listeners)},
		{"Peak Listeners: ", strconv.Itoa(max(e.status.Peak, e.status.Listeners))},
		{"Stream Genre: ", e.facts.genre},
	} {
		if line[1] != "" {
			lines = append(lines, line[0]+line[1])
		}
	}
	return strings.Join(lines, "\n")
}
