//go:build !linux

package main

import (
	"context"
	"errors"
	"flag"
	"io"
)

// edgeOptions are of the parts that run servers, which need Linux: its CPU clocks, and its way to keep a process on a core.
type edgeOptions struct{}

func defaultEdge() edgeOptions             { return edgeOptions{} }
func (*edgeOptions) flags(_ *flag.FlagSet) {}

var errLinux = errors.New("this part needs Linux")

func edgePart(context.Context, io.Writer, *edgeOptions) error   { return errLinux }
func memoryPart(context.Context, io.Writer, *edgeOptions) error { return errLinux }
func relayPart(context.Context, io.Writer, *edgeOptions) error  { return errLinux }
func stormPart(context.Context, io.Writer, *edgeOptions) error  { return errLinux }

const stationCommand = "serve-station"

func serveStation(string, io.Writer, io.Reader) error { return errLinux }
