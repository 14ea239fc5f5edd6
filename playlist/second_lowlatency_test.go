package playlist

import (
	"strings"
	"testing"
)

// What must stay equal so that players find what belongs together: they compare URIs byte for byte.

const lowLatencyText = `#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-VERSION:9
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-MAP:URI="init.mp4"
#EXT-X-KEY:METHOD=AES-128,URI="/live/keys/1?v=2&earshot=old#f"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:4.00008,
all.mp4?tok=a;b
#EXTINF:4.00008,Second, of the same file
#EXT-X-BYTERANGE:1000@0
ranges.mp4
#EXTINF:4,
#EXT-X-BYTERANGE:500
ranges.mp4
#EXT-X-DISCONTINUITY
#EXT-X-GAP
#EXTINF:4,
gone.mp4
#EXT-X-PART:DURATION=0.5,URI="part270.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="part270.1.mp4",GAP=YES
`

// lowLatencyNow has hints of what lowLatencyLater, the next version, lists.
const (
	lowLatencyNow = lowLatencyText + `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="http://packager:8000/live/part270.2.mp4?x=1#f"
#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="../live/init2.mp4"
`
	lowLatencyLater = lowLatencyText + `#EXT-X-PART:DURATION=0.5,URI="http://packager:8000/live/part270.2.mp4?x=1#f"
#EXT-X-KEY:METHOD=AES-128,URI="/live/keys/1?v=2&earshot=old#f",KEYFORMAT="identity"
#EXT-X-MAP:URI="../live/init2.mp4"
`
	lowLatencyMaster = `#EXTM3U
#EXT-X-SESSION-KEY:METHOD=AES-128,URI="/live/keys/1?v=2&earshot=old#f"
#EXT-X-STREAM-INF:BANDWIDTH=1
index.m3u8
`
)

// TestWhatWasEqualStaysEqual: within a playlist, from one version to the next (a hint and what it hinted at,
// rfc8216bis, 4.4.5.3), and between a master and its playlists where they are spliced with one KeyGrant.
func TestWhatWasEqualStaysEqual(t *testing.T) {
	media := Additions{Session: "s", Grant: "media", MasterGrant: "master", KeyGrant: "key"}
	master := Additions{Session: "s", Grant: "master", KeyGrant: "key"}
	for _, rebase := range []bool{false, true} {
		same := sameURIs{}
		same.add(t, lowLatencyNow, media, rebase)
		same.add(t, lowLatencyLater, media, rebase)
		same.add(t, lowLatencyMaster, master, rebase)
		if want := 10; len(same) != want {
			t.Errorf("%d different URIs, want %d: %v", len(same), want, same)
		}
		for id, out := range same {
			if !strings.Contains(out, "earshot=") || strings.Contains(out, "old") {
				t.Errorf("%s became %s", id, out)
			}
		}
	}
}

// sameURIs is what a URI became, by its text and by who gives its grant.
type sameURIs map[[2]string]string

func (same sameURIs) add(t *testing.T, text string, add Additions, rebase bool) {
	t.Helper()
	base := mustURL(t, "http://packager:8000/live/index.m3u8")
	doc, err := Parse([]byte(text), base)
	if err != nil {
		t.Fatal(err)
	}
	out := doc.Plan(prefixMapper([][2]string{{"http://packager:8000/live/", "/hls/"}}), rebase).Splice(nil, &add)
	before, after := readSecond([]byte(text), base, nil), readSecond(out, base, nil)
	if len(before.tokens) != len(after.tokens) {
		t.Fatalf("%d URIs became %d: %s", len(before.tokens), len(after.tokens), out)
	}
	for i, k := range before.tokens {
		id := [2]string{(&secondSplice{add: add}).params(k.tag), k.text}
		if was, seen := same[id]; seen && was != after.tokens[i].text {
			t.Errorf("%s became %s and %s", id, was, after.tokens[i].text)
		}
		same[id] = after.tokens[i].text
	}
}

// equalStaysEqual: two of one text and one owner in a playlist become one text, whatever stands around them. It
// returns two that did not.
func (s *secondSplice) equalStaysEqual(in, out []byte) (a, b string) {
	before, after := readSecond(in, s.base, nil), readSecond(out, s.base, nil)
	type id struct{ full, params string }
	same := map[id]string{}
	for i := range min(len(before.tokens), len(after.tokens)) {
		k := &before.tokens[i]
		if k.doubtful || k.unknown {
			continue
		}
		at := id{k.full, s.params(k.tag)}
		if k.tag == "EXT-X-RENDITION-REPORT" {
			at.params += " report" // it alone may climb
		}
		if was, seen := same[at]; seen && was != after.tokens[i].full {
			return was, after.tokens[i].full
		}
		same[at] = after.tokens[i].full
	}
	return "", ""
}
