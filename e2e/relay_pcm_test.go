package e2e

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"
)

// commonBytes is the length of the part that two recordings of one stream of bytes have in common: from where one begins in the other
// to where either ends, if it is the same all along; else 0. b begins ahead bytes after a.
func commonBytes(a, b []byte) (both, ahead int) {
	if len(a) < window || len(b) < window {
		return 0, 0
	}
	if ahead = bytes.Index(a, b[:window]); ahead >= 0 {
		a = a[ahead:]
	} else if at := bytes.Index(b, a[:window]); at >= 0 {
		b, ahead = b[at:], -at
	} else {
		return 0, 0
	}
	n := min(len(a), len(b))
	if !bytes.Equal(a[:n], b[:n]) {
		return 0, 0
	}
	return n, ahead
}

// TestAgreement: the comparison finds where two recordings fit together, and notices a sample that differs, is lost or is there twice.
func TestAgreement(t *testing.T) {
	t.Parallel()
	const rate = 8000
	noise := make([]byte, 5*rate*sampleBytes)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	all := signal{noise, rate}
	part := func(from, to time.Duration) signal {
		return signal{bytes.Clone(noise[all.bytesOf(from):all.bytesOf(to)]), rate}
	}
	late := part(700*time.Millisecond, 5*time.Second)
	for _, pair := range [][2]signal{{all, late}, {late, all}, {part(0, 4*time.Second), late}} {
		if both, err := agreement(pair[0], pair[1]); err != nil || both < 1800*time.Millisecond {
			t.Errorf("%v agree: %v", both, err)
		}
	}
	middle := all.bytesOf(3 * time.Second)
	flipped := bytes.Clone(noise)
	flipped[middle] ^= 1
	lost := append(bytes.Clone(noise[:middle]), noise[middle+sampleBytes:]...)
	twice := append(bytes.Clone(noise[:middle+sampleBytes]), noise[middle:]...)
	for name, pcm := range map[string][]byte{"flipped": flipped, "lost": lost, "twice": twice, "other": bytes.Repeat([]byte{1, 2}, len(noise)/2)} {
		for _, pair := range [][2]signal{{signal{pcm, rate}, late}, {late, signal{pcm, rate}}} {
			if both, err := agreement(pair[0], pair[1]); err == nil {
				t.Errorf("%s: %v agree", name, both)
			}
		}
	}
}

// TestAgreementOfFrames: the same with what is compared in earnest: a byte that changed, a frame that is lost or is there twice makes the
// decoded signals differ, in every format, or makes the decoder or the parser complain.
func TestAgreementOfFrames(t *testing.T) {
	t.Parallel()
	for n := range formats {
		f := &formats[n]
		t.Run(f.key(), func(t *testing.T) {
			t.Parallel()
			audio := encodeNoise(t, f, 5*time.Second)
			var starts []int
			length := map[string]func([]byte) (int, error){"mpeg": mpegLength, "adts": adtsLength, "ogg": pageLength}[f.frame]
			for at := 0; at < len(audio); {
				starts = append(starts, at)
				n, err := length(audio[at:])
				if err != nil {
					t.Fatal(err)
				}
				at += n
			}
			want, _, err := decode(f, audio)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := agreement(want, want); err != nil {
				t.Fatalf("it does not agree with itself: %v", err)
			}
			from, to := starts[len(starts)/2], starts[len(starts)/2+1]
			changed := bytes.Clone(audio)
			changed[(from+to)/2] ^= 0x55
			for name, bad := range map[string][]byte{
				"changed": changed,
				"lost":    append(bytes.Clone(audio[:from]), audio[to:]...),
				"cut":     append(bytes.Clone(audio[:(from+to)/2]), audio[to:]...),
			} {
				if soundsLike(f, want, bad) == nil {
					t.Errorf("nobody noticed that a frame was %s", name)
				}
			}
		})
	}
}

// soundsLike is what sameAudio looks at, as an error.
func soundsLike(f *format, want signal, through []byte) error {
	if _, err := wholeFrames(f, through); err != nil {
		return err
	}
	heard, complaint, err := decode(f, through)
	if err != nil {
		return err
	}
	if complaint != "" {
		return errors.New(complaint)
	}
	_, err = agreement(want, heard)
	return err
}

// encodeNoise is so much of what a source sends, as fast as can be.
func encodeNoise(t testing.TB, f *format, d time.Duration) []byte {
	t.Helper()
	args := []string{"-nostdin", "-v", "error", "-f", "lavfi", "-i", noise(7),
		"-t", d.String()[:len(d.String())-1]}
	out, err := exec.Command(program(t, "ffmpeg"), append(append(args, f.encode...), "pipe:1")...).Output()
	if err != nil {
		t.Fatalf("encode %s: %v", f.key(), err)
	}
	return out
}
