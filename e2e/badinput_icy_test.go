package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const icyHead = "ICY 200 OK\r\ncontent-type: audio/mpeg\r\n"

// badMount is a way in which the source of a mount fails, and what a listener is told.
type badMount struct {
	do      act
	status  int
	code    string
	outcome string // of connecting
}

func badMounts(victim *villain) map[string]badMount {
	to := func(where string) act { return redirects(func(*http.Request) string { return where }) }
	return map[string]badMount{
		"silent":    {silent, 504, "origin-timeout", "timeout"},
		"headonly":  {func(c net.Conn, r *http.Request) { fmt.Fprint(c, icyHead+"\r\n"); silent(c, r) }, 504, "origin-timeout", "timeout"},
		"hangup":    {says(""), 502, "origin-answer", "refused"},
		"empty":     {says(icyHead + "\r\n"), 502, "origin-answer", "refused"},
		"404":       {badStatus(404), 502, "origin-answer", "status"},
		"500":       {badStatus(500), 502, "origin-answer", "status"},
		"html":      {wholeBody("text/html", "<html><title>radio</title>"+strings.Repeat(" ", 99)), 502, "origin-answer", "not-audio"},
		"lying":     {wholeBody("audio/mpeg", "\r\n<!DOCTYPE html><title>radio</title>"+strings.Repeat(" ", 99)), 502, "origin-answer", "not-audio"},
		"playlist":  {wholeBody("audio/x-mpegurl", "http://localhost"+victim.host[strings.LastIndexByte(victim.host, ':'):]+"/secret\n"), 502, "origin-answer", "redirect"},
		"hls":       {wholeBody("audio/x-mpegurl", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n"), 502, "origin-answer", "hls"},
		"nothing":   {wholeBody("audio/x-scpls", "[playlist]\nNumberOfEntries=0\n"), 502, "origin-answer", "playlist"},
		"noise":     {says("\x00\x01\x02\r\n\r\n"), 502, "origin-answer", "malformed"},
		"hugehead":  {says(icyHead + "x: " + strings.Repeat("y", 100_000) + "\r\n\r\n"), 502, "origin-answer", "malformed"},
		"metaint":   {says(icyHead + "icy-metaint: -5\r\n\r\n" + strings.Repeat("x", 999)), 502, "origin-answer", "malformed"},
		"vast":      {says(icyHead + "icy-metaint: 99999999999\r\n\r\n" + strings.Repeat("x", 999)), 502, "origin-answer", "malformed"},
		"loop":      {redirects(func(r *http.Request) string { return r.URL.Path }), 502, "origin-answer", "redirect"},
		"elsewhere": {to("http://localhost" + victim.host[strings.LastIndexByte(victim.host, ':'):] + "/secret"), 502, "origin-answer", "redirect"},
		"file":      {to("file:///etc/passwd"), 502, "origin-answer", "redirect"},
	}
}

// TestBadInputICYOrigin: the sources of mounts do everything wrong that can be done before there is audio. Listeners get a clear error
// each, and who listens to another mount notices nothing.
func TestBadInputICYOrigin(t *testing.T) {
	t.Parallel()
	victim := startVillain(t, nil)
	cases := badMounts(victim)
	acts := make(map[string]act)
	for name, c := range cases {
		acts[name] = c.do
	}
	v := startVillain(t, acts)
	cases["down"] = badMount{nil, 502, "origin-answer", "refused"}
	g := startGood(t)
	streams := g.streams()
	for name := range cases {
		host := v.host
		if name == "down" {
			host = fmt.Sprintf("127.0.0.1:%d", freePort(t))
		}
		streams += icyStream(name, "/icy/"+name+".mp3", "http://"+host+"/"+name+"/stream.mp3")
	}
	e := startEdge(t, streams)
	c := startCrowd(t, e)
	todo := make(map[string]func(*testing.T))
	for name, want := range cases {
		todo[name] = func(t *testing.T) {
			e.moves(t, 1, func() { wantRefused(t, e.listen+"/icy/"+name+".mp3", want.status, want.code, v.host, "127.0.0.1") },
				"earshot_upstream_connects_total", `stream="`+name+`"`, `outcome="`+want.outcome+`"`)
			if n := e.value(t, "earshot_upstream_up", `stream="`+name+`"`); n != 0 {
				t.Errorf("its source is said to be up")
			}
		}
	}
	e.moves(t, float64(len(cases)), func() { together(t, todo) }, "earshot_problems_total", `code="origin-`)
	if asked := victim.targets(); len(asked) > 0 {
		t.Errorf("the edge was led to another host and asked for %q", asked)
	}
	c.undisturbed(t)
	e.unharmed(t, 200<<20)
	checkNoAddress(t, e, v.host)
	e.checkMetrics(t)
}

// TestBadInputICYStream: sources that answer well and then send garbage, lie about their metadata, or leave once a second. The
// listener gets what there is.
func TestBadInputICYStream(t *testing.T) {
	t.Parallel()
	flood := func(head string, piece func(i int) []byte) act {
		return func(c net.Conn, _ *http.Request) {
			_, err := io.WriteString(c, head+"\r\n")
			for i := 0; i < 2000 && err == nil; i++ { // 16 KB each, no faster than 1.6 MB/s
				_, err = c.Write(piece(i))
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	v := startVillain(t, map[string]act{
		"garbage": flood(icyHead, func(i int) []byte { return tapeless(i, 16<<10) }),
		"syncs":   flood(icyHead, func(int) []byte { return bytes.Repeat([]byte{0xff}, 16<<10) }),
		"heads":   flood(icyHead, func(int) []byte { return bytes.Repeat(frameHead, 4<<10) }),
		"tags":    flood(icyHead, func(int) []byte { return append([]byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f"), tapeless(1, 16<<10)...) }),
		"metaint": flood(icyHead+"icy-metaint: 64\r\n", func(i int) []byte { return tapeless(i, 16<<10) }),
		"titles": flood(icyHead+"icy-metaint: 417\r\n", func(i int) []byte {
			return append(append(goodFrame(int64(i)), 255), bytes.Repeat([]byte("StreamTitle='\x00\xff\n"), 255)...)
		}),
		"leaving": func(c net.Conn, _ *http.Request) {
			fmt.Fprint(c, icyHead+"\r\n")
			_ = sendFrames(c, 50, time.Second)
		},
	})
	g := startGood(t)
	streams := g.streams()
	for name := range v.acts {
		streams += icyStream(name, "/icy/"+name+".mp3", "http://"+v.host+"/"+name+"/stream.mp3")
	}
	e := startEdge(t, streams)
	c := startCrowd(t, e)
	todo := make(map[string]func(*testing.T))
	for name := range v.acts {
		todo[name] = func(t *testing.T) { hearBad(t, e, name) }
	}
	e.moves(t, 2, func() { together(t, todo) }, "earshot_upstream_connects_total", `stream="leaving"`, `outcome="connected"`)
	c.undisturbed(t)
	e.unharmed(t, 300<<20)
	e.checkMetrics(t)
	mustGet(t, e.admin+"/admin/v1/listeners")
}

// hearBad listens for five seconds, with metadata, and must get something all the while.
func hearBad(t *testing.T, e *edge, name string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, e.listen+"/icy/"+name+".mp3", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Icy-MetaData", "1")
	res, err := slowClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	var total, late int
	b := make([]byte, 32<<10)
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		n, err := res.Body.Read(b)
		if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
		if total += n; time.Since(began) > 3*time.Second {
			late += n
		}
	}
	if late == 0 {
		t.Errorf("nothing came after three seconds; %d bytes before", total)
	}
}

// tapeless is n bytes that look like nothing, others for each seed.
func tapeless(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
