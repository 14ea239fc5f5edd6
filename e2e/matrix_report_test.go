package e2e

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// played is what a play comes to, as the player tells it.
type played struct {
	base string // the URL of the play's folder

	Requests []fetched
	Errors   []string
	Stages   []struct {
		Name     string
		Time     float64      // seconds
		Buffered [][2]float64 // likewise
	}
	Facts map[string]any
}

// fetched is a request with its answer, as the player sees them.
type fetched struct {
	URL    string
	Range  string
	Status int
	Bytes  int64
	Sum    string // of the body
	Type   string
}

// name is the path below the play's folder, with the query but for what is between the player and the edge.
func (p *played) name(t *testing.T, q fetched) string {
	t.Helper()
	rest, ok := strings.CutPrefix(q.URL, p.base)
	if !ok {
		t.Errorf("%s was asked for, which is not below %s", q.URL, p.base)
	}
	u, err := url.Parse(rest)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for _, name := range ours {
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func isPlaylist(name string) bool { return strings.HasSuffix(name, ".m3u8") }
func isKey(name string) bool      { return strings.HasSuffix(name, ".key") }

// asked is all requests in words, in order, apart for each folder: what different playlists name is loaded side by side. The polls
// of a playlist that grows are left out.
func (p *played) asked(t *testing.T, k kind) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, q := range p.Requests {
		name := p.name(t, q)
		if k.polls(name) {
			continue
		}
		line := fmt.Sprintf("%s %s: %d %s", name, q.Range, q.Status, q.Type)
		if !isPlaylist(name) { // which the edge rewrites
			line += fmt.Sprintf(", %d bytes, %s", q.Bytes, q.Sum)
		}
		folder := path.Dir(name)
		if isPlaylist(name) {
			folder = "playlists in " + folder
		}
		all[folder] = append(all[folder], line)
	}
	return all
}

// polls tells whether a name is that of the playlist that grows.
func (k kind) polls(name string) bool { return k.grows && name == k.variants[0] }

// unplayable is what a player cannot play wherever it comes from, by the play's name. It is to fail in the same way.
var unplayable = map[string]bool{
	"videojs-mp3": true, // VHS takes TS, AAC and MP4
}

// refused: the player says the same of both, and it is no.
func refused(t *testing.T, k kind, direct, edge *played) {
	t.Helper()
	if len(direct.Errors) == 0 {
		t.Error("it plays after all")
	}
	same(t, k, direct, edge)
}

// blind is what a player takes no notice of, by the play's name.
var blind = map[string]bool{
	"ffmpeg-subtitles": true, // it has no WebVTT in HLS, and says so
	"videojs-iframes":  true,
}

// complete: what makes the kind what it is was fetched, and the variant from beginning to end, but for shows that are too long, or that had
// begun.
func (l *library) complete(t *testing.T, name string, k kind, received []fetched) {
	t.Helper()
	for _, prefix := range k.beside {
		found := slices.ContainsFunc(received, func(q fetched) bool { return strings.HasPrefix(q.URL, prefix) })
		if found == blind[name] {
			t.Errorf("%s was asked for: %v", prefix, found)
		}
	}
	if name == "ffmpeg-iframes" { // and nothing else
		return
	}
	if _, seconds := l.heard(t, k, received); seconds < min(k.length-2, 20) {
		t.Errorf("%.1f s of the show were fetched", seconds)
	}
}

// smooth: nothing went wrong.
func smooth(t *testing.T, p *played) {
	t.Helper()
	for _, err := range p.Errors {
		t.Errorf("%s: %s", p.base, err)
	}
	for _, q := range p.Requests {
		if q.Status != 200 && q.Status != 206 {
			t.Errorf("status %d for %s", q.Status, q.URL)
		}
	}
}

// same: the player did not notice the edge.
func same(t *testing.T, k kind, direct, edge *played) {
	t.Helper()
	if len(direct.Requests) == 0 {
		t.Error("nothing was asked for")
	}
	if !slices.Equal(direct.Errors, edge.Errors) {
		t.Errorf("complaints direct %q, by edge %q", direct.Errors, edge.Errors)
	}
	a, b := direct.asked(t, k), edge.asked(t, k)
	folders := make(map[string]bool)
	for folder := range a {
		folders[folder] = true
	}
	for folder := range b {
		folders[folder] = true
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if !slices.Equal(a[folder], b[folder]) {
			t.Errorf("%s: %s", folder, differ(a[folder], b[folder]))
		}
	}
	if !reflect.DeepEqual(direct.Stages, edge.Stages) {
		t.Errorf("what was played differs:\ndirect   %+v\nby edge  %+v", direct.Stages, edge.Stages)
	}
	if !reflect.DeepEqual(direct.Facts, edge.Facts) {
		t.Errorf("what was found differs:\ndirect   %v\nby edge  %v", direct.Facts, edge.Facts)
	}
}

// differ shows where two lists part.
func differ(direct, edge []string) string {
	n := 0
	for n < len(direct) && n < len(edge) && direct[n] == edge[n] {
		n++
	}
	next := func(list []string) string { return strings.Join(list[n:min(n+3, len(list))], "\n         ") }
	return fmt.Sprintf("%d lines direct, %d by edge, the same up to %d, then\ndirect   %s\nby edge  %s",
		len(direct), len(edge), n, next(direct), next(edge))
}
