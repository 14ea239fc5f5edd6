package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	neturl "net/url"
	"os"
	"strconv"
	"strings"
)

const liveExample = "write one such as redis://:password@redis:6379/0"

// badLive checks the URL of the live table, or nothing: redis:// or rediss://, hosts between commas, the number of a database, and
// perhaps ?cluster=true, or files for TLS. Several hosts are those of a cluster.
func badLive(s string) string {
	if s == "" {
		return ""
	}
	hosts, one := cutHosts(s)
	u, err := neturl.Parse(one)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" {
		return "is not a redis:// URL; write redis://…, or leave it empty for memory"
	}
	path := strings.Trim(u.Path, "/")
	n, notNumber := strconv.Atoi(path)
	cluster, files, known := liveQuery(u.RawQuery)
	switch {
	case !redisHosts(hosts):
		return "names no host, or one that is none; " + liveExample
	case strings.Contains(s, "#"):
		return "has a fragment; write it without #, or %23 for one in a password"
	case path != "" && (notNumber != nil || n < 0 || n > 9999):
		return "has a path that is no number of a database; " + liveExample
	case !known:
		return "has a parameter that is not known; cluster=true, ca=, cert= and key= are, once each"
	case userAlone(u):
		return "names a user and no password; write redis://user:password@…, or redis://:password@… for a password alone"
	case len(files) > 0 && u.Scheme != "rediss":
		return "has certificates, and no TLS; write rediss://…, or leave them out"
	case (files["cert"] == "") != (files["key"] == ""):
		return "has one of cert= and key=; write both, or neither"
	case n != 0 && (cluster || strings.Contains(hosts, ",")):
		return "names a database, and a cluster has none but 0; write it without"
	}
	return badLiveFiles(files)
}

// userAlone is whether there is a user, who would not be named to Redis without a password.
func userAlone(u *neturl.URL) bool {
	password, _ := u.User.Password()
	return u.User.Username() != "" && password == ""
}

// cutHosts takes the hosts out of a URL, and puts one in their place: several are no URL.
func cutHosts(s string) (hosts, one string) {
	scheme, _, found := strings.Cut(s, "://")
	if !found {
		return "", s
	}
	start, end := len(scheme)+len("://"), len(s)
	if at := strings.IndexAny(s[start:], "/?#"); at >= 0 {
		end = start + at
	}
	if at := strings.LastIndexByte(s[start:end], '@'); at >= 0 {
		start += at + 1
	}
	return s[start:end], s[:start] + "host" + s[end:]
}

// redisHosts is whether a text is hosts between commas, each with a port or without.
func redisHosts(s string) bool {
	for one := range strings.SplitSeq(s, ",") {
		if !hostPort.MatchString(one) {
			return false
		}
		if port := (&neturl.URL{Host: one}).Port(); port != "" {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return false
			}
		}
	}
	return true
}

// liveQuery reads the parameters, once each: of files, their paths by name.
func liveQuery(raw string) (cluster bool, files map[string]string, known bool) {
	query, err := neturl.ParseQuery(raw)
	if err != nil {
		return false, nil, false
	}
	files = map[string]string{}
	for name, values := range query {
		switch {
		case len(values) > 1 || values[0] == "":
			return false, nil, false
		case name == "cluster":
			if cluster, err = strconv.ParseBool(values[0]); err != nil {
				return false, nil, false
			}
		case name == "ca", name == "cert", name == "key":
			files[name] = values[0]
		default:
			return false, nil, false
		}
	}
	return cluster, files, true
}

// badLiveFiles checks that the certificates and the key can be read.
func badLiveFiles(files map[string]string) string {
	for _, name := range []string{"ca", "cert", "key"} {
		if path := files[name]; path != "" {
			if err := readable(path); err != nil {
				return fmt.Sprintf("has a %s= that cannot be read: %s; write the path of a PEM file", name, reason(err))
			}
		}
	}
	if ca := files["ca"]; ca != "" {
		if text, err := os.ReadFile(ca); err != nil || !x509.NewCertPool().AppendCertsFromPEM(text) {
			return "has a ca= that holds no certificate; write the path of a PEM file that begins with -----BEGIN CERTIFICATE-----"
		}
	}
	if cert := files["cert"]; cert != "" {
		if _, err := tls.LoadX509KeyPair(cert, files["key"]); err != nil {
			return "has a cert= and a key= that do not go together, or are not PEM"
		}
	}
	return ""
}
