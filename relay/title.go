package relay

import (
	"bytes"
	"unicode/utf8"
)

// title is what the origin said is on. It is never changed.
type title struct {
	block []byte // the metadata block as it came, its length byte first; nil in Ogg, which has none
	said  string // UTF-8; instead of block, where it was said in the comments of Ogg: "artist - title"
}

// unchanged is the block that says so.
var unchanged = []byte{0}

// text is the StreamTitle. Apostrophes inside are not escaped, so it ends at `';`. Its charset is not declared: valid
// UTF-8 is taken as such, anything else as Windows-1252.
func (t *title) text() string {
	if t == nil {
		return ""
	}
	if t.block == nil {
		return t.said
	}
	_, s, ok := bytes.Cut(t.block[1:], []byte("StreamTitle='"))
	if !ok {
		return ""
	}
	if end := bytes.Index(s, []byte("';")); end >= 0 {
		s = s[:end]
	} else {
		s = bytes.TrimSuffix(bytes.TrimRight(s, "\x00"), []byte("'"))
	}
	if utf8.Valid(s) {
		return clean(string(s))
	}
	return clean(fromWindows1252(s))
}

// windows1252 is what 0x80 to 0x9F stand for; the rest is Latin-1.
var windows1252 = [32]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ',
}

func fromWindows1252(s []byte) string {
	runes := make([]rune, len(s))
	for i, b := range s {
		if runes[i] = rune(b); b >= 0x80 && b < 0xa0 {
			runes[i] = windows1252[b-0x80]
		}
	}
	return string(runes)
}
