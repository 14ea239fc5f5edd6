package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// What the low-latency origin publishes is cut at the same moments on every track: 8 frames of video at 25 Hz are as long as 15 frames of AAC
// at 48 kHz, to the microsecond.
const (
	llPart       = 320 * time.Millisecond
	llParts      = 6 // in a segment
	llSegment    = llParts * llPart
	llTarget     = 2 * time.Second // EXT-X-TARGETDURATION
	llFirst      = 100             // media sequence number of the first segment there ever was
	llAnchor     = 3               // of a segment's video parts every third begins with a key frame
	llVideoFPS   = 25
	llPartFrames = 8
)

// llTrack is one rendition: its init section, and its fragments, each a part.
type llTrack struct {
	name   string
	source []string      // ffmpeg's arguments
	lag    time.Duration // how long after its last sample a part is there: encoders are not in step
	anchor int           // every so many parts of a segment are INDEPENDENT

	init []byte
	part [][]byte
}

// llVideo and llAudio are tracks of the tests' programmes, small enough for any machine.
func llVideo(name string, width int, lag time.Duration) *llTrack {
	gop := fmt.Sprint(llAnchor * llPartFrames)
	return &llTrack{name: name, lag: lag, anchor: llAnchor, source: []string{
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc=s=%dx%d:r=%d", width, width*9/16, llVideoFPS),
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p",
		"-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-b:v", fmt.Sprintf("%dk", width)}}
}

func llAudio(name string, kbits int, lag time.Duration) *llTrack {
	return &llTrack{name: name, lag: lag, anchor: 1, source: []string{
		"-f", "lavfi", "-i", "sine=f=440:r=48000", "-c:a", "aac", "-b:a", fmt.Sprintf("%dk", kbits)}}
}

// encode has ffmpeg make that many seconds of every track of the shows, in a moment.
func encode(t testing.TB, seconds int, shows ...*llShow) {
	t.Helper()
	ffmpeg := program(t, "ffmpeg")
	var all sync.WaitGroup
	for _, s := range shows {
		for _, k := range s.tracks {
			all.Go(func() {
				if err := k.encode(ffmpeg, seconds); err != nil {
					t.Errorf("ffmpeg makes %s of %s: %v", k.name, s.name, err)
				}
			})
		}
	}
	if all.Wait(); t.Failed() {
		t.FailNow()
	}
}

func (k *llTrack) encode(ffmpeg string, seconds int) error {
	args := append([]string{"-nostdin", "-v", "error"}, k.source...)
	args = append(args, "-t", fmt.Sprint(seconds), "-f", "mp4", "-movflags", "empty_moov+default_base_moof",
		"-frag_duration", fmt.Sprint(llPart.Microseconds()), "-")
	file, err := exec.Command(ffmpeg, args...).Output()
	if err == nil {
		err = k.cut(file)
	}
	if want := int(time.Duration(seconds)*time.Second/llPart) - 1; err == nil && len(k.part) < want {
		err = fmt.Errorf("%w: %d parts of %d seconds, want %d", errCut, len(k.part), seconds, want)
	}
	return err
}

var errCut = errors.New("ffmpeg has not cut where it was told to")

// cut takes a fragmented file apart: what stands before the first fragment, and the fragments. The last one may be short, and is left out.
func (k *llTrack) cut(file []byte) error {
	var scale uint32
	headed := false // a fragment's head has come, and its media not yet
	for len(file) >= 8 {
		size := int(binary.BigEndian.Uint32(file))
		if size < 8 || size > len(file) {
			return fmt.Errorf("%w: a box of %d bytes", errCut, size)
		}
		box := file[:size]
		switch file = file[size:]; string(box[4:8]) {
		case "ftyp", "moov":
			k.init = append(k.init, box...)
			if mdhd := inside(box, "trak", "mdia", "mdhd"); len(mdhd) >= 16 {
				scale = binary.BigEndian.Uint32(mdhd[12:])
			}
		case "moof":
			want := uint64(len(k.part)) * uint64(llPart.Milliseconds()) * uint64(scale) / 1000
			if tfdt := inside(box, "traf", "tfdt"); len(tfdt) < 12 || binary.BigEndian.Uint64(tfdt[4:]) != want {
				return fmt.Errorf("%w: fragment %d begins at % x of %d Hz", errCut, len(k.part), tfdt, scale)
			}
			k.part = append(k.part, box)
			headed = true
		case "mdat":
			if !headed {
				return fmt.Errorf("%w: media without a head", errCut)
			}
			headed = false
			last := len(k.part) - 1
			k.part[last] = append(k.part[last][:len(k.part[last]):len(k.part[last])], box...)
		}
	}
	if len(k.part) == 0 || len(k.init) == 0 {
		return errCut
	}
	k.part = k.part[:len(k.part)-1]
	return nil
}

// inside finds the content of the first box at a path below box.
func inside(box []byte, path ...string) []byte {
	box = box[8:]
	for len(box) >= 8 {
		size := int(binary.BigEndian.Uint32(box))
		if size < 8 || size > len(box) {
			return nil
		}
		if string(box[4:8]) == path[0] {
			if len(path) == 1 {
				return box[8:size]
			}
			return inside(box[:size], path[1:]...)
		}
		box = box[size:]
	}
	return nil
}

// segment is the whole of one, by its number from 0.
func (k *llTrack) segment(n int) (all []byte) {
	for _, p := range k.part[n*llParts : (n+1)*llParts] {
		all = append(all, p...)
	}
	return all
}

// offset is where a part lies in its segment.
func (k *llTrack) offset(part int) (offset int) {
	for n := part / llParts * llParts; n < part; n++ {
		offset += len(k.part[n])
	}
	return offset
}
