package proxy

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"earshot/gate"
	"earshot/relay"
	"earshot/session"
)

// metaInt is how many audio bytes lie between two metadata blocks; Icecast's figure.
const metaInt = 16000

// serveICY hands a listener's connection to the relay. The answer is HTTP/1.x of the listener's own version, without a length and
// without chunks, and ends with the connection; ranges are answered with 200 (facts: iOS drops its titles on 206). Over HTTP/2 it is
// an ordinary answer without an end.
func (p *Proxy) serveICY(w *answer, r *http.Request, m *mount) error {
	if r.Method == http.MethodHead {
		info := relay.Info{ContentType: guessType(m.prefix)}
		if hub, ok := p.opt.Relay.Find(m.group); ok {
			if known, ok := hub.Peek(); ok {
				info = known
			}
		}
		for _, f := range icyFields(info, r) {
			w.Header()[f.Name] = []string{f.Value}
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
	who := p.identify(r, m.group)
	if who.key.ID == "" {
		who.key.ID = session.NewID()
	}
	if !p.opt.Gate.Known(who.key) {
		if v := p.opt.Gate.Knock(p.opt.Trusted.address(r)); v.Action != gate.Allow {
			return refusal(v)
		}
	}
	hub := p.opt.Relay.Hub(m.relayMount())
	info, err := hub.Open(r.Context())
	if err != nil {
		p.opt.Relay.Forget(hub)
		return fetchFailed(m.group, err)
	}
	s, fresh, err := p.admit(r, admission{who: who}, session.ICY)
	if err != nil {
		return err
	}
	if fresh && s.Start() {
		p.begin(s, false)
	}
	if r.ProtoMajor >= 2 {
		return p.joinStream(w, r, m, hub, info, s)
	}
	return p.join(w, r, m, hub, info, s)
}

func (p *Proxy) join(w *answer, r *http.Request, m *mount, hub *relay.Hub, info relay.Info, s *session.Session) error {
	nc, _, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return fmt.Errorf("take over the connection of an ICY listener: %w", err)
	}
	w.status = http.StatusOK
	nc.SetDeadline(time.Time{})
	j := relay.Join{Conn: nc, Pending: p.icyHead(r, info), Account: p.opt.Book.Account(p.who(s)), Stream: m.group}
	if c, ok := nc.(*conn); ok {
		j.Conn = c.TCPConn                                // the relay does with the socket what only a TCPConn can: it gathers writes, and discards what is unsent
		j.OnLeave = func(relay.Left) { _ = c.Close() } // settles the bodies that went before; the socket is closed already
	}
	if wantsMetadata(r) {
		j.MetaInt = metaInt
	}
	if err := hub.Join(j); err != nil {
		nc.Close()
		p.opt.Log.Debug("a listener was not let in", "stream", m.group, "err", err)
	}
	return nil
}

// relayMount is the relay's view of the mount.
func (m *mount) relayMount() relay.Mount {
	out := m.stream.Mount
	out.Key, out.Origins, out.Transient = m.group, m.bases, m.stream.Match != nil
	return out
}

// wantsMetadata reads Icy-MetaData as Icecast does: a number that is not zero.
func wantsMetadata(r *http.Request) bool {
	text := strings.TrimSpace(r.Header.Get("Icy-MetaData"))
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	n, err := strconv.Atoi(text[:i])
	return err == nil && n != 0
}

// icyFields are the header fields that describe the stream, in the case in which they go over the wire.
func icyFields(info relay.Info, r *http.Request) []relay.HeaderField {
	fields := []relay.HeaderField{
		{Name: "Content-Type", Value: info.ContentType},
		{Name: "Cache-Control", Value: "no-cache, no-store"},
		{Name: "Expires", Value: "Mon, 26 Jul 1997 05:00:00 GMT"},
		{Name: "Pragma", Value: "no-cache"},
	}
	fields = append(fields, info.Header...)
	if wantsMetadata(r) {
		fields = append(fields, relay.HeaderField{Name: "icy-metaint", Value: strconv.Itoa(metaInt)})
	}
	return fields
}

// icyHead is the head of the answer as it goes over the wire.
func (p *Proxy) icyHead(r *http.Request, info relay.Info) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.%d 200 OK\r\n", min(r.ProtoMinor, 1))
	line := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	line("Server", p.opt.Server)
	line("Date", time.Now().UTC().Format(http.TimeFormat))
	line("Connection", "close")
	for _, f := range icyFields(info, r) {
		line(f.Name, f.Value)
	}
	line("Access-Control-Allow-Origin", "*")
	line("Access-Control-Expose-Headers", corsExpose)
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
