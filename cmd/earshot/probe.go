package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/grafana/regexp"

	"earshot/config"
	"earshot/origin"
	"earshot/playlist"
	"earshot/proxy"
	"earshot/relay"
)

// Bounds of a probe.
const (
	probeEach      = 10 * time.Second // for one answer
	probeOrigin    = 30 * time.Second // for all that is asked of one origin of a stream
	probeAtOnce    = 8                // origins, and playlists that a master names
	probePlaylists = 50               // that a master names, of one origin
	probePlaces    = 20               // that are printed of one origin
)

// usualNames are what packagers call the playlist that a listener opens.
var usualNames = []string{"master.m3u8", "index.m3u8", "playlist.m3u8", "main.m3u8", "stream.m3u8", "manifest.m3u8", "live.m3u8"}

// prober asks the origins of a configuration what a listener would get.
type prober struct {
	cfg   *config.Config
	all   []*proxy.Stream // of cfg, in its order
	proxy *proxy.Proxy
	relay *relay.Relay
	paths map[*proxy.Stream][]string // named on the command line
	limit time.Duration              // probeOrigin, but for tests
}

func newProber(cfg *config.Config, client *origin.Client, hosts []origin.Host) *prober {
	all := streams(cfg)
	return &prober{
		cfg:   cfg,
		all:   all,
		proxy: proxy.New(proxy.Options{Streams: all, Origin: client}),
		relay: relay.New(relay.Options{UserAgent: product(), HeaderTimeout: probeEach, Access: relayAccess(hosts), Dial: client.Dial}),
		paths: make(map[*proxy.Stream][]string),
		limit: probeOrigin,
	}
}

// finding is what is to be said of one origin of one stream.
type finding struct {
	text   strings.Builder
	failed bool
}

// say adds a line. Whatever it holds may be from outside: no caller has to think of it.
func (f *finding) say(format string, args ...any) {
	f.text.WriteString(presentable(fmt.Sprintf(format, args...)) + "\n")
}

func (f *finding) fail(format string, args ...any) {
	f.failed = true
	f.say(format, args...)
}

var (
	account    = regexp.MustCompile(`//[^/]*@`)
	parameters = regexp.MustCompile(`\?[^\s"]*[^\s":,;]`)
)

// presentable is a line as it may go to a terminal, and from there into a ticket: without the users, passwords and query values of URLs, which
// may be secrets, and with an escape for each character that is not printable, which an origin could steer the terminal by.
func presentable(line string) string {
	line = account.ReplaceAllLiteralString(line, "//")
	line = parameters.ReplaceAllLiteralString(line, "?…")
	var b strings.Builder
	for len(line) > 0 {
		r, size := utf8.DecodeRuneInString(line)
		if strconv.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(line[:size])
		} else {
			b.WriteString(strings.Trim(strconv.Quote(line[:size]), `"`))
		}
		line = line[size:]
	}
	return b.String()
}

// probeOrigins asks every origin, prints what it finds in the order of the configuration, and fails if an origin does not serve its stream.
func probeOrigins(ctx context.Context, cfg *config.Config, paths []string, stdout io.Writer) error {
	hosts, err := originHosts(cfg)
	if err != nil {
		return err
	}
	client := origin.New(origin.Options{UserAgent: product(), HeaderTimeout: probeEach, Hosts: hosts, Origins: namedOrigins(cfg)})
	defer client.Close()
	p := newProber(cfg, client, hosts)
	defer p.proxy.Close()
	for _, path := range paths {
		s, ok := p.proxy.StreamAt(path)
		if !ok {
			return fmt.Errorf("%q: no stream has this path; write one as players ask for it, such as /hls/news/master.m3u8", path)
		}
		p.paths[s] = append(p.paths[s], path)
	}
	failed, asked := 0, 0
	for _, f := range p.probe(ctx) {
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

// probe probes every origin of every stream, a few at a time.
func (p *prober) probe(ctx context.Context) []*finding {
	var findings []*finding
	var work sync.WaitGroup
	places := make(chan struct{}, probeAtOnce)
	for i, s := range p.all {
		label := p.cfg.Streams[i].Group + p.cfg.Streams[i].Stream
		for at, source := range slices.Concat(s.HLS, s.ICY) {
			f := &finding{}
			findings = append(findings, f)
			places <- struct{}{}
			work.Go(func() {
				defer func() { <-places }()
				ctx, cancel := within(ctx, p.limit)
				defer cancel()
				f.say("%s (line %d) at %s", label, p.cfg.Streams[i].Line, source)
				if len(s.ICY) > 0 {
					p.mount(ctx, f, s, source)
				} else {
					p.group(ctx, f, s, at)
				}
			})
		}
	}
	work.Wait()
	return findings
}

// within is a context that, when its time is over, says what took too long.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: not within %v", origin.ErrTimeout, limit))
}

// mount probes an origin of an ICY stream.
func (p *prober) mount(ctx context.Context, f *finding, s *proxy.Stream, source string) {
	switch {
	case config.IsFile(source):
		f.say("  not asked: a file, which can be read")
		return
	case s.Match != nil:
		f.say("  not asked: its path is a pattern")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeEach)
	defer cancel()
	info, err := p.relay.Hub(relay.Mount{Key: source, Origins: []string{source}, Follow: s.Mount.Follow, Transient: true}).Open(ctx)
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
	ctx, cancel := within(ctx, probeEach)
	defer cancel()
	found, err := p.proxy.Probe(ctx, path, at, master)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return found, err
}

// answer is what a master's child turned out to be, or why it cannot be had.
type answer struct {
	path  string
	found *proxy.Probed
	err   error
}

// children asks for playlists that a master names, a few at a time. Those of another stream are probed there.
func (p *prober) children(ctx context.Context, s *proxy.Stream, master *proxy.Probed, at int) []*answer {
	var answers []*answer
	var work sync.WaitGroup
	places := make(chan struct{}, probeAtOnce)
	for _, path := range master.Children[:min(len(master.Children), probePlaylists)] {
		if of, _ := p.proxy.StreamAt(path); of != s {
			continue
		}
		a := &answer{path: path}
		answers = append(answers, a)
		places <- struct{}{}
		work.Go(func() {
			defer func() { <-places }()
			a.found, a.err = p.ask(ctx, path, at, master)
		})
	}
	work.Wait()
	return answers
}

// follow probes the children of a master too, and says what all of them hold.
func (p *prober) follow(ctx context.Context, f *finding, s *proxy.Stream, root *proxy.Probed, at int) {
	read, segments, failed := []*proxy.Probed{root}, root.Segments, 0
	for _, child := range p.children(ctx, s, root, at) {
		if child.err != nil {
			failed++
			f.fail("  FAILED: %s: %v", child.path, child.err)
			continue
		}
		read = append(read, child.found)
		segments += child.found.Segments
	}
	if root.Kind == playlist.KindMaster {
		f.say("  %s: a master of %s, %s", root.Path, count(len(root.Children), "playlist"), count(segments, "segment"))
	} else {
		f.say("  %s: a %s playlist, %s", root.Path, root.Kind, count(segments, "segment"))
	}
	if n := len(root.Children) - probePlaylists; n > 0 {
		f.say("  %s more are not asked for", count(n, "playlist"))
	}
	leftAlone(f, read, failed)
}

// leftPlace is a folder of URIs that are left alone.
type leftPlace struct {
	name    string
	n       int
	example string
	in      string
}

// leftAlone names the places outside the mounted prefixes. Listeners fetch what is there past the edge, and nobody counts it.
func leftAlone(f *finding, read []*proxy.Probed, failed int) {
	places, total := leftPlaces(read)
	of := count(len(read), "playlist") + " read"
	if failed > 0 {
		of = fmt.Sprintf("%d of %s read", len(read), count(len(read)+failed, "playlist"))
	}
	switch {
	case total == 0 && failed > 0:
		f.say("  %s: whether every URI is mounted is not known", of)
		return
	case total == 0:
		f.say("  every URI is mounted, in %s", of)
		return
	}
	f.say("  %s outside the mounted prefixes, in %s: listeners fetch them past the edge, uncounted", count(total, "URI"), of)
	for i, at := range places {
		if i == probePlaces {
			f.say("    and %s more", count(len(places)-i, "place"))
			break
		}
		f.say("    %s: %d, such as %q in %s", at.name, at.n, at.example, at.in)
	}
}

// leftPlaces are the places, that with most URIs first, and how many URIs there are in all.
func leftPlaces(read []*proxy.Probed) (places []*leftPlace, total int) {
	byName := make(map[string]*leftPlace)
	for _, one := range read {
		for _, l := range one.LeftAlone {
			total++
			name := folder(l)
			at := byName[name]
			if at == nil {
				at = &leftPlace{name: name, example: example(l.Raw), in: one.Path}
				byName[name] = at
				places = append(places, at)
			}
			at.n++
		}
	}
	slices.SortFunc(places, func(a, b *leftPlace) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name)) })
	return places, total
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

// example is a URI as the playlist has it. Its query goes here already: presentable takes it to end at a space or a quote, and an origin may
// have written either into it.
func example(raw string) string {
	const most = 120
	raw, _, query := strings.Cut(account.ReplaceAllLiteralString(raw, "//"), "?")
	if len(raw) > most {
		raw = strings.ToValidUTF8(raw[:most], "") + "…"
	}
	if query {
		raw += "?…"
	}
	return raw
}
