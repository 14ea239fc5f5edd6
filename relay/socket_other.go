//go:build !linux

package relay

import "syscall"

// socket asks the kernel about a listener's connection, where that is known how.
type socket struct{}

func newSocket(syscall.RawConn) *socket { return nil }

func (s *socket) unsent() int64 { return 0 }

func (s *socket) unacked() (n int64, ok bool) { return 0, true }
