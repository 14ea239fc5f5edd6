package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

const (
	sampleBytes = 4 // 16 bits, two channels
	window      = 2048 * sampleBytes
)

// signal is audio as it is heard: signed 16 bits, two channels, at rate samples per second.
type signal struct {
	pcm  []byte
	rate int
}

// long is how long the signal plays.
func (s signal) long() time.Duration {
	return time.Duration(len(s.pcm)/sampleBytes) * time.Second / time.Duration(s.rate)
}

// bytesOf is how many bytes so much of it has.
func (s signal) bytesOf(d time.Duration) int {
	return int(d.Seconds()*float64(s.rate)) * sampleBytes
}

// decode has ffmpeg decode audio. complaint is what it said on the way. Samples are given the time of their number: what a stream that
// is joined in its middle says of time is no matter here, and a gap is not to be hidden by silence.
func decode(f *format, audio []byte) (s signal, complaint string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-bitexact", "-f", f.demuxer, "-i", "pipe:0",
		"-map", "a", "-af", "asetpts=N/SR/TB", "-ac", "2", "-ar", strconv.Itoa(f.rate), "-f", "s16le", "pipe:1")
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(audio), &out, &said
	if err := cmd.Run(); err != nil {
		return signal{}, said.String(), fmt.Errorf("ffmpeg cannot decode it: %w: %s", err, tail(said.String(), 5))
	}
	return signal{out.Bytes(), f.rate}, said.String(), nil
}

// agreement compares two recordings of one signal that begin and end at different moments, sample by sample, and returns how long the
// part is that both have. How a decoder begins is left out, and the last quarter of a second, which may be half a frame.
func agreement(a, b signal) (time.Duration, error) {
	const lost = 250 * time.Millisecond
	skip := a.bytesOf(primed)
	pa, pb := a.pcm[:max(0, len(a.pcm)-a.bytesOf(lost))], b.pcm[:max(0, len(b.pcm)-b.bytesOf(lost))]
	if len(pa) < skip+window || len(pb) < skip+window {
		return 0, fmt.Errorf("%v and %v are too short to compare", a.long(), b.long())
	}
	pa, pb = pa[skip:], pb[skip:]
	if at := findSamples(pa, pb[:window]); at >= 0 {
		pa = pa[at:]
	} else if at := findSamples(pb, pa[:window]); at >= 0 {
		pb = pb[at:]
	} else {
		return 0, fmt.Errorf("neither holds the beginning of the other")
	}
	n := min(len(pa), len(pb))
	both := time.Duration(n/sampleBytes) * time.Second / time.Duration(a.rate)
	for i := range n {
		if pa[i] != pb[i] {
			return 0, fmt.Errorf("after %d samples that agree they differ, with %v to go",
				i/sampleBytes, both-time.Duration(i/sampleBytes)*time.Second/time.Duration(a.rate))
		}
	}
	return both, nil
}

// findSamples is where part begins in all, at a sample's first byte; -1 if nowhere.
func findSamples(all, part []byte) int {
	for from := 0; ; {
		at := bytes.Index(all[from:], part)
		if at < 0 {
			return -1
		}
		if from += at; from%sampleBytes == 0 {
			return from
		}
		from++
	}
}
