package relay

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxIntro bounds an intro, which is held in memory, in bytes.
const maxIntro = 16 << 20

// intro is a file that listeners hear before the stream. It is read when the first one does.
type intro struct {
	hub  *Hub
	path string // "": there is none

	once  sync.Once
	start *chunk // a cursor at its end is at the beginning of the intro; nil: there is none
	codec string
	other sync.Once // it has been logged that it does not fit
}

// first is where a listener begins who is to hear it; nil if he is not.
func (i *intro) first() *chunk {
	if i.path == "" {
		return nil
	}
	i.once.Do(i.read)
	if i.start == nil {
		return nil
	}
	if format, fits := i.fits(); !fits {
		i.other.Do(func() {
			i.hub.relay.opt.Log.Warn("the intro is not played: it is of another format than the stream", "stream", i.hub.mount.Key,
				"intro", i.codec, "format", format)
		})
		return nil
	}
	return i.start
}

// fits tells whether the stream is of the intro's format: by its frames, or by its type for who joins before there are any.
func (i *intro) fits() (format string, fits bool) {
	if codec := i.hub.codec.Load(); codec != nil {
		return *codec, *codec == i.codec
	}
	own := ogg
	switch i.codec {
	case "mp3", "mpeg":
		own = mpeg
	case "aac":
		own = aac
	}
	info, _ := i.hub.Peek()
	f := familyOf(info.ContentType)
	return info.ContentType, f == own || f != mpeg && f != aac && f != ogg
}

func (i *intro) read() {
	b, err := readIntro(i.path)
	if err == nil {
		err = i.cut(b)
	}
	if err != nil {
		i.hub.relay.opt.Log.Warn("the intro is not played", "stream", i.hub.mount.Key, "err", err)
	}
}

func readIntro(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxIntro {
		return nil, fmt.Errorf("%s is not a file of up to %d MiB", path, maxIntro>>20)
	}
	return io.ReadAll(io.LimitReader(f, maxIntro))
}

// beforeAllTime is where on the media axis only intros lie, ns: it counts from 1970.
const beforeAllTime = int64(365 * 24 * time.Hour)

// cut makes chunks of it. On the media axis they lie before all time, so that they are worth once what they last, however often a session
// hears them.
func (i *intro) cut(b []byte) error {
	start := new(chunk)
	last := start
	asm := newAssembler(0, mpeg, 0, time.Now(), nil, func(c *chunk) {
		last.next.Store(c)
		last = c
	})
	asm.audio(b, time.Now())
	asm.flush()
	if i.codec = asm.codec; i.codec == "" {
		return fmt.Errorf("%s holds no frames of a format known here", i.path)
	}
	i.start = start
	return nil
}
