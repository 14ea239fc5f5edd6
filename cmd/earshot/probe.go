package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"earshot/config"
	"earshot/origin"
	"earshot/playlist"
	"earshot/proxy"
	"earshot/relay"
)

// Bounds of a probe.
const (
	probeEach      = 10 * time.Second // for one answer
	probeAtOnce    = 8                // origins
	probePlaylists = 50               // that a master names, of one origin
	probePlaces    = 20               // that are printed of one origin
)

// usualNames are what packagers call the playlist that a listener opens.
var usualNames = []string{"master.m3u8", "index.m3u8", "playlist.m3u8", "main.m3u8", "stream.m3u8", "manifest.m3u8", "live.m3u8"}

// prober asks the origins of a configuration what a listener would get.
type prober struct {
	cfg   *config.Config
	proxy *proxy.Proxy
	relay *relay.Relay
	paths map[*proxy.Stream][]string // named on the command line
}

// finding is what is to be said of one origin of one stream.
type finding struct {
	text   strings.Builder
	failed bool
}

func (f *finding) say(format string, args ...any) { fmt.Fprintf(&f.text, format+"\n", args...) }

func (f *finding) fail(format string, args ...any) {
	f.failed = true
	f.say(format, args...)
}

// probeOrigins asks every origin, prints what it finds in the order of the configuration, and fails if an origin does not serve its stream.
func probeOrigins(ctx context.Context, cfg *config.Config, paths []string, stdout io.Writer) error {
	client := origin.New(origin.Options{UserAgent: "Earshot/" + version(), HeaderTimeout: probeEach})
	defer client.Close()
	all := streams(cfg)
	p := &prober{cfg: cfg, proxy: proxy.New(proxy.Options{Streams: all, Origin: client}), paths: make(map[*proxy.Stream][]string),
		relay: relay.New(relay.Options{UserAgent: "Earshot/" + version(), HeaderTimeout: probeEach})}
	defer p.proxy.Close()
	for _, path := range paths {
		s, ok := p.proxy.StreamAt(path)
		if !ok {
			return fmt.Errorf("%q: no stream has this path; write one as players ask for it, such as /hls/news/master.m3u8", path)
		}
		p.paths[s] = append(p.paths[s], path)
	}
	failed, asked := 0, 0
	for _, f := range p.all(ctx, all) {
		io.WriteString(stdout, f.text.String())
		if asked++; f.failed {
			failed++
		}
	}
	ending, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := p.relay.Shutdown(ending); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, count(asked, "origin"))
	}
	return ctx.Err()
}

// all probes every origin of every stream, a few at a time.
func (p *prober) all(ctx context.Context, all []*proxy.Stream) []*finding {
	var findings []*finding
	var work sync.WaitGroup
	places := make(chan struct{}, probeAtOnce)
	for i, s := range all {
		label := p.cfg.Streams[i].Group + p.cfg.Streams[i].Stream
		for at, text := range slices.Concat(s.HLS, s.ICY) {
			f := &finding{}
			findings = append(findings, f)
			places <- struct{}{}
			work.Go(func() {
				defer func() { <-places }()
				f.say("%s (line %d) at %s", label, p.cfg.Streams[i].Line, withoutPassword(text))
				if len(s.ICY) > 0 {
					p.mount(ctx, f, s, text)
				} else {
					p.group(ctx, f, s, at)
				}
			})
		}
	}
	work.Wait()
	return findings
}

func withoutPassword(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "(not a URL)"
	}
	if u.User == nil {
		return text // as it is written, captures and all
	}
	return u.Redacted()
}

// mount probes an origin of an ICY stream.
func (p *prober) mount(ctx context.Context, f *finding, s *proxy.Stream, source string) {
	if s.Match != nil {
		f.say("  not asked: its path is a pattern")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeEach)
	defer cancel()
	info, err := p.relay.Hub(relay.Mount{Key: source, Origins: []string{source}, Transient: true}).Open(ctx)
	var upstream *relay.UpstreamError
	switch {
	case errors.As(err, &upstream) && upstream.Cause() != nil:
		f.fail("  FAILED: %v: %v", err, upstream.Cause())
	case err != nil:
		f.fail("  FAILED: %v", err)
	default:
		said := []string{info.ContentType}
		for _, h := range info.Header {
			if h.Name == "icy-br" || h.Name == "icy-name" {
				said = append(said, h.Name+" "+h.Value)
			}
		}
		f.say("  on air: %s", strings.Join(said, ", "))
	}
}

// group probes an origin of an HLS stream.
func (p *prober) group(ctx context.Context, f *finding, s *proxy.Stream, at int) {
	paths := p.paths[s]
	if len(paths) == 0 && s.Match != nil {
		f.say("  not asked: its path is a pattern; name a playlist: earshot check -probe -config FILE /PATH/master.m3u8")
		return
	}
	if len(paths) > 0 {
		for _, path := range paths {
			p.listener(ctx, f, s, path, at)
		}
		return
	}
	for _, name := range usualNames {
		found, err := p.ask(ctx, s.Path+name, at, nil)
		switch {
		case err == nil:
			p.follow(ctx, f, s, found, at)
			return
		case !errors.Is(err, origin.ErrNotFound):
			f.fail("  FAILED: %s: %v", name, err)
			return
		}
	}
	f.say("  it answers, and has none of %s; name a playlist: earshot check -probe -config FILE %sNAME.m3u8",
		strings.Join(usualNames, ", "), s.Path)
}

// listener probes what a listener of a path would get.
func (p *prober) listener(ctx context.Context, f *finding, s *proxy.Stream, path string, at int) {
	found, err := p.ask(ctx, path, at, nil)
	if err != nil {
		f.fail("  FAILED: %s: %v", path, err)
		return
	}
	p.follow(ctx, f, s, found, at)
}

func (p *prober) ask(ctx context.Context, path string, at int, master *proxy.Probed) (*proxy.Probed, error) {
	ctx, cancel := context.WithTimeout(ctx, probeEach)
	defer cancel()
	return p.proxy.Probe(ctx, path, at, master)
}

// follow probes the children of a master too, and says what all of them hold.
func (p *prober) follow(ctx context.Context, f *finding, s *proxy.Stream, root *proxy.Probed, at int) {
	all := []*proxy.Probed{root}
	children := root.Children[:min(len(root.Children), probePlaylists)]
	for _, child := range children {
		if of, _ := p.proxy.StreamAt(child); of != s {
			continue // it is another stream's, and probed there
		}
		found, err := p.ask(ctx, child, at, root)
		if err != nil {
			f.fail("  FAILED: %s: %v", child, err)
			continue
		}
		all = append(all, found)
	}
	segments := 0
	for _, one := range all {
		segments += one.Segments
	}
	if root.Kind == playlist.KindMaster {
		f.say("  %s: a master of %s, %s", root.Path, count(len(root.Children), "playlist"), count(segments, "segment"))
	} else {
		f.say("  %s: a %s playlist, %s", root.Path, root.Kind, count(segments, "segment"))
	}
	if n := len(root.Children) - len(children); n > 0 {
		f.say("  %s more are not asked for", count(n, "playlist"))
	}
	leftAlone(f, all)
}

// leftPlace is a folder of URIs that are left alone.
type leftPlace struct {
	name    string
	n       int
	example string
	in      string
}

// leftAlone names the places outside the mounted prefixes. Listeners fetch what is there past the edge, and nobody counts it.
func leftAlone(f *finding, all []*proxy.Probed) {
	byName := make(map[string]*leftPlace)
	total := 0
	for _, one := range all {
		for _, l := range one.LeftAlone {
			total++
			name := folder(l)
			at := byName[name]
			if at == nil {
				at = &leftPlace{name: name, example: shortened(l.Raw), in: one.Path}
				byName[name] = at
			}
			at.n++
		}
	}
	if total == 0 {
		f.say("  every URI is mounted")
		return
	}
	f.say("  %s outside the mounted prefixes: listeners fetch them past the edge, uncounted", count(total, "URI"))
	places := make([]*leftPlace, 0, len(byName))
	for _, at := range byName {
		places = append(places, at)
	}
	slices.SortFunc(places, func(a, b *leftPlace) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	for i, at := range places {
		if i == probePlaces {
			f.say("    and %s more", count(len(places)-i, "place"))
			break
		}
		f.say("    %s: %d, such as %q in %s", at.name, at.n, at.example, at.in)
	}
}

func folder(l playlist.LeftAlone) string {
	if l.URL == "" {
		return "(a variable that is not defined, or no URI)"
	}
	path, _, _ := strings.Cut(l.URL, "?")
	path = path[:strings.LastIndexByte(path, '/')+1]
	if l.Tag != "" {
		path += " (" + l.Tag + ")"
	}
	return path
}

func shortened(s string) string {
	const most = 120
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}
