package e2e

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// icyReader takes an ICY body apart: metaint bytes of audio, a length byte, 16 times that of metadata, and so on.
type icyReader struct {
	body    *bufio.Reader
	metaint int
	audio   io.Writer // where the audio goes
}

// block reads on to the next metadata block and returns it without its padding; empty means that nothing changed.
func (r *icyReader) block() (string, error) {
	if _, err := io.CopyN(r.audio, r.body, int64(r.metaint)); err != nil {
		return "", err
	}
	length, err := r.body.ReadByte()
	if err != nil {
		return "", err
	}
	block := make([]byte, 16*int(length))
	if _, err := io.ReadFull(r.body, block); err != nil {
		return "", err
	}
	return strings.TrimRight(string(block), "\x00"), nil
}

// title reads on to the next title that is not empty, within at most limit blocks.
func (r *icyReader) title(limit int) (string, error) {
	for range limit {
		block, err := r.block()
		if err != nil {
			return "", err
		}
		if block == "" {
			continue
		}
		// An apostrophe in a title is not escaped: only `';` ends it.
		title, found := strings.CutPrefix(block, "StreamTitle='")
		if !found {
			return "", fmt.Errorf("metadata without a title: %q", block)
		}
		title, _, found = strings.Cut(title, "';")
		if !found {
			return "", fmt.Errorf("a title without an end: %q", block)
		}
		if title != "" {
			return title, nil
		}
	}
	return "", fmt.Errorf("no title in %d blocks", limit)
}
