package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// station is an Icecast that plays the codecs, and an edge in front of it.
func station(t testing.TB, codecs ...codec) (*icecast, *edge) {
	t.Helper()
	i := startIcecast(t)
	var streams []string
	for _, c := range codecs {
		startSource(t, i, c)
		streams = append(streams, icyStream(c.name, c.mount, i.url(c.mount)))
	}
	return i, startEdge(t, streams...)
}

// TestICYDecodes: what ffmpeg hears through the edge is what ffmpeg sent to Icecast, without an error from the first byte on.
func TestICYDecodes(t *testing.T) {
	t.Parallel()
	_, e := station(t, mp3, aac)
	for _, c := range []codec{mp3, aac} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := e.listen + c.mount
			run(t, 30*time.Second, "ffmpeg", "-nostdin", "-v", "error", "-i", url, "-t", "10", "-f", "null", "-")
			probe(t, url, c)
			heardByICY(t, e, c)
		})
	}
}

// probe asks ffprobe what the stream is.
func probe(t *testing.T, url string, c codec) {
	t.Helper()
	var found struct {
		Streams []struct {
			CodecName  string `json:"codec_name"`
			SampleRate string `json:"sample_rate"`
			Channels   int
			BitRate    string `json:"bit_rate"`
		}
	}
	out := run(t, 30*time.Second, "ffprobe", "-v", "error", "-analyzeduration", "2M", "-show_streams", "-of", "json", url)
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Streams) != 1 {
		t.Fatalf("ffprobe finds %d streams: %s", len(found.Streams), out)
	}
	s := found.Streams[0]
	if s.CodecName != c.name || s.SampleRate != "44100" || s.Channels != 2 {
		t.Errorf("ffprobe: %s, %s Hz, %d channels; want %s, 44100 Hz, 2 channels", s.CodecName, s.SampleRate, s.Channels, c.name)
	}
	// Of ADTS ffprobe knows only what the frames it saw come to.
	rate, err := strconv.Atoi(s.BitRate)
	if err != nil || rate < c.bitRate*9/10 || rate > c.bitRate*11/10 {
		t.Errorf("ffprobe: %s bit/s, want about %d", s.BitRate, c.bitRate)
	}
}

// heardByICY looks at what the edge has stored of ffmpeg's ten seconds and ffprobe's glance.
func heardByICY(t *testing.T, e *edge, c codec) {
	t.Helper()
	events, sessions := e.finalised(t, c.name)
	if len(events) != 2 {
		t.Errorf("%d sessions in listen_events, want ffmpeg's and ffprobe's: %+v", len(events), events)
	}
	if len(sessions) == 0 {
		t.Fatalf("no row in sessions; events: %+v", events)
	}
	ffmpeg, row := events[0], sessions[0]
	if row.id != ffmpeg.id || row.kind != "icy" || row.rows != 1 || row.bytes != ffmpeg.bytes || row.durationMS != ffmpeg.durationMS {
		t.Errorf("the row is %+v, its events are %+v", row, ffmpeg)
	}
	// ffmpeg reads a little ahead of the ten seconds that it decodes.
	if row.durationMS < 10_000 || row.durationMS > 20_000 {
		t.Errorf("%d ms heard, want 10 s and a little", row.durationMS)
	}
	if rate := row.bytes * 8 * 1000 / row.durationMS; rate < int64(c.bitRate)*9/10 || rate > int64(c.bitRate)*11/10 {
		t.Errorf("%d bytes in %d ms are %d bit/s, want about %d", row.bytes, row.durationMS, rate, c.bitRate)
	}
}

// listenICY has curl listen, with metadata, and returns the header lines as they were on the wire and the body.
func listenICY(t *testing.T, url string) (status string, header map[string]string, body *icyReader) {
	t.Helper()
	_, stdout := startReading(t, "curl", "-sS", "-N", "-i", "-m", "60", "-H", "Icy-MetaData: 1", url)
	r := bufio.NewReader(stdout)
	header = make(map[string]string)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: the header breaks off: %v", url, err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		if status == "" {
			status = line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		header[name] = strings.TrimSpace(value)
	}
	metaint, err := strconv.Atoi(header["icy-metaint"])
	if err != nil {
		t.Fatalf("%s: no icy-metaint in %v", url, header)
	}
	return status, header, &icyReader{body: r, metaint: metaint, audio: io.Discard}
}

// TestICYTitles: titles reach curl through the edge, as Icecast sends them and when it does.
func TestICYTitles(t *testing.T) {
	t.Parallel()
	i, e := station(t, mp3)
	// An apostrophe ends no title, and a mount's charset is the mount's affair: the bytes go through.
	first, second := "It's the 'first' one", "Zweites Stück"
	i.setTitle(t, mp3.mount, first)
	_, _, direct := listenICY(t, i.url(mp3.mount))
	_, _, through := listenICY(t, e.listen+mp3.mount)
	readTitle := func(who string, r *icyReader) string {
		t.Helper()
		title, err := r.title(60) // at 16,000 bytes and 128 kbit/s, a minute
		if err != nil {
			t.Fatalf("%s: %v", who, err)
		}
		return title
	}
	if got := readTitle("Icecast", direct); got != first {
		t.Errorf("the first title at Icecast is %q, want %q", got, first)
	}
	if got := readTitle("the edge", through); got != first {
		t.Errorf("the first title is %q, want %q", got, first)
	}
	i.setTitle(t, mp3.mount, second)
	want := readTitle("Icecast", direct)
	if want == first || !strings.HasPrefix(want, "Zweites") {
		t.Errorf("the second title at Icecast is %q", want)
	}
	if got := readTitle("the edge", through); got != want {
		t.Errorf("the second title is %q, and %q at Icecast", got, want)
	}
}

// TestICYHeaders: the edge says of a mount what Icecast says of it.
func TestICYHeaders(t *testing.T) {
	t.Parallel()
	i, e := station(t, mp3, aac)
	for _, c := range []codec{mp3, aac} {
		_, direct, _ := listenICY(t, i.url(c.mount))
		status, through, _ := listenICY(t, e.listen+c.mount)
		if !strings.HasPrefix(status, "HTTP/1.") || !strings.Contains(status, " 200") {
			t.Errorf("%s: %q", c.mount, status)
		}
		for _, name := range slices.Sorted(maps.Keys(direct)) {
			if told := name == "Content-Type" || strings.HasPrefix(name, "icy-") || strings.HasPrefix(name, "ice-"); !told {
				continue
			}
			// The interval is each server's own; icy-metadata is Icecast's echo of the request.
			if name == "icy-metaint" || name == "icy-metadata" {
				continue
			}
			if through[name] != direct[name] {
				t.Errorf("%s: %s is %q, and %q at Icecast", c.mount, name, through[name], direct[name])
			}
		}
		if through["icy-name"] == "" {
			t.Errorf("%s: no icy-name in %v", c.mount, through)
		}
		for name := range through {
			if strings.EqualFold(name, "Transfer-Encoding") {
				t.Errorf("%s: the audio is chunked; old receivers cannot read it", c.mount)
			}
		}
	}
}

// TestICYOneUpstream: however many listen at the edge, Icecast has one listener, and the operator sees them all.
func TestICYOneUpstream(t *testing.T) {
	t.Parallel()
	i, e := station(t, mp3)
	listen(t, e.listen+mp3.mount, 5)
	e.waitMetric(t, `earshot_listeners{kind="icy",stream="mp3"}`, "5")
	i.waitListeners(t, 20*time.Second, mp3.mount, 1)

	var now struct {
		Listeners []struct {
			Stream, Kind string
			Listeners    int
		}
		Sessions []struct {
			Group     string
			Listening bool
		}
	}
	for _, path := range []string{"/admin/v1/listeners", "/admin/v1/sessions"} {
		if err := json.Unmarshal([]byte(mustGet(t, e.admin+path)), &now); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if len(now.Listeners) != 1 || now.Listeners[0].Stream != "mp3" || now.Listeners[0].Listeners != 5 || len(now.Sessions) != 5 {
		t.Errorf("the operator is told %+v, want five listeners of mp3 in five sessions", now)
	}
	e.checkMetrics(t)
}

// listen has n curls listen until the test ends.
func listen(t *testing.T, url string, n int) {
	t.Helper()
	for range n {
		start(t, "curl", "-sS", "-N", "-m", "60", "-o", "/dev/null", url)
	}
}

// waitMetric waits until a sample has the value want. The sample is written as the exposition has it, its labels in alphabetical order.
func (e *edge) waitMetric(t *testing.T, sample, want string) {
	t.Helper()
	eventually(t, 15*time.Second, sample, func() error {
		text, err := get(e.admin + "/metrics")
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			value, is := strings.CutPrefix(strings.TrimSpace(line), sample+" ")
			if is && value == want {
				return nil
			}
			if is {
				return fmt.Errorf("%s, not %s", value, want)
			}
		}
		return fmt.Errorf("not in /metrics")
	})
}
