//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// framing follows a listener's body byte by byte: metadata stands where it must, and what lies between is the programme, no frame missing
// or twice. It is fed whatever comes in whatever pieces.
type framing struct {
	metaInt int
	left    int    // audio bytes until the next block
	meta    []byte // of the block that is being read; its length byte first
	inMeta  bool

	audio  []byte // not compared yet
	want   []byte // what comes next of it, once the listener is in step with the programme
	next   int64  // the frame after that
	inStep bool

	frames, blocks, titles int
}

func newFraming(metaInt int) *framing { return &framing{metaInt: metaInt, left: metaInt} }

// feed takes in the next bytes of the body.
func (f *framing) feed(p []byte) error {
	for len(p) > 0 {
		if f.metaInt > 0 && f.left == 0 && !f.inMeta {
			f.inMeta, f.meta = true, f.meta[:0]
		}
		if f.inMeta {
			n, err := f.feedMeta(p)
			if err != nil {
				return err
			}
			p = p[n:]
			continue
		}
		n := len(p)
		if f.metaInt > 0 {
			n = min(n, f.left)
			f.left -= n
		}
		if err := f.feedAudio(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// feedMeta takes what belongs to the block, and looks at it when it is whole.
func (f *framing) feedMeta(p []byte) (n int, err error) {
	size := 1 + 16*int(p[0])
	if len(f.meta) > 0 {
		size = 1 + 16*int(f.meta[0])
	}
	n = min(size-len(f.meta), len(p))
	f.meta = append(f.meta, p[:n]...)
	if len(f.meta) < size {
		return n, nil
	}
	f.inMeta, f.left = false, f.metaInt
	f.blocks++
	return n, f.checkMeta(f.meta[1:])
}

// checkMeta judges a block by what the station says.
func (f *framing) checkMeta(block []byte) error {
	if len(block) == 0 {
		return nil
	}
	f.titles++
	text := strings.TrimRight(string(block), "\x00")
	if !strings.HasPrefix(text, "StreamTitle='"+stationTitle) || !strings.HasSuffix(text, "';") || len(block)-len(text) >= 16 {
		return fmt.Errorf("after %d frames: a metadata block says %.100q", f.frames, block)
	}
	return nil
}

func (f *framing) feedAudio(p []byte) error {
	if !f.inStep {
		f.audio = append(f.audio, p...)
		at, n := findFrame(f.audio)
		if at < 0 {
			if len(f.audio) > 3*longFrame {
				return fmt.Errorf("no whole frame in the first %d bytes", len(f.audio))
			}
			return nil
		}
		p, f.audio = f.audio[at:], nil
		f.inStep, f.next = true, n
	}
	for len(p) > 0 {
		if len(f.want) == 0 {
			f.want = appendFrame(f.want[:0], f.next)
			f.next++
			f.frames++
		}
		n := min(len(p), len(f.want))
		if !bytes.Equal(p[:n], f.want[:n]) {
			return fmt.Errorf("frame %d, the %d. of this listener, is not the programme's", f.next-1, f.frames)
		}
		p, f.want = p[n:], f.want[n:]
	}
	return nil
}
