//go:build !linux

package relay

import "errors"

const pollable = false

// poll is not there: all listeners take the ordinary road.
type poll struct{}

func newPoll() *poll { return nil }

func (*poll) close()                            {}
func (*poll) add(*listener)                     {}
func (*poll) remove(*listener)                  {}
func (*poll) each(func(l *listener, left bool)) {}

type out struct{}

func (*out) write(*socket, [][]byte) (int, error) { return 0, errors.ErrUnsupported }
