package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grafana/regexp"

	"go.yaml.in/yaml/v4"
)

// shortestSeat is how short a lease may be that is renewed three times within its life, over a network.
const shortestSeat = 100 * time.Millisecond

// configKeys is the whole of the contract: every key with the place of its value.
func configKeys(c *Config) into {
	return object(
		field{"streams", some(&c.Streams, streamKeys)},
		field{"listen", oneOrMore(&c.Listen, listenerKeys)},
		field{"admin", adminKeys(&c.Admin)},
		field{"data", checked(&c.Data, notEmpty)},
		field{"edge", checked(&c.Edge, badEdge)},
		field{"secrets", list(&c.Secrets, secretKeys)},
		field{"trusted_proxies", list(&c.TrustedProxies, prefix)},
		field{"client_ip_header", checked(&c.ClientIPHeader, badHeader)},
		field{"max_sessions", number(&c.MaxSessions, 1)},
		field{"new_sessions_per_address", number(&c.NewSessionsPerAddress, 1)},
		field{"access_log", checked(&c.AccessLog, badLog)},
		field{"origins", list(&c.Origins, originKeys)},
		field{"listening", object(
			field{"slice", duration(&c.Listening.Slice, time.Millisecond)},
			field{"idle", duration(&c.Listening.Idle, time.Millisecond)},
			field{"minimum", duration(&c.Listening.Minimum, 0)},
		)},
		field{"cache", object(
			field{"memory", size(&c.Cache.Memory)},
			field{"disk", size(&c.Cache.Disk)},
		)},
		field{"privacy", object(
			field{"ip", oneOf(&c.Privacy.IP, "full", "truncate", "none")},
		)},
		field{"retention", object(
			field{"events", duration(&c.Retention.Events, 0)},
			field{"sessions", duration(&c.Retention.Sessions, 0)},
			field{"evidence", duration(&c.Retention.Evidence, 0)},
		)},
		field{"store", unquoted(&c.Store, badStore)},
		field{"live", unquoted(&c.Live, badLive)},
		field{"on_live_error", oneOf(&c.OnLiveError, "allow", "deny", "last")},
		field{"auth", authKeys(&c.Auth)},
		field{"limits", list(&c.Limits, limitKeys)},
		field{"on_limit", oneOf(&c.OnLimit, "reject", "end-oldest", "choose")},
		field{"seat_ttl", duration(&c.SeatTTL, shortestSeat)},
		field{"api_session_ttl", duration(&c.APISessionTTL, shortestSeat)},
		field{"geo", geoFile(&c.Geo)},
		field{"blackouts", list(&c.Blackouts, blackoutKeys)},
	)
}

// check looks at what no single key can tell.
func (d *decoder) check(c *Config, top value) {
	if top.node.Kind == yaml.MappingNode && !top.sets("streams") {
		top.problem("has no streams; write streams: and at least one stream")
	}
	if c.Listening.Slice > c.Listening.Idle {
		at := d.first("listening.slice", "listening.idle")
		at.problem("slice (%v) is longer than idle (%v); write a shorter slice or a longer idle", c.Listening.Slice, c.Listening.Idle)
	}
	for _, shared := range []struct{ key, url string }{{"store", c.Store}, {"live", c.Live}} {
		if shared.url != "" && len(c.Secrets) == 0 {
			d.written[shared.key].problem("needs secrets, so that every edge knows the others' grants; write secrets: [{id: a, key: …}]")
		}
	}
	d.checkSecrets(c.Secrets)
	d.checkAddresses(c)
	d.checkLimits(c.Limits)
	d.checkBlackouts(c)
}

// first is the first of some keys that the file sets.
func (d *decoder) first(keys ...string) value {
	for _, key := range keys {
		if v, ok := d.written[key]; ok {
			return v
		}
	}
	return value{}
}

func (d *decoder) checkSecrets(secrets []Secret) {
	seen := map[string]bool{}
	for i, s := range secrets {
		if s.ID != "" && seen[s.ID] {
			at := d.written[fmt.Sprintf("secrets[%d].id", i)]
			at.problem("%s is the id of another secret; give each its own", at.quote())
		}
		seen[s.ID] = true
	}
}

// checkAddresses refuses one address for two listeners. A port of 0 is another one each time.
func (d *decoder) checkAddresses(c *Config) {
	seen := map[string]bool{c.Admin.Addr: true}
	for _, l := range c.Listen {
		if seen[l.Addr] && l.Addr != "" && !strings.HasSuffix(l.Addr, ":0") {
			d.first("listen", "admin").problem("an address stands twice in listen and admin; write another port for one of them")
			return
		}
		seen[l.Addr] = true
	}
}

func listenerKeys(l *Listener) into {
	return func(v value) {
		if v.node.Kind == yaml.ScalarNode {
			checked(&l.Addr, badAddress)(v)
			return
		}
		object(
			field{"addr", checked(&l.Addr, badAddress)},
			field{"tls", func(v value) {
				l.TLS = &TLS{}
				object(field{"cert", file(&l.TLS.Cert)}, field{"key", file(&l.TLS.Key)})(v)
				v.needs("cert", "key")
				v.pair(l.TLS)
			}},
			field{"proxy_protocol", boolean(&l.ProxyProtocol)},
		)(v)
		v.needs("addr")
	}
}

func adminKeys(a *Admin) into {
	return func(v value) {
		if v.node.Kind == yaml.ScalarNode {
			checked(&a.Addr, badAddress)(v)
		} else {
			object(
				field{"addr", checked(&a.Addr, badAddress)},
				field{"token", unquoted(&a.Token, notEmpty)},
			)(v)
		}
		if !isLoopback(a.Addr) && !v.sets("token") {
			v.problem("can be reached from other hosts and has no token; write {addr: …, token: …}, or an address on 127.0.0.1")
		}
	}
}

func secretKeys(s *Secret) into {
	return func(v value) {
		object(
			field{"id", checked(&s.ID, badSecretID)},
			field{"key", unquoted(&s.Key, badSecretKey)},
		)(v)
		v.needs("id", "key")
	}
}

// needs reports keys that a mapping lacks.
func (v value) needs(names ...string) {
	if v.node.Kind != yaml.MappingNode {
		return
	}
	for _, name := range names {
		if !v.sets(name) {
			v.problem("has no %s; write %s: …", name, name)
		}
	}
}

// badStore checks the URL of a shared store, or nothing.
func badStore(s string) string {
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if s == "" || strings.HasPrefix(s, scheme) && s != scheme {
			return ""
		}
	}
	return "is not a postgres:// URL; write postgres://…, or leave it empty for SQLite"
}

func file(p *string) into { return fileOf(p, "write the path of a PEM file") }

// fileOf decodes the path of a file that can be read.
func fileOf(p *string, instead string) into {
	return func(v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}
		if err := readable(s); err != nil {
			v.problem("%s cannot be read: %s; %s", v.quote(), reason(err), instead)
			return
		}
		*p = s
	}
}

// badLog checks the path of a file that is to be written, which need not be there yet.
func badLog(s string) string {
	if s == "" {
		return ""
	}
	if info, err := os.Stat(s); err == nil && info.IsDir() {
		return "is a directory; write the path of a file in it"
	}
	if info, err := os.Stat(filepath.Dir(s)); err != nil || !info.IsDir() {
		return "lies in no directory that is there; make it, or write another path"
	}
	return ""
}

func notEmpty(s string) string {
	if s == "" {
		return "is empty; write a value, or remove the key"
	}
	return ""
}

func badAddress(s string) string {
	host, port, err := net.SplitHostPort(s)
	_, notPort := strconv.ParseUint(port, 10, 16)
	if err != nil || notPort != nil || !hostname.MatchString(host) {
		return `is not an address; write host:port, such as ":8080" or "127.0.0.1:8081"`
	}
	return ""
}

// hostname is a host's name or address, or nothing.
var hostname = regexp.MustCompile(`^[A-Za-z0-9_.:%-]*$`)

func isLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return host == "localhost"
}

var token = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

func badHeader(s string) string {
	if !token.MatchString(s) {
		return "is not the name of a header; write one such as X-Forwarded-For"
	}
	return ""
}

var secretID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

func badSecretID(s string) string {
	if !secretID.MatchString(s) {
		return "is not an id; write 1 to 32 letters, digits, - or _"
	}
	return ""
}

func badSecretKey(s string) string {
	if len(s) < 16 {
		return "is too short to sign with; write 16 bytes or more, chosen at random"
	}
	return ""
}

func badEdge(s string) string {
	if s == "" {
		return ""
	}
	return badKey(s)
}

// badKey checks the key of a stream or group, which stands in events, reports and metric labels.
func badKey(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }
	if s == "" || len(s) > 128 || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		return "is not a key; write 1 to 128 bytes of printable text without spaces"
	}
	return ""
}
