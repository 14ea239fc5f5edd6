package redislive

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// target is what a URL names.
type target struct {
	addrs    []string
	cluster  bool
	user     string
	password string
	database int
	tls      *tls.Config
}

// parseURL reads a URL. Its errors do not repeat it: there may be a password in it.
func parseURL(s string) (target, error) {
	var to target
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case ok && scheme == "rediss":
		to.tls = &tls.Config{MinVersion: tls.VersionTLS12} // the client fills in the name of each node
	case !ok || scheme != "redis":
		return to, errors.New("the URL of Redis begins with redis:// or rediss://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	info, hosts, ok := cutLast(authority, "@")
	if !ok {
		info, hosts = "", authority
	}
	for _, host := range strings.Split(hosts, ",") {
		addr, err := address(host)
		if err != nil {
			return to, err
		}
		to.addrs = append(to.addrs, addr)
	}
	// What is left is an ordinary URL once its hosts are replaced by one.
	u, err := url.Parse(scheme + "://" + info + strings.Repeat("@", min(1, len(info))) + "host" + tail)
	if err != nil {
		return to, errors.New("the URL of Redis does not parse: is there a character in the password that must be escaped?")
	}
	if u.User != nil {
		to.user = u.User.Username()
		to.password, _ = u.User.Password()
	}
	if u.Fragment != "" {
		return to, errors.New("the URL of Redis has a fragment")
	}
	if err := to.query(u.Query()); err != nil {
		return to, err
	}
	to.cluster = to.cluster || len(to.addrs) > 1
	return to, to.choose(strings.Trim(u.Path, "/"))
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// address is host:port of a host that may have none.
func address(host string) (string, error) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "6379"
	}
	n, err := strconv.Atoi(port)
	if name == "" || strings.ContainsAny(name, " []@") || err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("the URL of Redis has %q for a host: a name or an address is taken, with a port or without", host)
	}
	return net.JoinHostPort(name, port), nil
}

func (to *target) query(q url.Values) error {
	for name, values := range q {
		on, err := strconv.ParseBool(values[0])
		if name != "cluster" || err != nil || len(values) > 1 {
			return fmt.Errorf("the URL of Redis has the parameter %s: only cluster=true is taken", name)
		}
		to.cluster = on
	}
	return nil
}

// choose picks the database.
func (to *target) choose(path string) error {
	if path == "" {
		return nil
	}
	n, err := strconv.Atoi(path)
	switch {
	case err != nil || n < 0 || n > 9999:
		return errors.New("the path in the URL of Redis is no number of a database")
	case to.cluster && n != 0:
		return errors.New("a Redis cluster has no database but 0")
	}
	to.database = n
	return nil
}

// Many scripts at once gain nothing: Redis runs one at a time. This is for the waiting on the way.
const poolSize = 32

// client makes the client. Every wait of it is within the timeout, and it does not try again by itself, but on a cluster that sends it elsewhere.
func (to *target) client(timeout time.Duration) redis.UniversalClient {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if !to.cluster {
		return redis.NewClient(&redis.Options{
			Addr: to.addrs[0], Username: to.user, Password: to.password, DB: to.database, TLSConfig: to.tls,
			Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet,
			MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, PoolSize: poolSize, PipelinePoolSize: -1,
			DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		})
	}
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: to.addrs, Username: to.user, Password: to.password, TLSConfig: to.tls,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: quiet,
		MaxRedirects: 3, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, PoolSize: poolSize, PipelinePoolSize: -1,
		MinRetryBackoff: 8 * time.Millisecond, MaxRetryBackoff: 32 * time.Millisecond,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		// A master that dies tells nobody: who has taken over is to be found out before its clients' patience ends.
		ClusterStateReloadInterval: time.Second, FailingTimeoutSeconds: 1,
	})
}
