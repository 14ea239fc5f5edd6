//go:build !linux

package proxy

import (
	"net"
	"time"
)

// limitUntaken is for Linux.
func limitUntaken(*net.TCPConn, time.Duration) {}
