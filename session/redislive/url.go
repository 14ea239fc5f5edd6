package redislive

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
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
		if to.user != "" && to.password == "" {
			return to, errors.New("the URL of Redis names a user and no password; a password alone has a colon before it")
		}
	}
	if u.Fragment != "" {
		return to, errors.New("the URL of Redis has a fragment")
	}
	if err := to.query(u.RawQuery); err != nil {
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
		return "", errors.New("the URL of Redis has something for a host that is none (it may be part of a password: / ? # and % in one are written %2F %3F %23 %25)")
	}
	return net.JoinHostPort(name, port), nil
}

// query reads the parameters. What is wrong is not repeated.
func (to *target) query(raw string) error {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return errQuery
	}
	for name, values := range q {
		switch {
		case len(values) > 1 || values[0] == "":
			return errQuery
		case name == "cluster":
			if to.cluster, err = strconv.ParseBool(values[0]); err != nil {
				return errQuery
			}
		case name != "ca" && name != "cert" && name != "key":
			return errQuery
		}
	}
	return to.trust(q.Get("ca"), q.Get("cert"), q.Get("key"))
}

var errQuery = errors.New("the URL of Redis has a parameter that is not known: cluster=true, ca, cert and key are taken, once each")

// trust reads whose certificates are believed instead of those that the system believes, and the edge's own, where Redis asks for one.
func (to *target) trust(ca, cert, key string) error {
	switch {
	case ca+cert+key == "":
		return nil
	case to.tls == nil:
		return errors.New("the URL of Redis has certificates, and no TLS: write rediss://")
	case (cert == "") != (key == ""):
		return errors.New("the URL of Redis has one of cert and key: both are needed")
	}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("ca of the URL of Redis: %w", err)
		}
		if to.tls.RootCAs = x509.NewCertPool(); !to.tls.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("ca of the URL of Redis: %s holds no certificate in PEM", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("cert and key of the URL of Redis: %w", err)
		}
		to.tls.Certificates = []tls.Certificate{pair}
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
