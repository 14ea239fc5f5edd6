//go:build !linux

package proxy

import (
	"syscall"
	"time"
)

// limitUntaken is for Linux.
func limitUntaken(syscall.RawConn, time.Duration) {}

// lowerUnsent is for Linux.
func (c *conn) lowerUnsent() {}
