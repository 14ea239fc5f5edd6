package relay

import (
	"bytes"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
)

// title is what the origin said is on. It is never changed.
type title struct {
	block []byte // the metadata block as it came, its length byte first; nil in Ogg, which has none
	said  string // UTF-8; instead of block, where it was said in the comments of Ogg: "artist - title"
}

// noTitle takes the last one off the players' displays.
var noTitle = &title{block: append([]byte{1}, "StreamTitle='';\x00"...)}

// unchanged is the block that says so.
var unchanged = []byte{0}

// maxTitle bounds what is kept of a title; a block of metadata holds no more than four times that.
const maxTitle = 1024

// charsetOf is the charset of an IANA name, windows-1252 if there is none of that name.
func charsetOf(name string) encoding.Encoding {
	if e, err := htmlindex.Get(name); err == nil {
		return e
	}
	return charmap.Windows1252
}

// text is the StreamTitle. Apostrophes inside are not escaped, so it ends at `';`. Its charset is not declared: valid
// UTF-8 is taken as such, anything else as fallback.
func (t *title) text(fallback encoding.Encoding) string {
	if t == nil {
		return ""
	}
	s := []byte(t.said)
	if t.block != nil {
		s = streamTitle(t.block)
	}
	if !utf8.Valid(s) {
		s, _ = fallback.NewDecoder().Bytes(s) // none of them fails: what cannot be is replaced
	}
	return shortened(clean(string(s)))
}

func streamTitle(block []byte) []byte {
	_, s, ok := bytes.Cut(block[1:], []byte("StreamTitle='"))
	if !ok {
		return nil
	}
	if end := bytes.Index(s, []byte("';")); end >= 0 {
		return s[:end]
	}
	return bytes.TrimSuffix(bytes.TrimRight(s, "\x00"), []byte("'"))
}

// shortened cuts a text to maxTitle, not within a character.
func shortened(s string) string {
	if len(s) <= maxTitle {
		return s
	}
	return strings.ToValidUTF8(s[:maxTitle], "")
}

// announce notes what is on from now on. A title that comes again moves to the front: jingles between the songs would
// take all the room. The caller holds mu.
func (h *Hub) announce(t *title) {
	h.title.Store(t)
	if t != nil {
		h.opening.CompareAndSwap(nil, t)
	}
	text := t.text(h.charset)
	if text == "" || len(h.titles) > 0 && h.titles[0].Title == text {
		return
	}
	others := slices.DeleteFunc(h.titles, func(old Titled) bool { return old.Title == text })
	h.titles = slices.Insert(others[:min(len(others), recentTitles-1)], 0, Titled{Title: text, At: time.Now()})
}
