package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const keyMaster = `#EXTM3U
#EXT-X-SESSION-KEY:METHOD=AES-128,URI="k.key"
#EXT-X-STREAM-INF:BANDWIDTH=1
lo.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2
hi.m3u8
`

func encrypted() string {
	return "#EXTM3U\n#EXT-X-TARGETDURATION:10\n" +
		"#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"\n#EXTINF:10,\n0.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k.key\"\n#EXTINF:10,\n1.ts\n"
}

// TestKeys: a key has one URL for all of a session, whichever playlist names it, and is never counted, on a cold edge neither. A segment
// under a key's grant is.
func TestKeys(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/master.m3u8": text(keyMaster), "/lo.m3u8": text(encrypted()), "/hi.m3u8": text(encrypted()),
		"/k.key": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "0123456789abcdef") }})
	_, master := r.get("master.m3u8")
	named := map[string]int{uriAttribute.FindStringSubmatch(master)[1]: 1}
	for _, variant := range uris(master) {
		_, list := r.get(variant)
		for _, m := range uriAttribute.FindAllStringSubmatch(list, -1) {
			named[m[1]]++
		}
	}
	if len(named) != 1 {
		t.Fatalf("the key is named as %v", named)
	}
	var key string
	for key = range named {
	}
	if named[key] != 5 {
		t.Errorf("the key is named %d times", named[key])
	}
	r.cold()
	if resp, body := r.get(key); resp.StatusCode != http.StatusOK || len(body) != 16 {
		t.Fatalf("the key: %s, %q", resp.Status, body)
	}
	if s := r.heard(); s.Bytes != 0 || s.Media != 0 {
		t.Errorf("a key counts: %d bytes, %v", s.Bytes, s.Media)
	}
	r.get(strings.Replace(key, "k.key", "0.ts", 1))
	if s := r.heard(); s.Bytes != segmentSize {
		t.Errorf("a segment under the key's grant: %d bytes", s.Bytes)
	}
}

// TestKeyGrantOnRanges: small pieces of something large are not keys, nor is what a playlist lists as a segment.
func TestKeyGrantOnRanges(t *testing.T) {
	odd := func(size int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(make([]byte, size)))
		}
	}
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(encrypted() + "#EXTINF:10,\nsmall\n"), "/large": odd(100_000), "/small": odd(1000)})
	_, list := r.get("v.m3u8")
	key := uriAttribute.FindStringSubmatch(list)[1]
	req, err := http.NewRequest(http.MethodGet, r.url+strings.Replace(key, "k.key", "large", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=0-999")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	r.get(strings.Replace(key, "k.key", "small", 1))
	if s := r.heard(); s.Bytes != 2000 || s.Media != 10*time.Second {
		t.Errorf("%d bytes, %v", s.Bytes, s.Media)
	}
}

const interstitialMaster = `#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=1
lo.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2
hi.m3u8
`

// TestAlikeInAllVariants: a date range is the same in every variant (rfc8216bis, 4.4.5.1), and a rendition report names a variant as the
// master did.
func TestAlikeInAllVariants(t *testing.T) {
	list := media(3) + "#EXT-X-DATERANGE:ID=\"ad\",CLASS=\"com.apple.hls.interstitial\",START-DATE=\"2026-01-01T00:00:00Z\",X-ASSET-URI=\"ad/master.m3u8\"\n" +
		"#EXT-X-RENDITION-REPORT:URI=\"lo.m3u8\"\n#EXT-X-RENDITION-REPORT:URI=\"hi.m3u8\"\n"
	r := newRoad(t, map[string]http.HandlerFunc{"/master.m3u8": text(interstitialMaster), "/lo.m3u8": text(list), "/hi.m3u8": text(list)})
	_, master := r.get("master.m3u8")
	tails := map[string]bool{}
	for _, variant := range uris(master) {
		_, list := r.get(variant)
		_, tail, _ := strings.Cut(list, "#EXT-X-DATERANGE")
		tails[tail] = true
		for _, v := range uris(master) {
			if !strings.Contains(tail, `"`+v+`"`) {
				t.Errorf("%s is not reported on by its name:\n%s", v, tail)
			}
		}
	}
	if len(tails) != 1 {
		t.Errorf("%d versions of it: %v", len(tails), tails)
	}
}

// TestQueryOfRedirect: a variable that is read from the URL that the origin redirects to is in the URL that the player sees.
func TestQueryOfRedirect(t *testing.T) {
	const list = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXTINF:10,\n{$token}/0.ts\n"
	n := 0
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("fresh") == "" { // another token each time, to whoever asks
			n++
			http.Redirect(w, req, fmt.Sprintf("/node/v.m3u8?token=t%d&fresh=1", n), http.StatusFound)
			return
		}
		io.WriteString(w, list)
	}, "/node/v.m3u8": text(list)})
	resp, got := r.get("v.m3u8?a=b&X-Playback-Session-Id=s1")
	if u := resp.Request.URL; u.Path != "/news/node/v.m3u8" || u.RawQuery != "token=t1&fresh=1&X-Playback-Session-Id=s1" {
		t.Errorf("the player ends at %s", u)
	}
	if lines := uris(got); len(lines) != 1 || !strings.HasPrefix(lines[0], "{$token}/0.ts?X-Playback-Session-Id=s1&earshot=") {
		t.Errorf("the playlist says %q", lines)
	}
	if resp, _ := r.get("v.m3u8?token=old"); resp.Request.URL.Path != "/news/v.m3u8" {
		t.Errorf("who has the parameter is sent to %s", resp.Request.URL)
	}
	if s := r.book.Len(); s > 2 {
		t.Errorf("%d sessions", s)
	}
}

// TestQueryChangedByRedirect: a variable that is one thing to the edge and another to the player, who was not told of a redirect, does not
// resolve: his id might go to a host of a stranger's choice.
func TestQueryChangedByRedirect(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/m.m3u8": func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("h") != "sub/" {
			http.Redirect(w, req, "/m.m3u8?h=sub/", http.StatusFound)
			return
		}
		io.WriteString(w, "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXT-X-DEFINE:QUERYPARAM=\"h\"\n#EXTINF:10,\n{$h}seg.ts\n")
	}})
	for query, ours := range map[string]bool{"h=//evil.example/": false, "h=sub/": true, "h=sub/&h=//evil.example/": false} {
		if _, list := r.get("m.m3u8?" + query); strings.Contains(list, "earshot=") != ours {
			t.Errorf("%s: %s", query, list)
		}
	}
}

// TestPlaylistByType: what is a playlist by its type is one whatever part of it was asked for, and how.
func TestPlaylistByType(t *testing.T) {
	r := newRoad(t, map[string]http.HandlerFunc{"/live": func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		w.Header().Set("Etag", `"x"`)
		http.ServeContent(w, req, "", time.Time{}, strings.NewReader(media(3)))
	}})
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequest(method, r.url+"live", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", "bytes=0-")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		h := resp.Header
		if err != nil || resp.StatusCode != http.StatusOK || h.Get("Etag") != "" || h.Get("Cache-Control") != "private, no-store" {
			t.Errorf("%s: %v %s %v", method, err, resp.Status, h)
		}
		if n := strings.Count(string(body), "earshot="); method == http.MethodGet && n != 3 {
			t.Errorf("%d grants in %s", n, body)
		}
	}
	if n := r.book.Len(); n != 0 {
		t.Errorf("a playlist is counted as listening")
	}
}

// TestDocuments: what a date range or session data points to is no listening, unless it is a segment.
func TestDocuments(t *testing.T) {
	list := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, `{"ASSETS":[]}`)
	}
	r := newRoad(t, map[string]http.HandlerFunc{"/v.m3u8": text(media(1) + "#EXT-X-DATERANGE:ID=\"a\",X-ASSET-LIST=\"assets\"\n" +
		"#EXTINF:10,\nsegment\n"), "/assets": list, "/segment": list})
	_, got := r.get("v.m3u8")
	_, tail, _ := strings.Cut(got, `X-ASSET-LIST="`)
	asset, _, _ := strings.Cut(tail, `"`)
	if _, body := r.get(asset); body != `{"ASSETS":[]}` {
		t.Fatalf("%s is %q", asset, body)
	}
	if s := r.heard(); s.Bytes != 0 {
		t.Errorf("a list of assets counts %d bytes", s.Bytes)
	}
	r.get(uris(got)[1])
	if s := r.heard(); s.Bytes != 13 || s.Media != 10*time.Second {
		t.Errorf("a segment of that type: %d bytes, %v", s.Bytes, s.Media)
	}
}
