package relay

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// Titles are kept, the latest first, each once, and told in UTF-8.
func TestTitles(t *testing.T) {
	titles := map[int]string{0: "StreamTitle='first';"}
	for i := 1; i < 30; i++ {
		titles[i] = fmt.Sprintf("StreamTitle='\xc6\xee\xed %d';", i) // windows-1251
	}
	titles[30] = "StreamTitle='\xc6\xee\xed 20';"
	titles[31] = "StreamTitle='';"
	titles[32] = "StreamTitle='Ünverändert';"
	o := station(t, 500, interleaved(mp3(60), 500, titles))
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{o.url("/")}, Charset: "windows-1251"})
	open(t, h)
	eventually(t, "the last title", func() bool { return h.Status().Title == "Ünverändert" })
	s := h.Status()
	if len(s.Titles) != recentTitles || s.Titles[0].Title != "Ünverändert" || s.Titles[1].Title != "Жон 20" || s.Titles[2].Title != "Жон 29" {
		t.Errorf("%d titles: %v", len(s.Titles), s.Titles)
	}
	seen := make(map[string]bool)
	for i, title := range s.Titles {
		if seen[title.Title] || title.At.IsZero() || i > 0 && title.At.After(s.Titles[i-1].At) {
			t.Errorf("title %d: %v", i, title)
		}
		seen[title.Title] = true
	}
}

func TestTitleText(t *testing.T) {
	for _, tc := range []struct{ charset, in, want string }{
		{"", "StreamTitle='Caf\xe9 \x96 Blue';", "Café – Blue"},
		{"no such", "StreamTitle='Caf\xe9';", "Café"},
		{"iso-8859-2", "StreamTitle='\xa3\xf3d\xbc';", "Łódź"},
		{"shift_jis", "StreamTitle='\x83e\x83X\x83g';", "テスト"},
		{"shift_jis", "StreamTitle='\xff\xfe\x83';", "\ufffd\ufffd\ufffd"},
		{"iso-8859-2", "StreamTitle='Łódź';", "Łódź"},
		{"", "StreamTitle='not ended'", "not ended"},
		{"", "StreamUrl='x';", ""},
		{"", "StreamTitle='" + strings.Repeat("ä", 1000) + "';", strings.Repeat("ä", maxTitle/2)},
	} {
		if got := (&title{block: block(tc.in)}).text(charsetOf(tc.charset)); got != tc.want {
			t.Errorf("%q in %s: %q", tc.in, tc.charset, got)
		}
	}
	if got := (&title{said: "A - B"}).text(charsetOf("")); got != "A - B" {
		t.Errorf("said: %q", got)
	}
}

// A title is not said any longer once its source is gone and another says none: not the last one, nor the first there was.
func TestNoTitleIsStale(t *testing.T) {
	for _, spare := range []string{"file", "origin without titles"} {
		t.Run(spare, func(t *testing.T) {
			t.Parallel()
			dies := make(chan struct{})
			good := newOrigin(t, func(c net.Conn, n int) {
				if n > 0 {
					return
				}
				fmt.Fprintf(c, icecastHead, 4000)
				c.Write(interleaved(mp3(40), 4000, map[int]string{0: "StreamTitle='first';", 1: "StreamTitle='second';"}))
				until(c, dies)
			})
			other := station(t, 0, on(2, 40)).url("/")
			if spare == "file" {
				other = fileOf(t, "a.mp3", on(2, 40))
			}
			h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{good.url("/"), other}})
			open(t, h)
			p := join(t, h, account(newBook(), "a"), 4000)
			eventually(t, "the first", p.has(39*frameBytes))
			close(dies)
			eventually(t, "the other", p.has(70*frameBytes))
			_, blocks := untangle(t, p.received(), 4000)
			var said []string
			for _, b := range blocks {
				if b.text != "" {
					said = append(said, b.text)
				}
			}
			if got := strings.Join(said, " "); got != "StreamTitle='first'; StreamTitle='second'; StreamTitle='';" {
				t.Errorf("said: %s", got)
			}
			if s := h.Status(); s.Title != "" || len(s.Titles) != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}
