package origin

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"earshot/playlist"
)

// TestCoalescing: all who ask while a playlist is being fetched share the fetch, and one who leaves disturbs nobody.
func TestCoalescing(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	arrived, answer := make(chan struct{}, 10), make(chan struct{})
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		arrived <- struct{}{}
		<-answer
		fmt.Fprint(w, mediaText)
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, _, err := c.Playlist(ctx, one(base+"/x.m3u8"))
		left <- err
	}()
	<-arrived
	var waiting, done sync.WaitGroup
	var got [20]*Playlist
	for i := range got {
		waiting.Add(1)
		done.Go(func() {
			waiting.Done()
			p, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8"))
			if err != nil {
				t.Error(err)
			}
			got[i] = p
		})
	}
	waiting.Wait()
	leave() // the one who began the fetch
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left gets %v", err)
	}
	close(answer)
	done.Wait()
	for _, p := range got {
		if p != got[0] || p == nil {
			t.Fatal("they got different versions")
		}
	}
	if n := asked.Load(); n > 2 { // one more if a waiter was late
		t.Errorf("the origin was asked %d times", n)
	}
}

// TestVersions: a playlist that has not changed is the same one, parsed once and planned once.
func TestVersions(t *testing.T) {
	t.Parallel()
	text, contentType := mediaText, "application/vnd.apple.mpegurl"
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, text)
	})
	get := func() *Playlist {
		t.Helper()
		src := one(base + "/x.m3u8")
		src.NotBefore = time.Now()
		p, _, err := c.Playlist(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := get()
	if get() != first {
		t.Error("the same body is another version")
	}
	text += "#EXTINF:4,\n2.ts\n"
	second := get()
	if second == first || len(second.Doc.Media.Segments) != 2 || len(first.Doc.Media.Segments) != 1 {
		t.Error("another body is no other version")
	}
	contentType = "audio/mpegurl"
	if get() == second {
		t.Error("another type is no other version")
	}
}

// TestVersionsBounded: what is remembered is bounded by what it holds in memory, not by what was received.
func TestVersionsBounded(t *testing.T) {
	t.Parallel()
	doc := &playlist.Document{Media: &playlist.Media{Segments: make([]playlist.Segment, 50_000)}}
	v := versions{recent: newRecent[*Playlist](maxVersions)}
	const last = 12
	for i := range last + 1 {
		v.put(fmt.Sprintf("http://x/%d", i), &Playlist{Body: make([]byte, 650_000), Doc: doc})
	}
	if v.cost > maxVersions || v.order.Len() != len(v.table) || v.order.Len() < 1 {
		t.Errorf("%d versions of %d bytes", v.order.Len(), v.cost)
	}
	if held := v.order.Len() * 50_000 * 256; held > maxVersions {
		t.Errorf("%d versions hold %d bytes of segments", v.order.Len(), held)
	}
	if v.get(fmt.Sprintf("http://x/%d", last)) == nil || v.get("http://x/0") != nil {
		t.Error("not the least recent was forgotten")
	}
}

// TestPlaylistBodies: bodies, and what they are to us.
func TestPlaylistBodies(t *testing.T) {
	t.Parallel()
	endless := func(w io.Writer) {
		line := strings.Repeat("#EXT-X-NONSENSE\n", 4096)
		_, err := io.WriteString(w, "#EXTM3U\n")
		for i := 0; i < 140 && err == nil; i++ {
			_, err = io.WriteString(w, line)
		}
	}
	say := func(contentType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, text)
		}
	}
	for name, row := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"good":     {say("application/vnd.apple.mpegurl", mediaText), nil},
		"plain":    {say("text/plain", "http://radio.example/"), nil},
		"html":     {say("text/html; charset=utf-8", "hello"), ErrAnswer},
		"lying":    {say("audio/mpegurl", " \n<HTML>"), ErrAnswer},
		"length":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "50000000"); endless(w) }, ErrTooLarge},
		"chunked":  {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, ErrTooLarge},
		"segments": {say("", "#EXTM3U\n"+strings.Repeat("#EXTINF:1,\na\n", 100_001)), ErrTooLarge},
		"bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			endless(z)
			_ = z.Close()
		}, ErrTooLarge},
		"short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, mediaText)
		}, ErrAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, base := serve(t, Options{}, row.answer)
			p, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8"))
			if !errors.Is(err, row.want) {
				t.Fatalf("%v, want %v", err, row.want)
			}
			if name == "gzip" && string(p.Body) != mediaText {
				t.Errorf("%q", p.Body)
			}
			if err == nil && (p.Doc == nil) != (name == "plain") {
				t.Errorf("parsed: %v", p.Doc != nil)
			}
		})
	}
}

// TestContentCodings: what origins send coded, asked for or not, is decoded for both roads that lead to a playlist, or refused in words.
func TestContentCodings(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, mediaText)
	_ = z.Close()
	whole := packed.String()
	for name, row := range map[string]struct {
		coding, body string
		want         error
	}{
		"none":          {"", mediaText, nil},
		"identity":      {"identity", mediaText, nil},
		"gzip":          {"gzip", whole, nil},
		"x-gzip":        {" X-GZIP ", whole, nil},
		"cut":           {"gzip", whole[:len(whole)-9], ErrAnswer},
		"empty":         {"gzip", "", ErrAnswer},
		"not gzip":      {"gzip", mediaText, ErrAnswer},
		"wrong sum":     {"gzip", whole[:len(whole)-8] + "00000000", ErrAnswer},
		"corrupt":       {"gzip", whole[:10] + strings.Repeat("\xff", 30), ErrAnswer},
		"brotli":        {"br", whole, ErrAnswer},
		"gzip of gzip":  {"gzip, gzip", whole, ErrAnswer},
		"without a say": {"", whole, nil}, // no playlist: it passes as it is
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
				if got, want := r.Header.Get("Accept-Encoding"), "gzip"; strings.HasSuffix(r.URL.Path, ".m3u8") && got != want {
					t.Errorf("the origin is asked for %q", got)
				}
				w.Header().Set("Content-Type", "audio/mpegurl")
				if row.coding != "" {
					w.Header().Set("Content-Encoding", row.coding)
				}
				_, _ = io.WriteString(w, row.body)
			})
			for _, get := range []func() (*Playlist, error){
				func() (*Playlist, error) { p, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8")); return p, err },
				func() (*Playlist, error) {
					if _, err := c.Open(t.Context(), http.MethodGet, one(base+"/x"), nil); !errors.Is(err, ErrPlaylist) {
						return nil, err
					}
					p, served, err := c.Playlist(t.Context(), one(base+"/x"))
					if err == nil && served.Status != Hit {
						t.Errorf("it was fetched again: %v", served)
					}
					return p, err
				},
			} {
				p, err := get()
				if !errors.Is(err, row.want) {
					t.Fatalf("%v, want %v", err, row.want)
				}
				if want := mediaText; err == nil && name != "without a say" && (string(p.Body) != want || p.Doc == nil) {
					t.Errorf("%q", p.Body)
				}
			}
		})
	}
}

// TestImport: a version is read once for each set of values that it imports, whichever masters have them.
func TestImport(t *testing.T) {
	t.Parallel()
	const text = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-DEFINE:IMPORT=\"dir\"\n#EXTINF:6,\n{$dir}/a.ts\n"
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) })
	p, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(values map[string]string) *Playlist {
		t.Helper()
		got, err := p.Import(values)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	one := read(map[string]string{"dir": "one"})
	if got := one.Doc.Media.Segments[0].Resource; got != base+"/one/a.ts" {
		t.Errorf("the segment is %s", got)
	}
	if read(map[string]string{"dir": "one", "other": "x"}) != one {
		t.Error("the same values are read again")
	}
	if read(nil) == one || read(nil).Doc.Media.Segments[0].Resource != "" {
		t.Error("without a value there is one")
	}
	for i := range 3 * maxImported {
		read(map[string]string{"dir": fmt.Sprint(i)})
	}
	if len(p.imported) > maxImported {
		t.Errorf("%d are kept", len(p.imported))
	}
	plain, err := playlist.Parse([]byte(mediaText), nil)
	if err != nil {
		t.Fatal(err)
	}
	if same := (&Playlist{Doc: plain}); mustImport(t, same) != same {
		t.Error("what imports nothing is read again")
	}
}

func mustImport(t *testing.T, p *Playlist) *Playlist {
	t.Helper()
	got, err := p.Import(map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestLargeAtOnce: only a few large playlists are read at a time; those who wait get theirs.
func TestLargeAtOnce(t *testing.T) {
	t.Parallel()
	large := mediaText + strings.Repeat("#EXT-X-NONSENSE\n", smallPlaylist/8)
	c, base := serve(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	var all sync.WaitGroup
	for i := range 4 * maxLarge {
		all.Go(func() {
			if p, _, err := c.Playlist(t.Context(), one(fmt.Sprintf("%s/%d.m3u8", base, i))); err != nil || len(p.Body) != len(large) {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if len(c.large) != 0 {
		t.Errorf("%d places are still taken", len(c.large))
	}
	// With all places taken, who waits is told so when his time is over.
	for range maxLarge {
		c.large <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.read(ctx, &Media{Body: io.NopCloser(strings.NewReader(large)), Length: -1, URL: &url.URL{}}); !errors.Is(err, ErrTimeout) {
		t.Errorf("%v", err)
	}
}

// TestDripFed: a large playlist that comes slowly, but never so slowly as to stall, gives its place back.
func TestDripFed(t *testing.T) {
	t.Parallel()
	c, base := serve(t, Options{LargeTimeout: 100 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "#EXTM3U\n#"+strings.Repeat("x", smallPlaylist))
		for r.Context().Err() == nil {
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "x")
			time.Sleep(time.Millisecond)
		}
	})
	_, _, err := c.Playlist(t.Context(), one(base+"/x.m3u8"))
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("it ends with %v", err)
	}
	if len(c.large) != 0 {
		t.Error("its place is still taken")
	}
}

// TestHeldKeepsNobody: who has the origin hold as many reloads as he likes keeps neither other playlists of the stream waiting, nor other
// streams' reloads.
func TestHeldKeepsNobody(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, maxFetches), make(chan struct{})
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("x") != "" {
			arrived <- struct{}{}
			<-release
		}
		fmt.Fprint(w, mediaText)
	})
	ctx, leave := context.WithCancel(t.Context())
	var held sync.WaitGroup
	for i := range maxFetches {
		held.Go(func() {
			_, _, _ = c.Playlist(ctx, Source{Scope: "a", URLs: []string{fmt.Sprintf("%s/x.m3u8?_HLS_msn=1&x=%d", base, i+1)}})
		})
	}
	for range maxFetches {
		<-arrived
	}
	leave() // the fetches go on
	held.Wait()
	for _, src := range []Source{
		{Scope: "a", URLs: []string{base + "/x.m3u8"}},
		{Scope: "b", URLs: []string{base + "/x.m3u8?_HLS_msn=1"}},
	} {
		late, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if _, _, err := c.Playlist(late, src); err != nil {
			t.Errorf("%+v: %v", src, err)
		}
		cancel()
	}
	close(release)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		c.held.mu.Lock()
		n := len(c.held.of)
		c.held.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d scopes are still held", n)
		}
	}
}
