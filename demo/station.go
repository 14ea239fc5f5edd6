package demo

import (
	"fmt"
	"time"
)

// The form of the MP3 clip: MPEG-1 layer III, 128 kbit/s and 48 kHz, so every frame is 384 bytes and 24 ms, there is no
// padding, and without the bit reservoir a listener may begin with any of them.
const (
	frameBytes    = 384
	frameDuration = 1152 * time.Second / sampleRate
	mp3Bitrate    = 128 // kbit/s

	titleFrames = 660 // half the clip, 15.84 s: the music changes with the title
)

// station is the programme of the ICY mount: the clip again and again, under a title for each half.
type station struct {
	clip   []byte
	frames uint64 // in the clip
	titles []string
}

func newStation() station {
	s := station{
		clip: clip("radio.mp3"),
		// What titles are like in the wild: an apostrophe is not escaped, and not every letter is ASCII.
		titles: []string{
			"Earshot demo — Prelude in F",
			"Earshot demo — The Listener's Minor",
			"Earshot demo — Étude für späte Hörer",
			"Earshot demo — Bells at the Edge",
			"Earshot demo — 夜のラジオ",
			"Earshot demo — Coda, and Round Again",
		},
	}
	s.frames = uint64(len(s.clip) / frameBytes)
	for i := 0; i < len(s.clip); i += frameBytes {
		// Sync, MPEG-1 layer III without CRC; 128 kbit/s, 48 kHz, no padding (ISO/IEC 11172-3, 2.4.1.3).
		if b := s.clip[i:]; len(b) < frameBytes || b[0] != 0xFF || b[1] != 0xFB || b[2]&0xFE != 0x94 {
			panic(fmt.Sprintf("demo: clip radio.mp3: no frame of %d kbit/s at byte %d", mp3Bitrate, i))
		}
	}
	return s
}

// frame returns frame n of the endless programme.
func (s *station) frame(n uint64) []byte {
	i := n % s.frames * frameBytes
	return s.clip[i : i+frameBytes]
}

// title returns what frame n is announced as.
func (s *station) title(n uint64) string {
	return s.titles[n/titleFrames%uint64(len(s.titles))]
}
