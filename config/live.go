package config

import (
	neturl "net/url"
	"strconv"
	"strings"
)

const liveExample = "write one such as redis://:password@redis:6379/0"

// badLive checks the URL of the live table, or nothing: redis:// or rediss://, hosts between commas, the number of a database, and
// perhaps ?cluster=true. Several hosts are those of a cluster.
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
	cluster, known := clusterQuery(u.RawQuery)
	switch {
	case !redisHosts(hosts):
		return "names no host, or one that is none; " + liveExample
	case strings.Contains(s, "#"):
		return "has a fragment; write it without #, or %23 for one in a password"
	case path != "" && (notNumber != nil || n < 0 || n > 9999):
		return "has a path that is no number of a database; " + liveExample
	case !known:
		return "has a parameter that is not known; only ?cluster=true is"
	case n != 0 && (cluster || strings.Contains(hosts, ",")):
		return "names a database, and a cluster has none but 0; write it without"
	}
	return ""
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

func clusterQuery(raw string) (cluster, known bool) {
	query, err := neturl.ParseQuery(raw)
	if err != nil {
		return false, false
	}
	for name, values := range query {
		if cluster, err = strconv.ParseBool(values[0]); name != "cluster" || err != nil || len(values) > 1 {
			return false, false
		}
	}
	return cluster, true
}
