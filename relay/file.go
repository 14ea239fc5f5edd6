package relay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	maxFile   = 512 << 20
	maxTags   = 16        // ID3 tags that are skipped at the beginning
	fileProbe = 256 << 10 // bytes in which the first and the last frame must be
)

// audioFile is a file that is read over and over as one stream: whole frames or Ogg pages, and nothing else. ID3 tags
// are left out, so that the end of a round joins the beginning of the next.
type audioFile struct {
	*os.File
	from, to int64 // the audio
	ogg      bool

	at    int64  // from `from`, in this round
	round uint32 // whole ones so far
	page  []byte // of Ogg, what is left of the present page
}

// openSource opens a file as a source.
func openSource(path string) (*source, *UpstreamError) {
	f, err := openRegular(path)
	if err != nil {
		return nil, failed(BadFile, err)
	}
	s := &source{file: &audioFile{File: f}}
	if err := s.inspect(); err != nil {
		f.Close()
		return nil, failed(BadFile, fmt.Errorf("%s: %w", path, err))
	}
	return s, nil
}

// openRegular looks at what it is first: opening a pipe would wait for a writer.
func openRegular(path string) (*os.File, error) {
	regular := func(i fs.FileInfo) error {
		if !i.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file", path)
		}
		return nil
	}
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(i); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if i, err = f.Stat(); err == nil {
		err = regular(i)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// inspect finds out what the file is and where its audio begins and ends.
func (s *source) inspect() error {
	f := s.file
	i, err := f.Stat()
	if err != nil {
		return err
	}
	if i.Size() > maxFile {
		return fmt.Errorf("has %d bytes, more than %d", i.Size(), maxFile)
	}
	f.to = i.Size()
	begin := make([]byte, 4)
	if _, err := f.ReadAt(begin, 0); err != nil && err != io.EOF {
		return err
	}
	if string(begin) == oggMark {
		f.ogg = true
		s.info.ContentType = "application/ogg"
		s.bits, f.to, err = measureOgg(f.File, f.to)
		return err
	}
	codec, err := f.trim()
	s.info.ContentType = "audio/mpeg"
	if codec == "aac" {
		s.info.ContentType = "audio/aac"
	}
	return err
}

// trim sets from and to to the first and the last whole frame.
func (f *audioFile) trim() (codec string, err error) {
	if err := f.skipTags(); err != nil {
		return "", err
	}
	first, _, err := f.frames(f.from, min(f.from+fileProbe, f.to))
	if err != nil {
		return "", err
	}
	_, last, err := f.frames(max(first.at, f.to-fileProbe), f.to)
	if err != nil {
		return "", err
	}
	if first.kind != last.kind {
		return "", errors.New("changes its format")
	}
	f.from, f.to = first.at, last.at+int64(last.bytes)
	return first.codec(), nil
}

func (f *audioFile) skipTags() error {
	b := make([]byte, id3v2Header)
	for range maxTags {
		if _, err := f.ReadAt(b, f.from); err != nil && err != io.EOF {
			return err
		}
		n, _ := tagBytes(b)
		if n == 0 {
			return nil
		}
		f.from += int64(n)
	}
	return nil
}

// placedFrame is a frame at an offset of a file.
type placedFrame struct {
	frame
	at int64
}

// frames finds the first and the last frame between two places.
func (f *audioFile) frames(from, to int64) (first, last placedFrame, err error) {
	b := make([]byte, max(0, to-from))
	n, err := f.ReadAt(b, from)
	if err != nil && err != io.EOF {
		return first, last, err
	}
	var framer framer
	for at := 0; ; {
		p, ok := framer.next(b[at:n])
		if !ok {
			break
		}
		if p.whole {
			last = placedFrame{framer.lock, from + int64(at)}
			if first.bytes == 0 {
				first = last
			}
		}
		at += p.bytes
	}
	if first.bytes == 0 {
		return first, last, errors.New("has no frames of MPEG audio or ADTS and is no Ogg: its time is not known")
	}
	return first, last, nil
}

// Read reads on, from the beginning again after the end. One call does not cross the end.
func (f *audioFile) Read(b []byte) (int, error) {
	if f.ogg {
		return f.readOgg(b)
	}
	n, err := f.ReadAt(b[:min(int64(len(b)), f.to-f.from-f.at)], f.from+f.at)
	f.advance(int64(n))
	return n, unlessRead(n, err)
}

func (f *audioFile) advance(n int64) {
	if f.at += n; f.at >= f.to-f.from {
		f.at = 0
		f.round++
	}
}

// unlessRead is an error that nothing was read, and no end: the file has become shorter.
func unlessRead(n int, err error) error {
	switch {
	case n > 0:
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}
