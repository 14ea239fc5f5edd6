//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// visitor is a listener on a connection of his own: his session, and what he may ask for, by the URIs that he was given.
type visitor struct {
	server *server
	id     string
	conn   net.Conn
	fd     int // of a plain connection, once it is the load's; −1 before

	paths [kinds][]string
	turn  [kinds]int   // which of the paths is next
	sizes [kinds]int64 // of the answers without compression; 0: not seen yet

	reply   reply
	request []byte
	asked   string // the path of the latest request
	kind    kind
	sent    time.Time
}

// patience is how long anything may take while it is not measured.
const patience = 20 * time.Second

// dial opens a visitor's connection. roots is nil for a plain one.
func dial(s *server, id string, secure *tls.Config) (*visitor, error) {
	raw, err := net.DialTimeout("tcp", s.address(secure != nil), patience)
	if err != nil {
		return nil, err
	}
	v := &visitor{server: s, id: id, conn: raw, fd: -1}
	if secure != nil {
		conn := tls.Client(raw, secure)
		conn.SetDeadline(time.Now().Add(patience))
		if err := conn.Handshake(); err != nil {
			raw.Close()
			return nil, fmt.Errorf("%s: TLS: %w", s.name, err)
		}
		v.conn = conn
	}
	return v, nil
}

// arrive does what a player does first: it takes the master, then playlists that it names, and so learns the URIs of its own.
func (v *visitor) arrive() error {
	v.paths[master] = []string{v.server.master(v.id)}
	text, err := v.get(master, false)
	if err != nil {
		return err
	}
	names, err := references(v.paths[master][0], text)
	if err != nil || len(names) != variants {
		return fmt.Errorf("%s: a master of %d variants: %w", v.server.name, len(names), err)
	}
	v.paths[media], v.paths[longMedia] = names[shortVariant:shortVariant+1], names[longVariant:longVariant+1]
	if text, err = v.get(media, false); err != nil {
		return err
	}
	if v.paths[segment64K], err = references(names[shortVariant], text); err != nil {
		return err
	}
	// The playlist of the large segments is asked for as the other one is.
	v.paths[media] = names[wideVariant : wideVariant+1]
	if text, err = v.get(media, false); err != nil {
		return err
	}
	v.paths[segment1M], err = references(names[wideVariant], text)
	v.paths[media] = names[shortVariant : shortVariant+1]
	v.sizes[media] = 0
	return err
}

// warm has everything that is to be measured fetched, with and without compression.
func (v *visitor) warm() error {
	for k := range kinds {
		for range v.paths[k] {
			for _, packed := range []bool{false, k <= longMedia} {
				if _, err := v.get(k, packed); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// references are the URIs of a playlist, resolved.
func references(base string, text []byte) (all []string, err error) {
	b, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			u, err := b.Parse(line)
			if err != nil {
				return nil, err
			}
			all = append(all, u.String())
		}
	}
	return all, nil
}

// ask makes the next request of a kind, and makes ready for its answer. The body is kept if it is to be looked at.
func (v *visitor) ask(k kind, packed, keep bool) []byte {
	paths := v.paths[k]
	v.asked, v.kind = paths[v.turn[k]%len(paths)], k
	v.turn[k]++
	v.request = append(append(append(v.request[:0], "GET "...), v.asked...), " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"...)
	if packed {
		v.request = append(v.request, "Accept-Encoding: gzip\r\n"...)
	}
	v.request = append(v.request, "\r\n"...)
	v.reply.begin(keep)
	return v.request
}

// get asks for something, waits for it and checks it. It returns the body as it came.
func (v *visitor) get(k kind, packed bool) ([]byte, error) {
	v.conn.SetDeadline(time.Now().Add(patience))
	if _, err := v.conn.Write(v.ask(k, packed, true)); err != nil {
		return nil, err
	}
	if err := v.receive(make([]byte, 64<<10)); err != nil {
		return nil, err
	}
	return v.reply.body, v.check()
}

// receive reads one answer.
func (v *visitor) receive(buf []byte) error {
	for !v.reply.done() {
		n, err := v.conn.Read(buf)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", v.server.name, v.asked, err)
		}
		if err := v.reply.feed(buf[:n]); err != nil {
			return fmt.Errorf("%s: %s: %w", v.server.name, v.asked, err)
		}
	}
	return nil
}

// check judges an answer: its status and length always, its body if it was kept.
func (v *visitor) check() error {
	name, _, _ := strings.Cut(v.asked, "?")
	want := content()[name]
	r := &v.reply
	if r.status != http.StatusOK {
		return fmt.Errorf("%s: %s: status %d", v.server.name, v.asked, r.status)
	}
	if !r.gzip {
		if v.kind >= segment64K {
			v.sizes[v.kind] = int64(len(want))
		} else if v.sizes[v.kind] == 0 {
			v.sizes[v.kind] = r.size
		}
		if r.size != v.sizes[v.kind] {
			return fmt.Errorf("%s: %s: %d bytes instead of %d", v.server.name, v.asked, r.size, v.sizes[v.kind])
		}
	}
	if !r.keep {
		return nil
	}
	return v.compare(r.body, want)
}

// compare holds a body against the origin's.
func (v *visitor) compare(body, want []byte) (err error) {
	if v.reply.gzip {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	name, _, _ := strings.Cut(v.asked, "?")
	if path.Ext(name) == ".m3u8" {
		if body, err = v.server.impersonal(body, v.id); err != nil {
			return err
		}
	}
	if !bytes.Equal(body, want) {
		return fmt.Errorf("%s: %s: the body is not the origin's", v.server.name, v.asked)
	}
	return nil
}
