package relay

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"earshot/listen"
)

func fileOf(t *testing.T, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var oldTag = append([]byte("TAG"), bytes.Repeat([]byte{0xff}, 125)...)

// A file is sent over and over, frames and nothing else, at the pace of its own time and a little ahead.
func TestFileInALoop(t *testing.T) {
	t.Parallel()
	path := fileOf(t, "off-air.mp3", id3(4000), id3(40), []byte("padding"), mp3(30), mp3(1)[:200], oldTag)
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{"http://127.0.0.1:1/", path}, Burst: 1 << 20})
	began := time.Now()
	info := open(t, h)
	if info.ContentType != "audio/mpeg" || len(info.Header) != 0 {
		t.Errorf("info: %+v", info)
	}
	p := join(t, h, account(newBook(), "a"), 0)
	check := func() (sent time.Duration) {
		h.ring.mu.Lock()
		defer h.ring.mu.Unlock()
		return framesTime(int(h.ring.total / frameBytes))
	}
	for range 12 {
		time.Sleep(100 * time.Millisecond)
		if ahead := check() - time.Since(began); ahead > fileLead+600*time.Millisecond {
			t.Fatalf("it is %v ahead", ahead)
		}
	}
	eventually(t, "to be ahead: who joins has nothing to begin with", func() bool { return check()-time.Since(began) >= time.Second/2 })
	eventually(t, "the third round", p.has(65*frameBytes))
	p.leave(t)
	got := p.received()
	if all := bytes.Repeat(mp3(30), 20); !bytes.Equal(got, all[:len(got)]) {
		t.Error("the rounds do not join at frames")
	}
	s := h.Status()
	if s.Codec != "mp3" || s.Origin != 1 || s.Title != "" {
		t.Errorf("%+v", s)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.mp3")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	large := fileOf(t, "large.mp3", mp3(10))
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ path, why string }{
		{filepath.Join(t.TempDir(), "none.mp3"), "no such file"},
		{t.TempDir(), "no regular file"},
		{pipe, "no regular file"},
		{large, "more than"},
		{fileOf(t, "empty.mp3"), "no frames"},
		{fileOf(t, "junk.mp3", bytes.Repeat([]byte("junk"), 1000)), "no frames"},
		{fileOf(t, "tags.mp3", id3(400)), "no frames"},
		{fileOf(t, "cut-tag.mp3", id3(400)[:100]), "no frames"},
		{fileOf(t, "page.wav", []byte("RIFF....WAVEfmt ")), "no frames"},
		{fileOf(t, "two.mp3", mp3(400), adts(3000)), "changes its format"},
		{fileOf(t, "junk.ogg", []byte("OggS"), bytes.Repeat([]byte{0xff}, 400)), "without"},
		{fileOf(t, "short.ogg", []byte("OggS")), "no Ogg page"},
		{fileOf(t, "silent.ogg", oggPages(7, "OpusHead........................", 0)), "without time"},
		{fileOf(t, "video.ogg", oggPages(7, "\x80theora.........................", 1000)), "without"},
	} {
		s, err := openSource(tc.path)
		if err == nil {
			s.close()
		}
		if err == nil {
			t.Errorf("%s is taken", filepath.Base(tc.path))
		} else if err.Outcome != BadFile || !strings.Contains(err.cause.Error(), tc.why) || strings.Contains(err.Error(), "/") {
			t.Errorf("%s: %v (%v)", filepath.Base(tc.path), err, err.Cause())
		}
	}
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{"http://127.0.0.1:1/", pipe}})
	if _, err := h.Open(context.Background()); !errors.Is(err, ErrUpstream) {
		t.Errorf("open: %v", err)
	}
}

// From the origin to the file and back, in one transfer, without a title in between; and to another format, as a file
// is no reason to stay.
func TestFileStandsIn(t *testing.T) {
	file := fileOf(t, "off-air.mp3", on(9, 40))
	for _, format := range []string{"same", "other"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			var down atomic.Bool
			dies := make(chan struct{})
			o := newOrigin(t, func(c net.Conn, n int) {
				if down.Load() {
					return
				}
				if n > 0 && format == "other" {
					answer("ICY 200 OK\r\nContent-Type: audio/aac\r\n\r\n", adts(60))(c, n)
					return
				}
				fmt.Fprintf(c, icecastHead, 417)
				c.Write(interleaved(on(byte(1+min(n, 1)), 100), 417, map[int]string{0: "StreamTitle='Live';"}))
				if n == 0 {
					until(c, dies)
				} else {
					untilClosed(c)
				}
			})
			h := newRelay(t, Options{HeaderTimeout: time.Second, ReturnFirst: 40 * time.Millisecond, ReturnLast: 40 * time.Millisecond}).Hub(
				Mount{Key: "k", Origins: []string{o.url("/"), file}, Burst: 1 << 20})
			open(t, h)
			p := join(t, h, account(newBook(), "a"), 0)
			eventually(t, "the title", func() bool { return h.Status().Title == "Live" })
			down.Store(true)
			close(dies)
			eventually(t, "the file", func() bool { return bytes.Contains(p.received(), on(9, 40)) })
			if s := h.Status(); s.Origin != 1 || s.Title != "" || len(s.Titles) != 1 {
				t.Errorf("%+v", s)
			}
			down.Store(false)
			if format == "other" {
				if r := p.reason(t); r != listen.SourceGone {
					t.Errorf("ended for %q", r)
				}
				if info := open(t, h); info.ContentType != "audio/aac" {
					t.Errorf("%+v", info)
				}
				return
			}
			eventually(t, "the origin again", func() bool { return bytes.Contains(p.received(), on(2, 99)[frameBytes:]) })
			p.leave(t)
			if heard := stations(t, p.received()); heard != "192" {
				t.Errorf("heard %s", heard)
			}
		})
	}
}

// A file that gets shorter is a source that is lost, not the end of the edge.
func TestFileIsCutShort(t *testing.T) {
	path := fileOf(t, "a.mp3", mp3(1000))
	h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{path}})
	open(t, h)
	join(t, h, account(newBook(), "a"), 0)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss", func() bool { return h.Status().State == Reconnecting })
}

// oggPages is a logical stream of two pages, the second up to a granule position.
func oggPages(serial uint32, first string, granule uint64) []byte {
	page := func(flags byte, granule uint64, sequence uint32, body []byte) []byte {
		b := append([]byte("OggS\x00"), flags)
		b = binary.LittleEndian.AppendUint64(b, granule)
		b = binary.LittleEndian.AppendUint32(b, serial)
		b = binary.LittleEndian.AppendUint32(b, sequence)
		b = append(b, 0, 0, 0, 0, byte(len(body)/255+1))
		b = append(b, bytes.Repeat([]byte{255}, len(body)/255)...)
		b = append(append(b, byte(len(body)%255)), body...)
		binary.LittleEndian.PutUint32(b[22:], slowOggSum(b))
		return b
	}
	return append(page(oggFirst, 0, 0, []byte(first)), page(0, granule, 1, bytes.Repeat([]byte("audio"), 400))...)
}

// slowOggSum is the checksum of RFC 3533, bit by bit.
func slowOggSum(b []byte) (sum uint32) {
	for _, c := range b {
		sum ^= uint32(c) << 24
		for range 8 {
			if sum&(1<<31) != 0 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

// Each round of an Ogg file is a logical stream of its own, and the pages are whole.
func TestOggFile(t *testing.T) {
	vorbis := "\x01vorbis\x00\x00\x00\x00\x02" + "\x80\xbb\x00\x00" + strings.Repeat("\x00", 14) // 48000
	path := fileOf(t, "a.ogg", oggPages(1, vorbis, 12000), oggPages(2, "OpusHead"+strings.Repeat("\x00", 11), 12000), []byte("OggS broken off"))
	s, failure := openSource(path)
	if failure != nil {
		t.Fatal(failure.cause)
	}
	defer s.close()
	if got, want := s.bits, s.file.to*8*2; got != want || s.info.ContentType != "application/ogg" {
		t.Errorf("%d bit/s of %d, %q", got, want, s.info.ContentType)
	}
	var got []byte
	for b := make([]byte, 100); s.file.round < 5; {
		n, err := s.file.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[:n]...)
	}
	serials := make(map[uint32]int)
	last := uint32(0)
	for at := int64(0); at < int64(len(got)); {
		p, err := readPageHead(bytes.NewReader(got), at, make([]byte, oggHeader+255))
		if err != nil || at+p.bytes > int64(len(got)) {
			break
		}
		page := bytes.Clone(got[at : at+p.bytes])
		sum := binary.LittleEndian.Uint32(page[22:])
		clear(page[22:26])
		if slowOggSum(page) != sum {
			t.Fatalf("the checksum of the page at %d is wrong", at)
		}
		if serials[p.serial()]++; serials[p.serial()] > 1 && p.serial() != last {
			t.Fatalf("the stream %d comes again", p.serial())
		}
		last = p.serial()
		at += p.bytes
	}
	if len(serials) < 9 {
		t.Errorf("%d logical streams in five rounds", len(serials))
	}
}

// An Ogg file has a pace too. Those here last two seconds each.
func TestOggFilePace(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"vorbis.ogg", "opus.ogg", "flac.ogg"} {
		all, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		h := newRelay(t, Options{}).Hub(Mount{Key: "k", Origins: []string{"testdata/" + name}})
		open(t, h)
		time.Sleep(500 * time.Millisecond)
		if got, round := h.Status().Received, int64(len(all)); got < round*3/4 || got > round*9/4 {
			t.Errorf("%s: %d bytes in half a second, where two seconds have %d", name, got, round)
		}
	}
}
