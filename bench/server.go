//go:build linux

package main

import (
	"bytes"
	"fmt"
	"strings"
)

// server is one of the two under test.
type server struct {
	name  string
	proc  *process
	plain string // address
	tls   string // the same over TLS; empty: it has none
	admin string // of Earshot's operators
	door  *door  // of Earshot

	param string // that carries a session's id
	grant string // what else its personalised URIs hold
}

// address is where the server listens for a kind of transport.
func (s *server) address(tls bool) string {
	if tls {
		return s.tls
	}
	return s.plain
}

// master is the first thing that the listener with that id asks for.
func (s *server) master(id string) string {
	uri := masterPath + "?" + s.param + "=" + id
	if token := s.door.shows(id); token != "" {
		uri += "&" + token
	}
	return uri
}

// impersonal is a personalised playlist as the origin has it. It fails if a URI does not carry the session.
func (s *server) impersonal(text []byte, id string) ([]byte, error) {
	mark := []byte("?" + s.param + "=" + id)
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		if line[0] == '#' || line[0] == '\n' {
			out = append(out, line...)
			continue
		}
		uri, rest, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), mark)
		if !ok || !strings.Contains(string(rest), s.grant) {
			return nil, fmt.Errorf("%s leaves a URI without the session %s: %.200s", s.name, id, line)
		}
		out = append(append(out, uri...), '\n')
	}
	return out, nil
}
