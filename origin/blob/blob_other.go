//go:build !linux

package blob

import (
	"errors"
	"os"
	"syscall"
)

// Only Linux has files in memory; elsewhere bodies are plain memory, and copied.
func inMemory() (*os.File, error) { return nil, errors.ErrUnsupported }

func punch(*os.File, int64) error { return errors.ErrUnsupported }

func maxFiles() int64 { return 64 }

// SendTo lets the kernel send the piece to a socket; only Linux does.
func (p *Piece) SendTo(syscall.RawConn) (sent int64, ok bool, err error) { return 0, false, nil }
