// Package playlist reads HLS playlists and personalises them: text in, text out, and the timeline they describe.
//
// A playlist is parsed once for all sessions, planned once per mount, and spliced once per response:
//
//	doc, err := playlist.Parse(body, finalURL) // one version of the playlist
//	plan := doc.Plan(mapper, rebase)           // where our parameters go
//	out = plan.Splice(out, &additions)         // one session's copy
//
// The promise is that a splice only adds what it must. Every byte that is not part of a URI of ours comes out
// as it went in: unknown tags, order, spacing, line endings, comments, digits, a missing final newline, a byte
// order mark. Nothing is decoded and written again, so nothing can be lost in between. What a splice does to a
// URI of ours is this, and no more: our parameters that it already carries are taken away, the ones of this
// session are added before the fragment, and if it was not plainly relative it becomes the path at the edge.
//
// The other half is time. A Document of KindMedia knows its segments, and a Group places the segments of all
// playlists of one stream group on one axis, so that a meter may ask what some bytes of some resource are worth
// and count the same moment only once, whichever variant, part or retry delivered it.
//
// The package does no I/O, reads no clock and keeps no state but a Group's. Input is taken to be hostile: time
// and memory are linear in its size, and nothing in it makes the package panic.
package playlist

import (
	"bytes"
	"errors"
	"math"
	"net/url"
)

// Errors of Parse. They come as they are, not wrapped.
var (
	ErrNotPlaylist = errors.New("playlist: body does not begin with #EXTM3U")
	ErrTooLarge    = errors.New("playlist: too many segments, parts or URIs")
)

// Limits of what one Document keeps. A 24-hour window of one-second segments is 86,400 segments.
const (
	maxSegments = 100_000
	maxURIs     = 500_000
	maxParts    = 500_000
	maxNamed    = 32 << 20 // bytes of Resources, beyond 16 times the body
	maxImports  = 1000     // and as many Params
)

// Kind tells a multivariant (master) playlist from a media playlist.
type Kind uint8

// The kinds. KindUnknown is a body of only #EXTM3U, or of tags that tell nothing.
const (
	KindUnknown Kind = iota
	KindMaster
	KindMedia
)

func (k Kind) String() string {
	switch k {
	case KindMaster:
		return "master"
	case KindMedia:
		return "media"
	}
	return "unknown"
}

// Role is what a playlist is to its group, as the master names it.
type Role uint8

// The roles. Only a variant carries listening time; a rendition or an I-frame playlist carries bytes.
const (
	RoleVariant   Role = iota // named by EXT-X-STREAM-INF, or opened directly
	RoleRendition             // named by EXT-X-MEDIA
	RoleIFrame                // named by EXT-X-I-FRAME-STREAM-INF or EXT-X-IMAGE-STREAM-INF
)

func (r Role) String() string {
	switch r {
	case RoleVariant:
		return "variant"
	case RoleRendition:
		return "rendition"
	case RoleIFrame:
		return "iframe"
	}
	return "unknown"
}

// Document is one version of a playlist. It is immutable and may be shared.
type Document struct {
	Kind     Kind
	Base     *url.URL            // the URL the body was finally fetched from; never nil
	Body     []byte              // as given to Parse
	Media    *Media              // of KindMedia, else nil
	Children []Child             // of KindMaster: each URL once, in the order of first mention
	Keys     map[string]struct{} // Resource of every EXT-X-KEY and EXT-X-SESSION-KEY URI; nil if there are none

	Variables map[string]string // of a master: what its EXT-X-DEFINE tags say, for Import; nil if there are none
	Imports   []string          // names that EXT-X-DEFINE imports from the master, each once
	Params    []string          // names of parameters of its own URL that EXT-X-DEFINE reads, each once

	bom      bool
	resolver resolver
	refs     []ref             // every URI of the body, in order
	expanded map[int]expansion // of refs (by index) that hold a variable reference
	childAt  map[string]int    // Resource -> index in Children
}

// Child is a playlist that a master names.
type Child struct {
	URL  string // absolute, as Resource gives it
	Role Role   // a URL named by both EXT-X-STREAM-INF and EXT-X-MEDIA is a RoleVariant
}

// Parse reads one version of a playlist, once, for all sessions. base is the URL it was finally fetched from,
// after redirects; without one (nil) only absolute URIs resolve. Parse keeps body and does not change it.
//
// It returns ErrNotPlaylist if the body, after an optional byte order mark, does not begin with #EXTM3U
// (RFC 8216, 4.3.1.1), and ErrTooLarge for more than 100,000 segments, 500,000 parts or 500,000 URIs. Nothing
// else in a body is an error: what cannot be understood is passed on. (ErrTooLarge comes also when a long base URL
// would make names of more than 32 MiB and 16 times the body.)
func Parse(body []byte, base *url.URL) (*Document, error) { return parse(body, base, nil) }

// Import reads the same version again with the variables of the master that led to it (rfc8216bis, 4.4.2.3): a
// playlist that imports some means another thing under another master. Without Imports it is the document itself.
func (d *Document) Import(master map[string]string) (*Document, error) {
	if len(d.Imports) == 0 {
		return d, nil
	}
	return parse(d.Body, d.Base, master)
}

func parse(body []byte, base *url.URL, master map[string]string) (*Document, error) {
	text, bom := bytes.CutPrefix(body, []byte("\ufeff"))
	if !bytes.HasPrefix(text, []byte("#EXTM3U")) {
		return nil, ErrNotPlaylist
	}
	if len(body) > math.MaxInt32 {
		return nil, ErrTooLarge
	}
	if base == nil {
		base = new(url.URL)
	}
	doc := &Document{Kind: kindOf(body), Base: base, Body: body, bom: bom, resolver: newResolver(base)}
	p := parser{doc: doc, vars: newVariables(base, len(body), master), media: newMediaBuilder()}
	for start := len(body) - len(text); start < len(body); {
		end, next := lineEnd(body, start)
		p.line(start, end)
		if p.err != nil {
			return nil, p.err
		}
		start = next
	}
	if doc.Kind == KindMedia {
		doc.Media = p.media.finish()
		doc.Media.Keys = doc.Keys
	} else {
		doc.Variables = p.vars.values
	}
	return doc, nil
}

// Role tells what the master says the playlist at u is; ok is false if the master does not name it.
func (d *Document) Role(u *url.URL) (Role, bool) {
	i, ok := d.childAt[Resource(u)]
	if !ok {
		return RoleVariant, false
	}
	return d.Children[i].Role, true
}

// kindOf decides as players do: a segment duration or a target duration makes a media playlist, whatever else
// is there; else the tags that only a master may have; else those that only a media playlist may have.
func kindOf(body []byte) Kind {
	weak := KindUnknown
	for start := 0; start < len(body); {
		end, next := lineEnd(body, start)
		if body[start] == '#' {
			_, stop := trim(body, start, end)
			name, _ := tagName(body[start:stop])
			t := tags[string(name)]
			switch {
			case t.kind == KindMedia && t.decides:
				return KindMedia
			case t.kind == KindMaster, t.kind == KindMedia && weak == KindUnknown:
				weak = t.kind
			}
		}
		start = next
	}
	return weak
}
