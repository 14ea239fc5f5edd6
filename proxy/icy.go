package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"earshot/relay"
	"earshot/session"
)

// metaInt is how many audio bytes lie between two metadata blocks; Icecast's figure.
const metaInt = 16000

// longAgo is Icecast's own way to say that an answer is not to be kept, for what is too old to know better.
const longAgo = "Mon, 26 Jul 1997 05:00:00 GMT"

// serveICY hands a listener's connection to the relay. The answer is HTTP/1.x of the listener's own version, without a length and
// without chunks, and ends with the connection; ranges are answered with 200 (facts: iOS drops its titles on 206). Over HTTP/2 it is
// an ordinary answer without an end.
func (p *Proxy) serveICY(w *answer, r *http.Request, m *mount) error {
	a := admission{who: p.identify(r, m)}
	a.proof = p.proof(r, m, &a)
	if a.who.key.ID == "" {
		a.who.key.ID = session.NewID()
	}
	if err := p.pass(r, m, &a, session.ICY, 0, true); err != nil {
		p.abandon(&a)
		return err
	}
	if r.Method == http.MethodHead {
		p.abandon(&a)
		p.headICY(w, r, m)
		return nil
	}
	v, err := p.enter(r, m, &a)
	if err != nil {
		p.abandon(&a)
		return err
	}
	join := p.join
	if r.ProtoMajor >= 2 {
		join = p.joinStream
	}
	if err := join(w, r, v); err != nil {
		v.turnedAway(p)
		return err
	}
	return nil
}

// headICY answers a HEAD with what is known of the stream. It begins no session, and no source is connected for it.
func (p *Proxy) headICY(w *answer, r *http.Request, m *mount) {
	info := relay.Info{ContentType: guessType(m.prefix)}
	if hub, ok := p.opt.Relay.Find(m.group); ok {
		if known, ok := hub.Peek(); ok {
			info = known
		}
	}
	for _, f := range icyFields(&visitor{info: info}, r) {
		w.Header()[f.Name] = []string{f.Value}
	}
	w.WriteHeader(http.StatusOK)
}

func (p *Proxy) join(w *answer, r *http.Request, v *visitor) error {
	nc, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return fmt.Errorf("take over the connection of an ICY listener: %w", err)
	}
	nc.SetDeadline(time.Time{})
	j := p.asksToJoin(r, v)
	j.Conn, j.Pending = nc, p.icyHead(r, v)
	visit, leaves := w.visit, v.leaving(p)
	j.OnLeave = func(l relay.Left) {
		leaves()
		visit.over(http.StatusOK, l.Bytes, l.For)
	}
	if c, ok := nc.(*conn); ok {
		j.Conn = c.TCPConn // the relay does with the socket what only a TCPConn can: it gathers writes, and discards what is unsent
		j.OnLeave = func(l relay.Left) {
			leaves()
			_ = c.Close() // settles the bodies that went before; the socket is closed already
			visit.over(http.StatusOK, l.Bytes, l.For)
		}
	}
	if err := v.hub.Join(j); err != nil {
		return p.turnAway(w, r, nc, noEntry(v.mount, err))
	}
	v.joined(p)
	w.status, w.handed = http.StatusOK, true
	return nil
}

// relayMount is the relay's view of the mount.
func (m *mount) relayMount() relay.Mount {
	out := m.stream.Mount
	out.Key, out.Path, out.Origins, out.Follow, out.Transient = m.group, m.prefix, m.bases, m.stream.Follow, m.stream.Match != nil
	return out
}

// wantsMetadata reads Icy-MetaData as Icecast does: a number that is not zero. No block stands in what carries its titles itself.
func wantsMetadata(r *http.Request, info relay.Info) bool {
	if !info.Metadata() {
		return false
	}
	text := strings.TrimSpace(r.Header.Get("Icy-MetaData"))
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(text[:i])
	return err == nil && n != 0
}

// icyFields are the header fields that describe the stream, in the case in which they go over the wire.
func icyFields(v *visitor, r *http.Request) []relay.HeaderField {
	fields := []relay.HeaderField{
		{Name: "Content-Type", Value: v.info.ContentType},
		{Name: "Cache-Control", Value: "no-cache, no-store"},
		{Name: "Expires", Value: longAgo},
		{Name: "Pragma", Value: "no-cache"},
	}
	fields = append(fields, v.info.Header...)
	if v.offset != "" {
		fields = append(fields, relay.HeaderField{Name: offsetHeader, Value: v.offset})
	}
	if wantsMetadata(r, v.info) {
		fields = append(fields, relay.HeaderField{Name: "icy-metaint", Value: strconv.Itoa(metaInt)})
	}
	return fields
}

// icyHead is the head of the answer as it goes over the wire.
func (p *Proxy) icyHead(r *http.Request, v *visitor) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.%d 200 OK\r\n", min(r.ProtoMinor, 1))
	line := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	line("Server", p.opt.Server)
	line("Date", time.Now().UTC().Format(http.TimeFormat))
	line("Connection", "close")
	for _, f := range icyFields(v, r) {
		line(f.Name, f.Value)
	}
	line("Access-Control-Allow-Origin", "*")
	line("Access-Control-Expose-Headers", corsExpose)
	line("Timing-Allow-Origin", "*")
	b.WriteString("\r\n")
	return b.Bytes()
}

// guessType is the type of a mount that has not been heard yet, by its name.
func guessType(path string) string {
	switch {
	case strings.HasSuffix(path, ".aac"), strings.HasSuffix(path, ".aacp"):
		return "audio/aac"
	case strings.HasSuffix(path, ".ogg"), strings.HasSuffix(path, ".opus"), strings.HasSuffix(path, ".oga"):
		return "application/ogg"
	case strings.HasSuffix(path, ".flac"):
		return "audio/flac"
	}
	return "audio/mpeg"
}
