package config

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	neturl "net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Origin is how to talk to one host, in whichever stream's URLs it stands. What it holds goes to that host alone.
type Origin struct {
	Host               string      // host or host:port, in lower case; without a port: port 80 of http and 443 of https
	Headers            http.Header // of every request
	Username, Password string      // Basic auth; no username: none
	CA                 []byte      // certificates trusted besides the system's, PEM; nil: none
	Private            bool        // its name may lead to private addresses whatever it led to before
	ConnectTimeout     time.Duration
	HeaderTimeout      time.Duration // 0, both: the usual ones
}

func originKeys(o *Origin) into {
	return func(v value) {
		object(
			field{"host", hostName(&o.Host)},
			field{"headers", headers(&o.Headers)},
			field{"username", unquoted(&o.Username, badUsername)},
			field{"password", unquoted(&o.Password, notEmpty)},
			field{"ca", certificates(&o.CA)},
			field{"private", boolean(&o.Private)},
			field{"connect_timeout", duration(&o.ConnectTimeout, time.Millisecond)},
			field{"header_timeout", duration(&o.HeaderTimeout, time.Millisecond)},
		)(v)
		v.needs("host")
		if v.node.Kind != yaml.MappingNode {
			return
		}
		switch {
		case v.sets("username") && !v.sets("password"):
			v.problem("has a username but no password; write password: ${NAME}")
		case v.sets("password") && !v.sets("username"):
			v.problem("has a password but no username; write username: …")
		case v.sets("username") && o.Headers.Get("Authorization") != "":
			v.problem("has a username and a header Authorization; keep one")
		}
	}
}

func hostName(p *string) into {
	return func(v value) {
		host(p)(v)
		if port := (&neturl.URL{Host: *p}).Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				v.problem("%s has a port that is no port; write one from 1 to 65535", v.quote())
			}
		}
		*p = strings.ToLower(*p)
	}
}

func badUsername(s string) string {
	if s == "" || strings.Contains(s, ":") {
		return "is empty or holds a :, which no user name may; write another"
	}
	return ""
}

// headers decodes a mapping of header names to values, which are taken for secrets.
func headers(p *http.Header) into {
	return func(v value) {
		if v.isNull() {
			return
		}
		if v.node.Kind != yaml.MappingNode {
			v.problem("is %s; write a mapping of names to values", v.kind())
			return
		}
		*p = http.Header{}
		members := v.members(badHeaderName)
		for _, name := range sortedByLine(members) {
			canonical := http.CanonicalHeaderKey(name)
			if _, ok := (*p)[canonical]; ok {
				members[name].problem("is the same header as another above; keep one")
				continue
			}
			var s string
			unquoted(&s, badHeaderValue)(members[name])
			(*p)[canonical] = []string{s}
		}
	}
}

func sortedByLine(members map[string]value) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		m, n := members[a].node, members[b].node
		if m.Line != n.Line {
			return m.Line - n.Line
		}
		return m.Column - n.Column
	})
	return names
}

// reservedHeaders are what each request says for itself, and what belongs to its connection (RFC 9110, 7.6.1).
var reservedHeaders = []string{
	"Host", "Range", "Accept-Encoding", "Expect", "Icy-Metadata",
	"Connection", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func badHeaderName(name string) string {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !token.MatchString(name):
		return "is not the name of a header; write one such as X-Token"
	case slices.Contains(reservedHeaders, canonical), strings.HasPrefix(canonical, "If-"), strings.HasPrefix(canonical, "Content-"):
		return "is a header that earshot sets by itself, or leaves out; remove it"
	}
	return ""
}

func badHeaderValue(s string) string {
	odd := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	switch {
	case s == "":
		return "is empty; write a value, or remove the header"
	case strings.ContainsFunc(s, odd):
		return "holds a line break or another control character; write the value in one line"
	case strings.TrimSpace(s) != s:
		return "begins or ends with a space; write the value without it"
	}
	return ""
}

// certificates decodes the name of a PEM file to what is in it.
func certificates(p *[]byte) into {
	return func(v value) {
		var path string
		file(&path)(v)
		if path == "" {
			return
		}
		text, err := os.ReadFile(path)
		switch {
		case err != nil:
			v.problem("%s cannot be read: %s; write the path of a PEM file", v.quote(), reason(err))
		case !x509.NewCertPool().AppendCertsFromPEM(text):
			v.problem("%s holds no certificate; write the path of a PEM file that begins with -----BEGIN CERTIFICATE-----", v.quote())
		default:
			*p = text
		}
	}
}

// checkOrigins refuses a host that stands twice, and notices one that no stream names.
func (d *decoder) checkOrigins(c *Config) (notices []Problem) {
	named := c.hosts()
	first := map[string]int{}
	for i, o := range c.Origins {
		at := d.written[fmt.Sprintf("origins[%d].host", i)]
		if o.Host == "" {
			continue
		}
		if other, ok := first[o.Host]; ok {
			at.problem("%s is also the host of origins[%d]; give each host one entry", at.quote(), other)
			continue
		}
		first[o.Host] = i
		name, _, _ := strings.Cut(o.Host[strings.LastIndex(o.Host, "]")+1:], ":")
		name = o.Host[:strings.LastIndex(o.Host, "]")+1] + name
		if !named[o.Host] && !named[name+":*"] {
			notices = append(notices, Problem{d.file, at.node.Line, at.key, "is a host and port that no stream names in hls, icy or follow"})
		}
	}
	return notices
}

// hosts are the hosts that streams lead to, as an entry of origins would name them. What follow names without a port has host:* too.
func (c *Config) hosts() map[string]bool {
	hosts := map[string]bool{}
	for i := range c.Streams {
		s := &c.Streams[i]
		for _, text := range slices.Concat(s.HLS, s.ICY) {
			if u, wrong := parseOrigin(text); wrong == "" {
				usual := map[string]string{"http": "80", "https": "443"}[u.Scheme]
				addHost(hosts, u.Hostname(), cmp.Or(u.Port(), usual), u.Port() == "" || u.Port() == usual)
			}
		}
		for _, text := range s.Follow {
			name, port := splitHost(text)
			addHost(hosts, name, cmp.Or(port, "*"), port == "" || port == "80" || port == "443")
		}
	}
	return hosts
}

func addHost(hosts map[string]bool, name, port string, usual bool) {
	name = strings.ToLower(name)
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	hosts[name+":"+port] = true
	if usual {
		hosts[name] = true
	}
}

// splitHost is host, as in a URL without brackets, and port of host:port; the port may be missing.
func splitHost(s string) (name, port string) {
	if name, port, err := net.SplitHostPort(s); err == nil {
		return name, port
	}
	return strings.Trim(s, "[]"), ""
}
