package proxy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"earshot/relay"
)

// statusPath is where Icecast tells how its mounts are, and statistics and players' widgets ask for it.
const statusPath = "/status-json.xsl"

// statusFor is how long a look at the mounts is good for: whoever asks more often costs no more.
const statusFor = time.Second

// status is what is told of the mounts at [statusPath], in the form of Icecast 2.4.4.
type status struct {
	proxy *Proxy
	began time.Time
	fixed []*mount // on air at a path, in its order

	mu      sync.Mutex
	at      time.Time
	sources []sourceText
}

// sourceText is a mount as JSON, but for the URL: that is as the client reaches it. The URL stands between before and after.
type sourceText struct {
	path          string
	before, after []byte
}

func (s *status) init(p *Proxy) {
	s.proxy, s.began = p, time.Now()
	for _, stream := range p.routes.icy {
		s.fixed = append(s.fixed, stream.fixed())
	}
}

// statusPage answers with all mounts, or with that of ?mount=. One mount is an object, several are a list, and none is nothing.
func (p *Proxy) statusPage(r *http.Request) (string, []byte) {
	base := p.outward(r)
	only, filtered := r.URL.Query().Get("mount"), r.URL.Query().Has("mount")
	var sources [][]byte
	for _, s := range p.status.now() {
		if !filtered || plain(pathOf(only)) == s.path {
			sources = append(sources, s.text(base))
		}
	}
	_, host, _ := strings.Cut(base, "://")
	top := icestats{Admin: "icemaster@localhost", Host: hostOnly(host), Location: cmp.Or(p.opt.Edge, "Earth"), ServerID: p.opt.Server,
		Start: p.status.began.Format(time.RFC1123Z), StartISO: p.status.began.Format(iso8601)}
	if len(sources) == 0 {
		top.Dummy = json.RawMessage("null")
	}
	body, err := json.Marshal(top)
	if err != nil {
		body = []byte("{}") // cannot be: all in it are texts
	}
	body = append([]byte(`{"icestats":`), body[:len(body)-1]...)
	switch {
	case len(sources) == 1:
		body = slices.Concat(body, []byte(`,"source":`), sources[0])
	case len(sources) > 1:
		body = slices.Concat(body, []byte(`,"source":[`), bytes.Join(sources, []byte(",")), []byte("]"))
	}
	return "application/json; charset=UTF-8", append(body, "}}"...)
}

// pathOf is a mount's name, which a client writes plain or escaped, as paths are kept.
func pathOf(name string) string { return uriText(name, "") }

// hostOnly is a host without its port.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}

const iso8601 = "2006-01-02T15:04:05-0700"

// icestats are the keys of Icecast 2.4.4, in its order, but for source, which comes last. Dummy is its own: it ends what has none.
type icestats struct {
	Admin    string          `json:"admin"`
	Host     string          `json:"host"`
	Location string          `json:"location"`
	ServerID string          `json:"server_id"`
	Start    string          `json:"server_start"`
	StartISO string          `json:"server_start_iso8601"`
	Dummy    json.RawMessage `json:"dummy,omitempty"`
}

// sourceBefore are the keys of a mount up to listenurl, and sourceAfter those after it, in Icecast's order.
type sourceBefore struct {
	AudioInfo  string `json:"audio_info,omitempty"`
	Bitrate    *int   `json:"bitrate,omitempty"`
	Genre      string `json:"genre"`
	IceBitrate *int   `json:"ice-bitrate,omitempty"`
	Channels   *int   `json:"ice-channels,omitempty"`
	SampleRate *int   `json:"ice-samplerate,omitempty"`
	Peak       int    `json:"listener_peak"`
	Listeners  int    `json:"listeners"`
}

type sourceAfter struct {
	Description string    `json:"server_description"`
	Name        string    `json:"server_name"`
	Type        string    `json:"server_type"`
	URL         string    `json:"server_url,omitempty"`
	Start       string    `json:"stream_start,omitempty"`
	StartISO    string    `json:"stream_start_iso8601,omitempty"`
	Subtype     string    `json:"subtype,omitempty"`
	Title       string    `json:"title,omitempty"`
	Dummy       *struct{} `json:"dummy"`
}

func (s sourceText) text(base string) []byte {
	at, err := json.Marshal(base + s.path)
	if err != nil {
		return nil
	}
	return slices.Concat(s.before, []byte(`,"listenurl":`), at, []byte(","), s.after)
}

// now are the mounts as they are, or were a moment ago.
func (s *status) now() []sourceText {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || time.Since(s.at) >= statusFor {
		s.sources, s.at = s.look(), time.Now()
	}
	return s.sources
}

// look asks the hubs. A mount whose origins all fail is not on air, and is left out as Icecast would.
func (s *status) look() (all []sourceText) {
	known := make(map[string]bool)
	for _, m := range s.fixed {
		var st relay.Status
		if hub, ok := s.proxy.opt.Relay.Find(m.group); ok {
			st = hub.Status()
		}
		known[m.group] = true
		if st.State != relay.Failed {
			all = append(all, newSourceText(m.prefix, &st))
		}
	}
	s.proxy.opt.Relay.Each(func(hub *relay.Hub) bool {
		if st := hub.Status(); !known[st.Key] && st.Path != "" && st.State != relay.Failed {
			all = append(all, newSourceText(st.Path, &st))
		}
		return true
	})
	slices.SortFunc(all, func(a, b sourceText) int { return cmp.Compare(a.path, b.path) })
	return all
}

func newSourceText(path string, st *relay.Status) sourceText {
	f := factsOf(st.Info)
	before := sourceBefore{AudioInfo: f.audioInfo, Bitrate: f.number("icy-br"), Genre: cmp.Or(f.genre, "various"), IceBitrate: f.number("ice-bitrate"),
		Channels: f.number("ice-channels"), SampleRate: f.number("ice-samplerate"), Peak: max(st.Peak, st.Listeners), Listeners: st.Listeners}
	after := sourceAfter{Description: cmp.Or(f.description, "Unspecified description"), Name: cmp.Or(f.name, "Unspecified name"),
		Type: cmp.Or(utf8Text(st.Info.ContentType), guessType(path)), URL: f.url, Title: st.Title}
	if !(relay.Info{ContentType: after.Type}).Metadata() {
		after.Subtype = subtypes[st.Codec]
	}
	if !st.Connected.IsZero() {
		start := st.Connected.Local()
		after.Start, after.StartISO = start.Format(time.RFC1123Z), start.Format(iso8601)
	}
	b, err := json.Marshal(before)
	a, err2 := json.Marshal(after)
	if err != nil || err2 != nil {
		return sourceText{path, []byte("{"), []byte(`"dummy":null}`)} // cannot be
	}
	return sourceText{path, b[:len(b)-1], a[1:]}
}

// subtypes are Icecast's names of what is in Ogg.
var subtypes = map[string]string{"vorbis": "Vorbis", "opus": "Opus", "flac": "FLAC"}

// facts are what a source says of itself.
type facts struct {
	name, genre, description, url string
	audioInfo                     string
	numbers                       map[string]int
}

func factsOf(info relay.Info) facts {
	f := facts{numbers: make(map[string]int)}
	for _, h := range info.Header {
		text := utf8Text(h.Value)
		switch h.Name {
		case "icy-name":
			f.name = text
		case "icy-genre":
			f.genre = text
		case "icy-description":
			f.description = text
		case "icy-url":
			f.url = text
		case "icy-br":
			f.note("icy-br", text)
		case "ice-audio-info":
			f.audioInfo = text
			for pair := range strings.SplitSeq(text, ";") {
				name, value, _ := strings.Cut(pair, "=")
				f.note("ice-"+strings.TrimPrefix(strings.TrimSpace(name), "ice-"), value)
			}
		}
	}
	return f
}

// note takes the number with which a value begins: some servers tell several bit rates at once.
func (f *facts) note(name, value string) {
	value = strings.TrimSpace(value)
	if end := strings.IndexFunc(value, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		value = value[:end]
	}
	if n, err := strconv.Atoi(value); err == nil {
		f.numbers[name] = n
	}
}

func (f *facts) number(name string) *int {
	if n, ok := f.numbers[name]; ok {
		return &n
	}
	return nil
}

// utf8Text is a header of a source, whose charset nobody declares: what is not UTF-8 is taken for Latin-1, as Icecast does.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}
