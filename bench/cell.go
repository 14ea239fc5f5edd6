//go:build linux

package main

import "fmt"

// kind is what a request is for.
type kind uint8

const (
	master    kind = iota
	media          // of ten segments
	longMedia      // of six hundred
	segment64K
	segment1M
	kinds
)

var kindNames = [kinds]string{"master", "media playlist, 10", "media playlist, 600", "segment 64 KiB", "segment 1 MiB"}

// cell is one line of the table.
type cell struct {
	kind  kind
	gzip  bool
	tls   bool
	conns int // kept alive
}

func (c cell) String() string {
	name := kindNames[c.kind]
	if c.gzip {
		name += ", gzip"
	}
	transport := "plain"
	if c.tls {
		transport = "TLS"
	}
	return fmt.Sprintf("%s, %s, %d", name, transport, c.conns)
}

// target is the ratio of DESIGN's first target; 0 where it has none.
func (c cell) target() float64 {
	switch {
	case c.tls:
		return 1
	case c.gzip, c.kind == longMedia:
		return 0
	}
	return map[kind]float64{master: 0.5, media: 0.35, segment64K: 1.6, segment1M: 1.1}[c.kind]
}

// cellsOf are the cells that one set of connections serves.
func cellsOf(tls bool, conns int) []cell {
	all := []cell{
		{kind: master}, {kind: media}, {kind: master, gzip: true}, {kind: media, gzip: true}, {kind: longMedia, gzip: true},
		{kind: segment64K}, {kind: segment1M},
	}
	for i := range all {
		all[i].tls, all[i].conns = tls, conns
	}
	return all
}
