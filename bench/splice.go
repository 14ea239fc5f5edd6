package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/grafov/m3u8"

	"earshot/playlist"
	"earshot/playlist/playlisttest"
	"earshot/session"
)

// splicePart prints what splices finds.
func splicePart(to io.Writer, opt *options) error {
	if err := flag.Set("test.benchtime", opt.splice.time.String()); err != nil {
		return err
	}
	out := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	splices(out, opt.splice.rounds)
	return out.Flush()
}

// one is a way to give a session its copy of a playlist.
type one struct {
	name string
	run  func() []byte
}

// splices compares ways to personalise playlists: Earshot's with the signature, as the data plane does it; the same without the
// signature; a bare loop over lines, which knows nothing of attributes, variables or whose a URI is; and
// decoding and encoding with grafov/m3u8.
func splices(out io.Writer, rounds int) {
	fmt.Fprintf(out, "playlist\tbytes out\tsigned\tallocs\tunsigned\tbare lines\tratio\tgrafov\tratio\tlines it loses\t\n")
	for _, s := range playlisttest.Samples() {
		w := newWork(s.Text)
		ways := []one{{"signed", w.signed}, {"unsigned", w.unsigned}, {"lines", w.lines}, {"grafov", w.grafov}}
		took := make([][]time.Duration, len(ways))
		var allocs int64
		for range rounds {
			for i, way := range ways {
				r := testing.Benchmark(func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						way.run()
					}
				})
				took[i] = append(took[i], time.Duration(r.NsPerOp()))
				if i == 0 {
					allocs = r.AllocsPerOp()
				}
			}
		}
		t := make([]float64, len(ways))
		for i := range took {
			slices.Sort(took[i])
			t[i] = float64(took[i][len(took[i])/2]) / 1e3
		}
		fmt.Fprintf(out, "%s\t%d\t%.2f µs\t%d\t%.2f µs\t%.2f µs\t%.2f\t%.1f µs\t%.3f\t%d of %d\t\n", s.Name, len(w.signed()), t[0], allocs, t[1], t[2],
			t[1]/t[2], t[3], t[0]/t[3], lost(s.Text, w.grafov()), strings.Count(s.Text, "\n"))
	}
}

// work is one playlist and all that is made once for all sessions.
type work struct {
	text   []byte
	plan   *playlist.Plan
	signer *session.Signer
	grant  session.Grant
	id     session.ID
	add    playlist.Additions
	params string
	buf    []byte
}

func newWork(text string) *work {
	base, err := url.Parse(playlisttest.Base)
	must(err)
	doc, err := playlist.Parse([]byte(text), base)
	must(err)
	signer, err := session.NewSigner([]session.Secret{{ID: "a", Key: bytes.Repeat([]byte("k"), 32)}})
	must(err)
	w := &work{text: []byte(text), signer: signer, id: session.NewID(),
		grant: session.Grant{Group: "news", Issued: time.Now(), Playlist: "hi/index.m3u8"},
		plan: doc.Plan(func(u *url.URL) (string, bool) {
			rest, ok := strings.CutPrefix(u.Path, "/live/")
			return "/hls/news/" + rest, ok
		}, false)}
	w.add = playlist.Additions{Session: string(w.id), Grant: signer.Sign(w.id, &w.grant)}
	w.params = "?" + playlist.SessionParam + "=" + w.add.Session + "&" + playlist.GrantParam + "=" + w.add.Grant
	return w
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (w *work) signed() []byte {
	add := playlist.Additions{Session: string(w.id), Grant: w.signer.Sign(w.id, &w.grant)}
	w.buf = w.plan.Splice(w.buf[:0], &add)
	return w.buf
}

func (w *work) unsigned() []byte {
	w.buf = w.plan.Splice(w.buf[:0], &w.add)
	return w.buf
}

func (w *work) lines() []byte {
	w.buf = w.buf[:0]
	for rest := w.text; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line = rest[:i]
		}
		rest = rest[min(len(line)+1, len(rest)):]
		w.buf = append(w.buf, line...)
		if len(line) > 0 && line[0] != '#' {
			w.buf = append(w.buf, w.params...)
		}
		w.buf = append(w.buf, '\n')
	}
	return w.buf
}

func (w *work) grafov() []byte {
	p, _, err := m3u8.Decode(*bytes.NewBuffer(w.text), false)
	must(err)
	switch p := p.(type) {
	case *m3u8.MasterPlaylist:
		for _, v := range p.Variants {
			v.URI += w.params
		}
	case *m3u8.MediaPlaylist:
		must(p.SetWinSize(p.Count())) // else only eight segments come out
		for _, s := range p.Segments {
			if s != nil {
				s.URI += w.params
			}
		}
	}
	return p.Encode().Bytes()
}

// lost counts the lines that an answer no longer has, URI lines compared without what was added.
func lost(before string, after []byte) (n int) {
	have := make(map[string]int)
	for line := range strings.Lines(string(after)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "?")
		have[line]++
	}
	for line := range strings.Lines(before) {
		line = strings.TrimSpace(line)
		if have[line]--; have[line] < 0 {
			n++
		}
	}
	return n
}
