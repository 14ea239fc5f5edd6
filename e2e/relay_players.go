package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// playing is what a player made of so much listening.
type playing struct {
	out  []byte // standard output
	said string // standard error
	err  error
}

// listenWith runs a player for so long at most, and returns what it did. A player that is ended at its time ends well.
func listenWith(t testing.TB, limit time.Duration, name string, args ...string) playing {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, name), args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it still played after %v", limit)
	}
	return playing{out.Bytes(), strings.TrimSpace(said.String()), err}
}

// complaint is why the player did not end well, or what it said.
func (p playing) complaint() error {
	if p.err != nil {
		return fmt.Errorf("%w: %s", p.err, tail(p.said, 5))
	}
	if p.said != "" {
		return errors.New(tail(p.said, 10))
	}
	return nil
}

// playFFmpeg decodes so much of url; the first error ends it. It is to count samples: the stream's clock runs since the stream began.
func playFFmpeg(t testing.TB, url string, d time.Duration) error {
	p := listenWith(t, d+40*time.Second, "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", url,
		"-af", "asetpts=N/SR/TB", "-t", seconds(d), "-f", "null", "-")
	return p.complaint()
}

// playMPG123 decodes so many frames of url. It asks for titles, and takes them out of the audio.
func playMPG123(t testing.TB, url string, d time.Duration, f *format) error {
	frame := 1152
	if f.rate < 32000 {
		frame = 576
	}
	frames := strconv.Itoa(int(d.Seconds() * float64(f.rate) / float64(frame)))
	p := listenWith(t, d+40*time.Second, "mpg123", "-q", "-n", frames, "-e", "s16", "-s", url)
	if err := p.complaint(); err != nil {
		return err
	}
	want := signal{p.out, f.rate}.bytesOf(d)
	if off := math.Abs(float64(len(p.out) - want)); off > float64(want)/10 {
		return fmt.Errorf("%d bytes of samples, not %d", len(p.out), want)
	}
	return nil
}

// playVLC plays url into a file until that holds so much, and is asked to stop then: its own clock is the stream's, which runs since the stream began.
// VLC refuses to run as root; then it runs as nobody.
func playVLC(t testing.TB, url string, d time.Duration, rate int) error {
	command := []string{"vlc", "-I", "dummy", "--no-dbus", "--no-media-library", "--aout", "adummy",
		"--sout", fmt.Sprintf("#transcode{vcodec=none,acodec=s16l,channels=2,samplerate=%d}:std{access=file,mux=wav,dst=-}", rate), url}
	if os.Geteuid() == 0 {
		command = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "HOME=/nonexistent"}, command...)
	}
	const wavHeader = 44
	p := listenUntil(t, d+20*time.Second, wavHeader+signal{nil, rate}.bytesOf(d), command[0], command[1:]...)
	if p.err != nil {
		return p.complaint()
	}
	if noise := complaintsOfVLC(p.said); noise != "" {
		return errors.New(noise)
	}
	if heard := (signal{p.out[min(wavHeader, len(p.out)):], rate}).long(); heard < d {
		return fmt.Errorf("%v in the file, of %v: %s", heard, d, tail(p.said, 10))
	}
	return nil
}

// listenUntil runs a player until it has written so many bytes, or for so long, and asks it to stop then.
func listenUntil(t testing.TB, limit time.Duration, bytes int, name string, args ...string) playing {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out := filling{most: bytes, full: cancel}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if ctx.Err() == nil {
		err = fmt.Errorf("it stopped by itself: %w", errOrNone(err))
	} else if errors.Is(err, ctx.Err()) || errors.As(err, new(*exec.ExitError)) {
		err = nil
	}
	return playing{out.got, strings.TrimSpace(said.String()), err}
}

// filling keeps what is written, and tells when it is enough.
type filling struct {
	got  []byte
	most int
	full func()
}

func (f *filling) Write(b []byte) (int, error) {
	if f.got = append(f.got, b...); len(f.got) >= f.most {
		f.full()
	}
	return len(b), nil
}

// complaintsOfVLC leaves out what is no fault of the stream: that there is no keyboard, and frames of MP3 that lean on others from before
// the moment at which the stream was joined.
func complaintsOfVLC(said string) string {
	var rest []string
	for line := range strings.Lines(said) {
		harmless := strings.Contains(line, "interface error:") || strings.Contains(line, "initialization failed") || strings.Contains(line, "part2_3_length")
		if strings.Contains(line, "error") && !harmless {
			rest = append(rest, strings.TrimSpace(line))
		}
	}
	return strings.Join(rest, "\n")
}

// playCurl fetches for so long; what came must be whole frames, but for the last.
func playCurl(t testing.TB, url string, d time.Duration, f *format) error {
	p := listenWith(t, d+40*time.Second, "curl", "-sS", "-N", "-m", seconds(d), url)
	const timeout = 28 // curl's own; there is no other way to end a stream that has no end
	var how *exec.ExitError
	if !errors.As(p.err, &how) || how.ExitCode() != timeout {
		return fmt.Errorf("curl ended with %w: %s", errOrNone(p.err), p.said)
	}
	return mostlyWhole(f, p.out)
}

// mostlyWhole: audio that was cut off somewhere is whole frames up to there.
func mostlyWhole(f *format, audio []byte) error {
	frames, err := wholeFrames(f, audio)
	var cut *cutShort
	if err != nil && !errors.As(err, &cut) {
		return err
	}
	if frames < 10 {
		return fmt.Errorf("%d frames in %d bytes", frames, len(audio))
	}
	return nil
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
