package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"earshot/session"
)

const variablesMaster = `#EXTM3U
#EXT-X-DEFINE:NAME="dir",VALUE="d1"
#EXT-X-DEFINE:QUERYPARAM="token"
#EXT-X-STREAM-INF:BANDWIDTH=1
v.m3u8
`

const variablesMedia = `#EXTM3U
#EXT-X-TARGETDURATION:10
#EXT-X-DEFINE:IMPORT="dir"
#EXT-X-DEFINE:IMPORT="token"
#EXTINF:10,
{$dir}/{$token}/0.ts
#EXTINF:10,
/{$dir}/{$token}/1.ts
`

// TestImportedVariables: what a playlist imports is the master's that led to it, on an edge that has seen the master, on one that has not,
// and for a segment on one that has seen neither.
func TestImportedVariables(t *testing.T) {
	paths := map[string]http.HandlerFunc{"/master.m3u8": text(variablesMaster), "/v.m3u8": text(variablesMedia)}
	r := newRoad(t, paths)
	_, master := r.get("master.m3u8?token=abc")
	variant := uris(master)[0]
	_, warm := r.get(variant)
	lines := uris(warm)
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "{$dir}/{$token}/0.ts?X-Playback-Session-Id=") ||
		!strings.HasPrefix(lines[1], "/news/d1/abc/1.ts?X-Playback-Session-Id=") {
		t.Fatalf("spliced as %q", lines)
	}
	if g := r.grantOf(lines[0]); g.Master != "master.m3u8?token=abc" || g.Playlist != "v.m3u8" {
		t.Errorf("the grant: %+v", g)
	}

	r.cold()
	if _, list := r.get(variant); list != warm {
		t.Errorf("a cold edge says\n%s\nthe first said\n%s", list, warm)
	}
	r.cold()
	r.get(strings.NewReplacer("{$dir}", "d1", "{$token}", "abc").Replace(lines[0]))
	if s := r.heard(); s.Bytes != segmentSize || s.Media != 10*time.Second {
		t.Errorf("a segment on a cold edge: %d bytes, %v", s.Bytes, s.Media)
	}
}

// TestImportWithoutGrant: a player that polls the bare URL of its playlist gets what a master says to everybody, and nothing that it said to
// one listener.
func TestImportWithoutGrant(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/master.m3u8": text(variablesMaster), "/v.m3u8": text(variablesMedia)})
	r.get("master.m3u8?token=secret")
	if _, list := r.get("v.m3u8"); strings.Contains(list, "earshot=") || strings.Contains(list, "secret") {
		t.Errorf("one listener's variables are another's: %s", list)
	}
	r = newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(strings.Replace(variablesMedia, "{$token}/", "", 2)),
		"/master.m3u8": text(strings.Replace(variablesMaster, "#EXT-X-DEFINE:QUERYPARAM=\"token\"\n", "", 1))})
	r.get("master.m3u8")
	if _, list := r.get("v.m3u8"); strings.Count(list, "earshot=") != 2 {
		t.Errorf("what the master says to everybody does not resolve: %s", list)
	}
}

// TestVariablesOfLongNames: two masters whose queries are too long to be told apart by name lend each other no variables.
func TestVariablesOfLongNames(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/master.m3u8": text(variablesMaster), "/v.m3u8": text(variablesMedia)})
	long := strings.Repeat("x", maxName)
	_, first := r.get("master.m3u8?token=A" + long)
	r.get("master.m3u8?token=B" + long)
	if _, list := r.get(uris(first)[0]); strings.Contains(list, "B"+long) || strings.Contains(list, "A"+long) {
		t.Errorf("a token was taken from somewhere: %.200s", list)
	}
}

// TestLeavingSpoilsNothing: a listener who leaves while his master is being fetched does not take it from the others.
func TestLeavingSpoilsNothing(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/master.m3u8": func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(300 * time.Millisecond)
		io.WriteString(w, masterText)
	}, "/v.m3u8": text(media(3)), "/audio.m3u8": text(media(3))})
	_, master := r.get("master.m3u8")
	audio := uriAttribute.FindStringSubmatch(master)[1]
	r.cold()
	ctx, leave := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+audio, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("he did not leave")
	}
	_, list := r.get(audio)
	if g := r.grantOf(uris(list)[0]); g.Role != 1 {
		t.Errorf("the rendition has role %d", g.Role)
	}
}

// TestManyQueriesOneMaster: what a master says of its children holds for whoever came with another query, so that many listeners with a token
// each do not fetch it again and again, and none loses his rendition when the others come.
func TestManyQueriesOneMaster(t *testing.T) {
	var asked atomic.Int32
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(media(3)), "/audio.m3u8": text(media(3)),
		"/master.m3u8": func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); io.WriteString(w, masterText) }})
	const listeners = maxMasters + 50
	audio := make([]string, listeners)
	for i := range audio {
		_, master := r.get(fmt.Sprintf("master.m3u8?token=%d&X-Playback-Session-Id=s", i))
		audio[i] = uriAttribute.FindStringSubmatch(master)[1]
	}
	for _, uri := range audio {
		_, list := r.get(uri)
		if g := r.grantOf(uris(list)[0]); g.Role != 1 {
			t.Fatalf("a rendition has role %d", g.Role)
		}
	}
	if n := asked.Load(); n != listeners {
		t.Errorf("%d listeners, and the master was fetched %d times", listeners, n)
	}
}

// TestSlowMasterKeepsNobody: a large playlist that waits for its master holds no place that another large one needs.
func TestSlowMasterKeepsNobody(t *testing.T) {
	release := make(chan struct{})
	large := media(3) + strings.Repeat("#EXT-X-NONSENSE\n", largePlaylist/10)
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(large), "/other.m3u8": text(large),
		"/master.m3u8": func(w http.ResponseWriter, _ *http.Request) { <-release; io.WriteString(w, masterText) }})
	defer close(release)
	done := make(chan struct{})
	for i := range 2 * maxLarge {
		who := session.NewID()
		grant := r.signer.Sign(who, &session.Grant{Group: "news", Role: session.RoleMaster, Playlist: fmt.Sprintf("master.m3u8?x=%d", i)})
		go func() {
			defer func() { done <- struct{}{} }()
			resp, err := http.Get(r.url + "v.m3u8?X-Playback-Session-Id=" + string(who) + "&earshot=" + grant)
			if err == nil {
				resp.Body.Close()
			}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	r.get("other.m3u8")
	if took := time.Since(began); took > roleWithin/2 {
		t.Errorf("another listener waited %v", took)
	}
	for range 2 * maxLarge {
		<-done
	}
}

// TestGrantOfAnother: a grant that says of another playlist that it carries no time does not say it of this one, nor of its segments.
func TestGrantOfAnother(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/master.m3u8": text(masterText), "/v.m3u8": text(media(3)),
		"/audio.m3u8": text(strings.ReplaceAll(media(3), ".ts", "a.ts"))})
	_, master := r.get("master.m3u8")
	_, list := r.get(uriAttribute.FindStringSubmatch(master)[1])
	_, query, _ := strings.Cut(uris(list)[0], "?")
	_, list = r.get("v.m3u8?" + query)
	if g := r.grantOf(uris(list)[0]); g.Role != 0 {
		t.Errorf("the variant has role %d", g.Role)
	}
	r.get("0.ts?" + query)
	if s := r.heard(); s.Media != 10*time.Second {
		t.Errorf("a segment of the variant: %v", s.Media)
	}
}
