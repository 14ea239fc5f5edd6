//go:build !linux

package listen

import "syscall"

// Socket asks the kernel about a connection. Only Linux tells.
type Socket struct{}

// NewSocket looks at a TCP connection.
func NewSocket(syscall.RawConn) *Socket { return &Socket{} }

// Unsent is unknown here; what was written counts as sent.
func (s *Socket) Unsent() int64 { return 0 }

// Unacked is unknown here.
func (s *Socket) Unacked() (n int64, ok bool) { return 0, false }

// PeerThere is unknown here.
func (s *Socket) PeerThere() bool { return false }
