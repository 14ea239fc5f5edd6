package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"
)

// doorPlayer is an HLS player: it follows what playlists name and knows of nothing else. Its address is what a proxy that the edge trusts says.
type doorPlayer struct {
	t              testing.TB
	address, agent string // "" is the test's own address
	header         map[string]string
	client         *http.Client
	proto          string // that answers must come in; "": any

	media *url.URL // the media playlist, as the master names it
	last  []*url.URL
	had   map[string]bool // segments, by path
}

func newDoorPlayer(t testing.TB, address, agent string) *doorPlayer {
	p := &doorPlayer{t: t, address: address, agent: agent, header: map[string]string{}, had: map[string]bool{},
		client: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{DisableCompression: true}}}
	t.Cleanup(p.client.CloseIdleConnections)
	return p
}

// alias is a player that uses what this one was given, from somewhere else.
func (p *doorPlayer) alias(address, agent string) *doorPlayer {
	q := newDoorPlayer(p.t, address, agent)
	q.media, q.last = p.media, slices.Clone(p.last)
	return q
}

// answered is an answer of the data plane; Code and the rest are a problem's.
type answered struct {
	status int
	header http.Header
	text   string
	url    *url.URL

	Code, Detail, Rule, Message string
	Conflicts                   []struct{ Code, Stream string }
}

func (r answered) String() string {
	return fmt.Sprintf("%s: %d %s %.300q", r.url.Path, r.status, r.Code, r.text)
}

// ok is empty for an answer that plays.
func (r answered) ok() bool { return r.status == http.StatusOK }

// is: the answer is a refusal with that status and code.
func (r answered) is(t testing.TB, status int, code string) answered {
	t.Helper()
	if r.status != status || r.Code != code {
		t.Fatalf("%v; want %d %s", r, status, code)
	}
	if got := r.header.Get("Content-Type"); got != "application/problem+json" || r.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("%v is no problem that a page can read: %v", r, r.header)
	}
	return r
}

func (r answered) plays(t testing.TB) answered {
	t.Helper()
	if !r.ok() {
		t.Fatalf("%v; want 200", r)
	}
	return r
}

func (p *doorPlayer) ask(u string) answered {
	p.t.Helper()
	r, err := p.try(u)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *doorPlayer) try(u string) (answered, error) {
	req, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		return answered{}, err
	}
	req.Header.Set("User-Agent", p.agent)
	if p.address != "" {
		req.Header.Set("X-Forwarded-For", p.address)
	}
	for name, value := range p.header {
		req.Header.Set(name, value)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return answered{}, err
	}
	defer res.Body.Close()
	if p.proto != "" && res.Proto != p.proto {
		return answered{}, fmt.Errorf("%s: answered in %s", u, res.Proto)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return answered{}, fmt.Errorf("%s: %w", u, err)
	}
	r := answered{status: res.StatusCode, header: res.Header, text: string(body), url: req.URL}
	if res.StatusCode >= 400 {
		if err := json.Unmarshal(body, &r); err != nil {
			return r, fmt.Errorf("%s: %d without a problem: %.300q", u, res.StatusCode, body)
		}
	}
	return r, nil
}

// begin asks for a master.
func (p *doorPlayer) begin(u string) answered {
	p.t.Helper()
	r := p.ask(u)
	if !r.ok() {
		return r
	}
	uris, err := uriLines(r.url, r.text)
	if err != nil || len(uris) != 1 {
		p.t.Fatalf("%v in the master %q", err, r.text)
	}
	p.media, p.last = uris[0], nil
	return r
}

// poll asks for the media playlist.
func (p *doorPlayer) poll() answered {
	p.t.Helper()
	r := p.ask(p.media.String())
	if !r.ok() {
		return r
	}
	uris, err := uriLines(r.url, r.text)
	if err != nil || len(uris) == 0 {
		p.t.Fatalf("%v in the playlist %q", err, r.text)
	}
	p.last = uris
	return r
}

// step is what a player does each time: it asks for the playlist, and for a segment. It returns the first answer that does not play.
func (p *doorPlayer) step() answered {
	p.t.Helper()
	r := p.poll()
	if !r.ok() || p.next() == nil {
		return r
	}
	return p.segment()
}

// next is the segment that a player asks for next: one of the last three of a live window, or the next on demand, and none twice. nil: there
// is none yet.
func (p *doorPlayer) next() *url.URL {
	at := p.last
	if len(at) <= goodWindow {
		at = at[len(at)-3:]
	}
	for _, u := range at {
		if !p.had[u.Path] {
			return u
		}
	}
	return nil
}

// segment asks for the next segment, or, where there is none yet, for the last one again.
func (p *doorPlayer) segment() answered {
	p.t.Helper()
	next := p.next()
	if next == nil {
		next = p.last[len(p.last)-1]
	}
	p.had[next.Path] = true
	r := p.ask(next.String())
	if r.ok() && len(r.text) != goodBytes {
		p.t.Fatalf("a segment of %d bytes", len(r.text))
	}
	return r
}

// start begins and plays once.
func (p *doorPlayer) start(u string) answered {
	p.t.Helper()
	if r := p.begin(u); !r.ok() {
		return r
	}
	return p.step()
}

// plays has the player go on for a time, and fails the test if it is ever refused.
func (p *doorPlayer) plays(d time.Duration) {
	p.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		p.step().plays(p.t)
	}
}

// id is the session that the last playlist named, else the master.
func (p *doorPlayer) id() string {
	if len(p.last) > 0 {
		return p.last[0].Query().Get("X-Playback-Session-Id")
	}
	return p.media.Query().Get("X-Playback-Session-Id")
}

// grant is that of the media playlist.
func (p *doorPlayer) grant() string { return p.media.Query().Get("earshot") }

// withParams is a URL with parameters set; an empty value takes one away.
func withParams(u string, pairs ...string) string {
	at := mustParse(u)
	q := at.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	at.RawQuery = q.Encode()
	return at.String()
}

func mustParse(u string) *url.URL {
	at, err := url.Parse(u)
	if err != nil {
		panic(err) // the test wrote it
	}
	return at
}
