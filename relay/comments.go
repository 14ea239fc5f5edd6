package relay

import (
	"encoding/binary"
	"strings"
)

// titleOf is the title that Vorbis comments say: "ARTIST - TITLE", or what there is of the TITLE. FLAC and Opus have the
// same comments.
func titleOf(comments []byte) string {
	var artist, name string
	_, b := counted(comments) // the vendor
	for b = b[min(4, len(b)):]; len(b) > 0; {
		var c []byte
		c, b = counted(b)
		key, value, _ := strings.Cut(string(c[:min(len(c), 2*maxTitle)]), "=")
		switch {
		case strings.EqualFold(key, "artist") && artist == "":
			artist = comment(value)
		case strings.EqualFold(key, "title") && name == "":
			name = comment(value)
		}
	}
	if artist != "" && name != "" {
		name = artist + " - " + name
	}
	return shortened(name)
}

// counted splits b after the bytes whose number it begins with; what is cut short is empty.
func counted(b []byte) (s, rest []byte) {
	if len(b) < 4 {
		return nil, nil
	}
	n := binary.LittleEndian.Uint32(b)
	if b = b[4:]; uint64(n) > uint64(len(b)) {
		return nil, nil
	}
	return b[:n], b[n:]
}

func comment(s string) string {
	return strings.TrimSpace(clean(strings.ToValidUTF8(s, "")))
}
