package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/textproto"
	"strconv"
	"strings"
)

const (
	maxHead  = 16 << 10 // bytes of an origin's head, all of it
	maxValue = 512      // bytes of one value that is passed on

	maxInterval = 1 << 20 // audio bytes between metadata blocks
)

// HeaderField is one header field of an origin's answer: the name in lower case, the value free of control bytes.
// Its charset is the origin's own.
type HeaderField struct{ Name, Value string }

// Info is what an origin says of its stream.
type Info struct {
	ContentType string
	Header      []HeaderField // those of passed that the origin sent, in its order
}

// Metadata tells whether ICY metadata may stand inside the stream. In Ogg and WebM there is none, as at Icecast: pages would no longer be whole.
func (i Info) Metadata() bool {
	f := familyOf(i.ContentType)
	return f != ogg && f != "audio/webm" && f != "video/webm"
}

// passed are the fields that listeners get to see. Never among them: icy-metaint, which is each listener's own,
// ice-password, and the origin's Access-Control-*.
var passed = map[string]bool{
	"icy-name": true, "icy-genre": true, "icy-url": true, "icy-br": true, "icy-pub": true,
	"icy-description": true, "icy-sr": true, "ice-audio-info": true,
}

// head is an origin's answer up to its body.
type head struct {
	status int
	fields map[string]string // the first of each name
	order  []string
}

var errLongHead = fmt.Errorf("the head is longer than %d bytes", maxHead)

// readHead reads a head as lenient as old Shoutcast servers need it: `ICY 200 OK`, bare line feeds, control bytes
// anywhere, lines that are no header.
func readHead(r *bufio.Reader) (head, error) {
	budget := maxHead
	line, err := readLine(r, &budget)
	if err != nil {
		return head{}, err
	}
	h := head{fields: make(map[string]string)}
	if h.status, err = parseStatus(line); err != nil {
		return head{}, err
	}
	for {
		line, err := readLine(r, &budget)
		if err != nil {
			return head{}, err
		}
		if line == "" {
			return h, nil
		}
		h.add(line)
	}
}

// readLine reads to the line feed. It leaves budget at what may still be read.
func readLine(r *bufio.Reader, budget *int) (string, error) {
	var line []byte
	for {
		b, err := r.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if *budget--; *budget < 0 {
			return "", errLongHead
		}
		if b == '\n' {
			return clean(strings.TrimSuffix(string(line), "\r")), nil
		}
		line = append(line, b)
	}
}

// clean drops control bytes.
func clean(s string) string {
	isControl := func(b byte) bool { return b < ' ' || b == 0x7f }
	for i := range len(s) {
		if !isControl(s[i]) {
			continue
		}
		kept := []byte(s[:i])
		for _, b := range []byte(s[i:]) {
			if !isControl(b) {
				kept = append(kept, b)
			}
		}
		return string(kept)
	}
	return s
}

func parseStatus(line string) (int, error) {
	proto, rest, _ := strings.Cut(line, " ")
	if proto != "ICY" && !strings.HasPrefix(proto, "HTTP/1.") {
		return 0, fmt.Errorf("not an answer: it begins with %.32q", line)
	}
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < 100 || status > 999 {
		return 0, fmt.Errorf("no status in %.32q", line)
	}
	return status, nil
}

func (h *head) add(line string) {
	name, value, ok := strings.Cut(line, ":")
	name = strings.ToLower(textproto.TrimString(name))
	if _, known := h.fields[name]; !ok || name == "" || known {
		return
	}
	h.fields[name] = textproto.TrimString(value)
	h.order = append(h.order, name)
}

// info is what listeners may see of it.
func (h *head) info() Info {
	i := Info{ContentType: bounded(h.fields["content-type"])}
	if i.ContentType == "" {
		i.ContentType = "audio/mpeg" // Shoutcast leaves it out where it is the usual
	}
	for _, name := range h.order {
		if passed[name] {
			i.Header = append(i.Header, HeaderField{name, bounded(h.fields[name])})
		}
	}
	return i
}

func bounded(s string) string { return s[:min(len(s), maxValue)] }

// interval is icy-metaint; 0 if there is no metadata.
func (h *head) interval() (int, error) {
	s, ok := h.fields["icy-metaint"]
	if !ok || s == "0" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxInterval {
		return 0, fmt.Errorf("icy-metaint %.32q is not 1 to %d", s, maxInterval)
	}
	return n, nil
}

// bitrate is what the origin claims, bit/s; 0 if it does not.
func (h *head) bitrate() int64 {
	claims := []string{h.fields["icy-br"], h.fields["ice-bitrate"]}
	for part := range strings.SplitSeq(h.fields["ice-audio-info"], ";") {
		if name, value, _ := strings.Cut(part, "="); strings.HasSuffix(name, "bitrate") {
			claims = append(claims, value)
		}
	}
	for _, claim := range claims {
		digits := strings.TrimLeft(claim, " ")
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = digits[:end]
		}
		if kbit, err := strconv.Atoi(digits); err == nil && kbit >= 8 && kbit <= 20_000 {
			return int64(kbit) * 1000
		}
	}
	return 0
}

// family is what of a content type must stay the same for listeners to hear on.
type family string

const (
	mpeg family = "mpeg" // MP3 and its elder layers
	aac  family = "aac"  // ADTS
	ogg  family = "ogg"  // whatever codec is in it
)

// familyOf sorts a content type: one of those above, else the media type itself.
func familyOf(contentType string) family {
	switch t := mediaType(contentType); t {
	case "audio/mpeg", "audio/mp3", "audio/mpg", "audio/mpeg3", "audio/x-mpeg", "audio/x-mp3", "audio/mpa":
		return mpeg
	case "audio/aac", "audio/aacp", "audio/x-aac", "audio/x-hx-aac-adts", "audio/adts":
		return aac
	case "application/ogg", "audio/ogg", "video/ogg", "application/x-ogg", "audio/x-ogg", "video/x-ogg", "audio/opus",
		"audio/vorbis", "audio/x-vorbis", "audio/x-vorbis+ogg", "audio/x-opus+ogg", "audio/x-flac+ogg", "audio/speex", "audio/x-speex":
		return ogg
	default:
		return family(t)
	}
}

func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		t, _, _ = strings.Cut(contentType, ";")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	return t
}

// isAudio is false for what is surely none: pages, texts, pictures, playlists.
func isAudio(contentType string) bool {
	t := mediaType(contentType)
	kind, sub, _ := strings.Cut(t, "/")
	for _, mark := range []string{"mpegurl", "scpls", "pls+xml", "xspf", "html", "json", "ms-asf", "ms-asx"} {
		if strings.Contains(sub, mark) {
			return false
		}
	}
	return kind != "text" && kind != "image" && kind != "multipart" && t != "application/xml"
}

// isText tells a page or a playlist that claims to be audio, by how it begins.
func isText(begin []byte) bool {
	s := strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(begin), "\ufeff"), " \t\r\n"))
	for _, mark := range []string{"<!doctype", "<html", "<?xml", "<head", "<asx", "#extm3u", "[playlist]"} {
		if strings.HasPrefix(s, mark) {
			return true
		}
	}
	return false
}
